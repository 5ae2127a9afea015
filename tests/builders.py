"""Small pictures for tests, drawn in a line."""

import numpy as np
import torch
from torch import Tensor

from wsis.contracts import Points, Proposals, TaggedImage
from wsis.geometry.masks import from_masks


def strips(*spans: tuple[int, int], width: int = 10) -> Proposals:
    """Columns start:stop of a one-pixel-high image, best first."""
    columns = torch.arange(width)
    masks = torch.stack([(a <= columns) & (columns < b) for a, b in spans])
    return from_masks(
        masks[:, None], objectness=torch.linspace(1, 0, len(spans)), source="strips"
    )


def rectangles(
    *boxes: tuple[int, int, int, int], size: tuple[int, int] = (8, 10)
) -> Proposals:
    """Filled xyxy boxes on an image of ``size`` (H, W), best first."""
    masks = torch.zeros(len(boxes), *size, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    return from_masks(
        masks, objectness=torch.linspace(1, 0, len(boxes)), source="rectangles"
    )


def random_masks(count: int, size: tuple[int, int], seed: int) -> Tensor:
    """Speckled masks of every density; none is empty; (N, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    density = torch.rand(count, 1, 1, generator=generator)
    masks = torch.rand(count, *size, generator=generator) < density
    corner = torch.randint(size[0] * size[1], (count,), generator=generator)
    masks.flatten(1)[torch.arange(count), corner] = True
    return masks


def random_proposals(
    count: int, size: tuple[int, int] = (6, 7), seed: int = 0
) -> Proposals:
    """Speckled proposals in a random order of preference."""
    return from_masks(random_masks(count, size, seed), source="random")


def tagged(
    *present: bool, points: Points | None = None, counts: tuple[int, ...] | None = None
) -> TaggedImage:
    """A black image of 8 × 10 pixels with these tags."""
    return TaggedImage(
        id=0,
        name="black.png",
        tags=torch.tensor(present),
        load=lambda: np.zeros((8, 10, 3), np.uint8),
        points=points,
        counts=None if counts is None else torch.tensor(counts),
    )


def points(*places: tuple[float, float, int]) -> Points:
    """Points as (x, y, class)."""
    return Points(
        xy=torch.tensor([[x, y] for x, y, _ in places]).float().view(-1, 2),
        label=torch.tensor([label for _, _, label in places], dtype=torch.long),
    )
