"""MaskFuse: a box detector's head turned into a mask one (CIM, section 3.1)."""

from collections.abc import Sequence
from functools import partial
from operator import itemgetter

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import roi_align

from wsis.contracts import View
from wsis.heads._convolution import Pool, convolved

_GRID = 7


class MaskFuse(nn.Module):
    """Box features beside the same features under the mask, a convolution, two layers.

    "Complete Instances Mining for Weakly Supervised Instance Segmentation", IJCAI 2023,
    arXiv 2402.07633, section 3.1: RoIAlign 7×7 of the proposal's box, times its mask
    cropped to the box and resized to 7×7, both concatenated; 3×3 convolution back to D
    channels; two fully connected layers. The paper's ``width`` is 4,096.

    Args:
        channels: D, of the feature map.
        width: of the two layers.
        chunk: proposals pooled and convolved at a time. It bounds memory and changes no
            result. What is convolved is kept for the backward pass, which pools again.
    """

    version = 1

    def __init__(self, channels: int, width: int = 512, chunk: int = 256) -> None:
        super().__init__()
        if min(channels, width, chunk) < 1:
            raise ValueError(
                "channels, width and chunk must be positive, got "
                f"{channels}, {width} and {chunk}"
            )
        self.width = width
        self.chunk = chunk
        self.fuse = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 3, padding=1), nn.ReLU()
        )
        self.layers = nn.Sequential(
            nn.Linear(channels * _GRID * _GRID, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
        )

    def pool(self, view: View) -> Float[Tensor, "N D1 7 7"]:
        """Return box features and, as the last channel, the mask."""
        return _pool(view.map, view.boxes, view.crops)

    def forward(self, pooled: Float[Tensor, "N D1 7 7"]) -> Float[Tensor, "N D"]:
        """Return ``width`` numbers a proposal."""
        cuts = range(0, max(1, len(pooled)), self.chunk)
        parts = [slice(cut, cut + self.chunk) for cut in cuts]
        return self._vectors(pooled, [itemgetter(part) for part in parts])

    def vectors(self, view: View) -> Float[Tensor, "N D"]:
        """Return the same for a view; keeps the convolution alone per proposal."""
        parts = zip(
            view.boxes.split(self.chunk), view.crops.split(self.chunk), strict=True
        )
        pools = [partial(_pool, boxes=boxes, crops=crops) for boxes, crops in parts]
        return self._vectors(view.map, pools)

    def _vectors(self, given: Tensor, pools: Sequence[Pool]) -> Tensor:
        weight, bias = self.fuse.parameters()
        kind = weight.device.type
        half = torch.is_autocast_enabled(kind)
        # Features that are kept are of half precision.
        dtype = torch.get_autocast_dtype(kind) if half else weight.dtype
        joins = [partial(_joined, pool, dtype) for pool in pools]
        fused = convolved(given, joins, weight.to(dtype))
        fused += bias[:, None, None]
        vectors: Tensor = self.layers(fused.relu_().flatten(1))
        return vectors


def _joined(pool: Pool, dtype: torch.dtype, given: Tensor) -> Tensor:
    pooled = pool(given).to(dtype)
    boxes, mask = pooled[:, :-1], pooled[:, -1:]
    return torch.cat([boxes, boxes * mask], dim=1)


def _pool(
    feature_map: Float[Tensor, "D h w"],
    boxes: Float[Tensor, "N 4"],
    crops: Float[Tensor, "N side side"],
) -> Float[Tensor, "N D1 7 7"]:
    pooled = roi_align(feature_map[None].to(boxes), [boxes], _GRID, aligned=True)
    return torch.cat([pooled, crops[:, None].to(pooled.dtype)], dim=1)
