"""Small pictures for tests, drawn in a line."""

import numpy as np
import torch

from wsis.contracts import Points, Proposals, TaggedImage
from wsis.evaluation.matches import Matches, tabulate
from wsis.geometry.masks import from_masks
from wsis.testing import random_masks, random_proposals, strips

__all__ = [
    "points",
    "random_masks",
    "random_proposals",
    "rectangles",
    "strips",
    "tagged",
]


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


def match(predictions, truths, classes):
    """Match predictions to objects, as a bench does."""
    return Matches.of(tabulate(predictions, truths, classes))
