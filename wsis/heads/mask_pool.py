"""A small head for CPUs: pools a proposal and its surroundings; two layers."""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import roi_align

from wsis import plugins
from wsis._support.places import moved
from wsis._support.randomness import generator
from wsis.contracts import Contours, Evidence, View
from wsis.features.views import region_means
from wsis.proposals.evidence import NAMES, PixelEvidence

_GRID = 3


class MaskPool(nn.Module):
    """Mean features under the mask, in its box and around it, a coarse grid, the mask.

    What MaskFuse sees at 7×7 becomes means: of the map under the mask, in the box, and
    around the mask in the box enlarged by half, which shows what a part leaves out;
    a 3×3 grid of the box and the masked box in ``reduced`` channels (a fixed random
    projection of the map); the 7×7 mask, the box and the area. Nothing before the two
    layers has weights, so a frozen backbone is pooled once per image.

    Args:
        channels: D, of the feature map.
        width: of the two layers.
        reduced: channels of the 3×3 grids.
        dropout: share of the first layer's outputs dropped in training.
        evidence: the contours, by name such as ``lab`` or as an object, that
            ``PixelEvidence`` uses to describe each proposal by 26 more numbers; empty
            adds none.
    """

    version = 1

    mean: Tensor
    std: Tensor
    projection: Tensor

    def __init__(
        self,
        channels: int,
        width: int = 256,
        reduced: int = 32,
        dropout: float = 0.0,
        evidence: Contours | str = "",
    ) -> None:
        super().__init__()
        if min(channels, width, reduced) < 1:
            raise ValueError(
                "channels, width and reduced must be positive, got "
                f"{channels}, {width} and {reduced}"
            )
        self.channels = channels
        self.width = width
        self.evidence = PixelEvidence(contours=evidence) if evidence else None
        size = 3 * channels + 2 * reduced * _GRID * _GRID + 49 + 5
        size += len(NAMES) if evidence else 0
        random = torch.randn(reduced, channels, generator=generator(0, "projection"))
        self.register_buffer("projection", random / channels**0.5)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))
        self.layers = nn.Sequential(
            nn.Linear(size, width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.ReLU(),
        )

    def extra_repr(self) -> str:
        """Return the contours that are an object; names are settings."""
        named = self.evidence is None or isinstance(self.evidence.contours, str)
        return "" if named else f"evidence={self.evidence!r}"

    def depends_on(self) -> dict[str, Any]:
        """Return the identity of the evidence, where there is any."""
        return {"evidence": plugins.identity(self.evidence)} if self.evidence else {}

    def pool(self, view: View) -> Float[Tensor, "N pooled"]:
        """Return one vector a proposal, not standardised.

        Raises:
            ValueError: if the head reads evidence and the view has none.
        """
        means, area = region_means(view.map, view.regions, view.members.shape[1])
        share = view.members.to(means.dtype) * area
        inside = share @ means / share.sum(1, keepdim=True)
        height, width = view.map.shape[1:]
        cells = share.sum(1, keepdim=True) * (height * width / view.regions.numel())
        integral = _integral(view.map)
        small = torch.einsum("rd,dhw->rhw", self.projection, view.map)
        grid = roi_align(small[None], [view.boxes], 2 * _GRID, 1.0, 1, aligned=True)
        crop = functional.interpolate(view.crops[:, None], size=2 * _GRID)
        vectors = [
            inside,
            _box_means(integral, view.boxes),
            _outside(integral, view.boxes, inside, cells),
            functional.avg_pool2d(grid, 2).flatten(1),
            functional.avg_pool2d(grid * crop, 2).flatten(1),
            view.crops.flatten(1),
            view.boxes / _limits(integral, view.boxes),
            (cells / (height * width)).log(),
        ]
        if self.evidence:
            if view.evidence is None:
                raise ValueError("expected a view with evidence, got one without")
            vectors.append(view.evidence)
        return torch.cat(vectors, dim=1)

    @torch.no_grad()
    def calibrate(self, pooled: Iterable[Float[Tensor, "N pooled"]]) -> None:
        """Set mean and deviation of each dimension from some images' proposals."""
        some = torch.cat([p.to(self.mean.device, self.mean.dtype) for p in pooled])
        self.mean.copy_(some.mean(0))
        self.std.copy_(some.std(0, correction=0).clamp_min(1e-3))

    @torch.no_grad()
    def tell(self, pooled: Float[Tensor, "N pooled"]) -> Evidence:
        """Return the likeness of mean features under the masks, and their closure.

        Features are standardised as ``calibrate`` has it: by many photos, as within a
        photo what members of a group have in common would be left out.
        """
        closure = None
        if self.evidence:
            numbers = pooled[:, -len(NAMES) :].to(self.mean.dtype)
            closure = numbers[:, NAMES.index("ratio")]
        standard = self._standard(pooled[:, : self.channels])
        return Evidence(functional.normalize(standard), closure)

    def forward(self, pooled: Float[Tensor, "N pooled"]) -> Float[Tensor, "N D"]:
        """Return ``width`` numbers a proposal."""
        vectors: Tensor = self.layers(self._standard(pooled))
        return vectors

    def _standard(self, pooled: Float[Tensor, "N first"]) -> Float[Tensor, "N first"]:
        """Return the first numbers of pooled vectors, or all, standardised."""
        mean, std = (one[: pooled.shape[1]] for one in (self.mean, self.std))
        # In place: at this size, fresh memory costs more than the arithmetic.
        standard = pooled.to(mean.dtype, copy=True).sub_(mean).div_(std)
        return standard.clamp_(-5, 5)


def _integral(feature_map: Float[Tensor, "D h w"]) -> Float[Tensor, "h1 w1 D"]:
    """Return the map's sums from its corner, with all channels of a place together."""
    sums = functional.pad(feature_map.cumsum(1).cumsum(2), (1, 0, 1, 0))
    return sums.permute(1, 2, 0).contiguous()


def _box_means(
    integral: Float[Tensor, "h1 w1 D"], boxes: Float[Tensor, "N 4"]
) -> Float[Tensor, "N D"]:
    """Return the map's mean in each box, read bilinearly off its integral image."""
    boxes = boxes.clamp_min(0).minimum(_limits(integral, boxes))
    x0, y0, x1, y1 = boxes[..., None].unbind(1)  # (N, 1) each
    x1, y1 = torch.maximum(x1, x0 + 1e-3), torch.maximum(y1, y0 + 1e-3)
    total = (
        _read(integral, x1, y1)
        - _read(integral, x0, y1)
        - _read(integral, x1, y0)
        + _read(integral, x0, y0)
    )
    return total / ((x1 - x0) * (y1 - y0))


def _outside(
    integral: Float[Tensor, "h1 w1 D"],
    boxes: Float[Tensor, "N 4"],
    inside: Float[Tensor, "N D"],
    cells: Float[Tensor, "N 1"],
) -> Float[Tensor, "N D"]:
    """Return the mean of the map around the masks, in boxes enlarged by half.

    All zero where a mask leaves less than half a cell.
    """
    around = _enlarged(boxes, 1.5).clamp_min(0)
    around = around.minimum(_limits(integral, boxes))
    area = (around[:, 2:] - around[:, :2]).prod(1, keepdim=True)
    rest = area * _box_means(integral, around) - cells * inside
    free = area - cells
    return torch.where(free > 0.5, rest / free.clamp_min(0.5), 0)


def _limits(integral: Tensor, boxes: Tensor) -> Float[Tensor, "4"]:
    height, width = (size - 1 for size in integral.shape[:2])
    limits = torch.tensor([width, height, width, height], dtype=boxes.dtype)
    return moved(limits, boxes.device)


def _read(integral: Tensor, x: Tensor, y: Tensor) -> Tensor:
    height, width = integral.shape[:2]
    left, top = (
        x.floor().long().clamp(0, width - 2),
        y.floor().long().clamp(0, height - 2),
    )
    dx, dy = x - left, y - top
    rows, at = integral.flatten(0, 1), (top * width + left)[:, 0]
    upper = rows[at] * (1 - dx) + rows[at + 1] * dx
    lower = rows[at + width] * (1 - dx) + rows[at + width + 1] * dx
    return upper * (1 - dy) + lower * dy


def _enlarged(boxes: Float[Tensor, "N 4"], factor: float) -> Float[Tensor, "N 4"]:
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * factor
    return torch.cat([centre - half, centre + half], dim=1)
