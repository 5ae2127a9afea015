"""Every IoU and containment in the library: proposals, boxes, masks, sets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from pycocotools import mask as rle
from torch import Tensor

from wsis._support.places import moved
from wsis.contracts import Overlaps, Proposals, Rle
from wsis.geometry.masks import region_areas, to_dense

Numbers = TypeVar("Numbers", Tensor, np.ndarray)

_EXACT = 2**24
"""Whole numbers up to here are exact in float32, whatever the order of their sum."""

_ENTRIES = 2**25
"""Entries of the membership matrix that are numbers at a time."""

_ROWS = 64
"""Rows of a block of shared pixels: long copies, and little of them kept twice."""

_TILE, _NEAR = 32, 1024
"""Pixels of a tile's side, and regions taken at once: large products, few of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """The pixels that all proposals of an image share, each pair once, to be kept.

    Args:
        pixels: row by row up to the diagonal; rows of a block as long as its last one.
        area: pixels of each proposal.
    """

    pixels: Int[Tensor, " pairs"]
    area: Int[Tensor, " N"]

    @classmethod
    def of(cls, proposals: Proposals) -> "Shared":
        """Count them: members times areas times members transposed.

        All sums are whole numbers, so no order of summation changes them. Regions are
        taken a neighbourhood at a time, with the proposals that reach it: masks from
        anywhere can have as many regions as pixels, but most masks are elsewhere.
        """
        members, size = proposals.members, region_areas(proposals.regions)
        number = _number(proposals)
        shared = members.new_zeros(len(members), len(members), dtype=number)
        # Float16 under autocast would not be exact.
        with torch.autocast(members.device.type, enabled=False):
            by_region = members.T.contiguous()
            for near in _neighbourhoods(proposals.regions):
                rows = by_region[near]
                here = rows.any(0).nonzero().flatten()
                rows = rows[:, here].to(number)
                shared[here[:, None], here] += (rows * size[near, None]).T @ rows
        blocks = [shared[rows, : rows.stop].flatten() for rows in _blocks(len(shared))]
        pixels = torch.cat(blocks) if blocks else shared.flatten()
        return cls(pixels.int(), shared.diag().int())

    def __len__(self) -> int:
        return len(self.area)

    def overlaps(self, device: torch.device | str | None = None) -> Overlaps:
        """Return IoU and containment on a device, exact to the last digit of float32.

        Where there is none, on that of the pixels.
        """
        count, device = len(self), device or self.area.device
        # Up to here float32 has the sum of two areas, and all that comes of it.
        small = not count or int(self.area.max()) <= _EXACT // 2
        area = moved(self.area, device).to(torch.float32 if small else torch.float64)
        pixels = moved(self.pixels, device)
        shared, start = area.new_empty(count, count), 0
        for rows in _blocks(count):
            stop = start + (rows.stop - rows.start) * rows.stop
            block = pixels[start:stop].view(-1, rows.stop)
            shared[rows, : rows.stop] = block
            shared[: rows.start, rows] = block[:, : rows.start].T
            start = stop
        # In place: at this size, fresh memory costs more than the arithmetic.
        union = (area[:, None] + area).sub_(shared)
        iou = torch.div(shared, union, out=union)
        # By rows and seen as columns: who contains a proposal is asked for at once.
        inside = shared.div_(area[:, None])
        return Overlaps(iou.float(), inside.float().T, area.float())


def overlaps(proposals: Proposals) -> Overlaps:
    """Return overlaps of the masks, exact to the last digit of float32."""
    return Shared.of(proposals).overlaps()


def box_overlaps(boxes: Float[Tensor, "N 4"]) -> Overlaps:
    """Return overlaps of xyxy boxes, as areas of the plane.

    Raises:
        ValueError: if a box is empty.
    """
    side = boxes[:, 2:] - boxes[:, :2]
    empty = (side <= 0).any(1).nonzero().flatten()
    if len(empty):
        first = int(empty[0])
        raise ValueError(
            "expected boxes with x0 < x1 and y0 < y1, "
            f"box {first} is {boxes[first].tolist()}"
        )
    shared, area, _ = box_shared(boxes, boxes)
    return Overlaps(
        iou(shared, area, area).float(), (shared / area).float(), area.float()
    )


def box_shared(
    boxes: Float[Tensor, "N 4"], others: Float[Tensor, "G 4"]
) -> tuple[Float[Tensor, "N G"], Float[Tensor, " N"], Float[Tensor, " G"]]:
    """Return the area that xyxy boxes share, and the area of either."""
    low = torch.maximum(boxes[:, None, :2], others[:, :2])
    high = torch.minimum(boxes[:, None, 2:], others[:, 2:])
    area, other = ((b[:, 2:] - b[:, :2]).prod(1) for b in (boxes, others))
    return (high - low).clamp(min=0).prod(2), area, other


def cross_iou(
    proposals: Proposals, masks: Bool[Tensor, "G H W"] | Sequence[Rle]
) -> Float[Tensor, "N G"]:
    """Return the IoU of every proposal with every mask; 0 with an empty mask.

    Raises:
        ValueError: if the masks are not of the proposals' size.
    """
    return iou(*cross_shared(proposals, masks))


def cross_shared(
    proposals: Proposals, masks: Bool[Tensor, "G H W"] | Sequence[Rle]
) -> tuple[Float[Tensor, "N G"], Float[Tensor, " N"], Float[Tensor, " G"]]:
    """Return the pixels that proposals and masks share, and the pixels of either.

    Returns:
        Whole numbers in float64, as ``iou`` takes them.

    Raises:
        ValueError: if the masks are not of the proposals' size.
    """
    regions, members = proposals.regions.flatten(), proposals.members
    size = region_areas(proposals.regions)
    counts = size.new_zeros(len(size), len(masks) + 1)
    for g in range(len(masks)):
        inside = to_dense(masks[g : g + 1])[0]
        if inside.shape != proposals.size:
            raise ValueError(
                f"expected masks of size {proposals.size}, got {tuple(inside.shape)}"
            )
        covered = regions[inside.to(regions.device).flatten()]
        counts[:, g] = torch.bincount(covered, minlength=len(size))
    # The whole image as one more mask gives the proposals' own areas.
    counts[:, -1] = size
    shared = counts.new_zeros(len(members), len(masks) + 1, dtype=torch.float64)
    step = max(1, _ENTRIES // max(1, len(members)))
    for part, count in zip(members.split(step, 1), counts.split(step), strict=True):
        shared.addmm_(part.double(), count.double())
    return shared[:, :-1], shared[:, -1], counts[:, :-1].sum(0).double()


def rle_shared(
    masks: Sequence[Rle], others: Sequence[Rle], area: Float[np.ndarray, " N"]
) -> Float[np.ndarray, "N G"]:
    """Return the pixels that encoded masks share; ``area`` has those of ``masks``."""
    if not len(masks) or not len(others):
        return np.zeros((len(masks), len(others)))
    # Against a crowd, COCO's IoU is the shared part of the mask alone.
    share = rle.iou(list(masks), list(others), [1] * len(others))
    shared: Float[np.ndarray, "N G"] = (share * area[:, None]).round()
    return shared


def iou(shared: Numbers, area: Numbers, other: Numbers) -> Numbers:
    """Return intersection over union from what N masks share with G others.

    Args:
        shared: pixels that each pair shares (N, G); a tensor or an array.
        area: pixels of the masks (N).
        other: pixels of the others (G).
    """
    found: Numbers = shared / (area[:, None] + other - shared)
    return found


def _number(proposals: Proposals) -> torch.dtype:
    """Return a type whose matrix products are exact here."""
    small = proposals.regions.numel() <= _EXACT
    # Elsewhere float32 may mean TF32 or bfloat16, with 11 or 8 digits.
    plain = torch.get_float32_matmul_precision() == "highest"
    on_cpu = proposals.members.device.type == "cpu"
    return torch.float32 if small and plain and on_cpu else torch.float64


def _blocks(count: int) -> list[slice]:
    """Return the blocks of rows that shared pixels are kept in."""
    return [slice(i, min(i + _ROWS, count)) for i in range(0, count, _ROWS)]


def _neighbourhoods(regions: Int[Tensor, "H W"]) -> Iterator[Int[Tensor, " K"]]:
    """Yield all regions, ``_NEAR`` at a time, by the tile that has their last pixel."""
    height, width = regions.shape
    y = torch.arange(height, device=regions.device)[:, None] // _TILE
    x = torch.arange(width, device=regions.device) // _TILE
    tile = (y * (width // _TILE + 1) + x).flatten()
    last = tile.new_zeros(int(regions.max()) + 1)
    last.scatter_reduce_(0, regions.flatten().long(), tile, "amax")
    return iter(last.argsort(stable=True).split(_NEAR))
