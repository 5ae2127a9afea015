"""One image at one scale: pixels for the backbone, proposals in the map's frame."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from wsis._support.places import moved
from wsis.contracts import Backbone, Image, Proposals, View
from wsis.features.scale import Scale
from wsis.geometry import masks


def pixels(image: Image, scale: Scale, backbone: Backbone) -> Float[Tensor, "1 3 h w"]:
    """Return the image resized (bilinear, antialiased) and normalised."""
    height, width = image.shape[:2]
    ratio = scale.ratio(height, width)
    size = [
        max(1, round(length * ratio / backbone.stride)) * backbone.stride
        for length in (height, width)
    ]
    tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float()
    tensor = functional.interpolate(
        tensor, size=size, mode="bilinear", align_corners=False, antialias=True
    )
    mean = torch.tensor(backbone.mean).view(1, 3, 1, 1)
    std = torch.tensor(backbone.std).view(1, 3, 1, 1)
    tensor = (tensor - mean) / std
    return tensor.flip(-1) if scale.flip else tensor


def view(
    feature_map: Float[Tensor, "D h w"],
    proposals: Proposals,
    scale: Scale,
    crop: int = 7,
) -> View:
    """Lay proposals over the map that the backbone made of ``pixels(…, scale)``."""
    if scale.flip:
        proposals = masks.flip(proposals)
    height, width = proposals.size
    device = feature_map.device
    cells = torch.tensor(
        [feature_map.shape[-1] / width, feature_map.shape[-2] / height]
    ).repeat(2)
    boxes = masks.boxes(proposals)
    return View(
        feature_map,
        moved(boxes * cells, device),
        moved(masks.crops(proposals, crop, boxes), device),
        moved(proposals.regions, device),
        moved(proposals.members, device),
    )


def region_means(
    feature_map: Float[Tensor, "D h w"],
    regions: Int[Tensor, "H W"],
    count: int | None = None,
) -> tuple[Float[Tensor, "R D"], Float[Tensor, " R"]]:
    """Return every region's mean feature, read bilinearly at each pixel; and areas.

    ``count`` is the number of regions; None looks for the highest.
    """
    height, width = feature_map.shape[1:]
    count = int(regions.max()) + 1 if count is None else count
    rows, row_share = _neighbours(regions.shape[0], height, regions.device)
    columns, column_share = _neighbours(regions.shape[1], width, regions.device)
    # Small numbers are read and written faster.
    small = count * height * width < 2**31
    flat = regions.to(torch.int32 if small else torch.int64) * (height * width)
    weights = feature_map.new_zeros(count * height * width)
    for dy in (0, 1):
        row = flat + (rows[dy] * width).to(flat.dtype)[:, None]
        for dx in (0, 1):
            cell = row + columns[dx].to(flat.dtype)
            share = row_share[dy][:, None] * column_share[dx]
            weights.index_add_(0, cell.flatten(), share.flatten().to(weights.dtype))
    weights = weights.view(count, height * width)
    area = weights.sum(1)
    return weights @ feature_map.flatten(1).T / area[:, None], area


def _neighbours(
    pixels: int, cells: int, device: torch.device
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    centre = (torch.arange(pixels, device=device) + 0.5) * (cells / pixels) - 0.5
    centre = centre.clamp(0, cells - 1)
    low = centre.floor().long()
    high = (low + 1).clamp(max=cells - 1)
    share = centre - low
    return (low, high), (1 - share, share)
