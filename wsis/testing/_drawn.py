"""Drawn proposals, scores and photos, small enough to check by hand."""

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from wsis.contracts import BranchScores, Image, Overlaps, Proposals, PseudoInstances
from wsis.geometry.masks import from_masks
from wsis.geometry.overlap import overlaps


def strips(*spans: tuple[int, int], width: int = 10) -> Proposals:
    """Return columns start:stop of a one-pixel-high image as proposals, best first."""
    columns = torch.arange(width)
    masks = torch.stack([(a <= columns) & (columns < b) for a, b in spans])
    return from_masks(
        masks[:, None], objectness=torch.linspace(1, 0, len(spans)), source="strips"
    )


def random_masks(
    count: int, size: tuple[int, int], seed: int
) -> Bool[Tensor, "N height width"]:
    """Return speckled masks of every density; none is empty."""
    generator = torch.Generator().manual_seed(seed)
    density = torch.rand(count, 1, 1, generator=generator)
    masks = torch.rand(count, *size, generator=generator) < density
    corner = torch.randint(size[0] * size[1], (count,), generator=generator)
    masks.flatten(1)[torch.arange(count), corner] = True
    return masks


def random_proposals(
    count: int, size: tuple[int, int] = (6, 7), seed: int = 0
) -> Proposals:
    """Return speckled proposals, all with the same objectness."""
    return from_masks(random_masks(count, size, seed), source="random")


def drawn(
    seed: int, count: int, classes: int, levels: int = 16
) -> tuple[BranchScores, Overlaps, Bool[Tensor, " C"]]:
    """Return a miner's three arguments, full of ties.

    Scores have few levels, and proposals are nested and repeated rectangles.

    Args:
        seed: of the drawing.
        count: number of proposals.
        classes: their number, C; each is a tag with a chance of two in three.
        levels: number of different scores; with 1 everything ties.
    """
    generator = torch.Generator().manual_seed(seed)

    def integers(high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=generator)

    shape = (count, classes + 1)
    scores = BranchScores(
        (1 + integers(levels, *shape)) / levels, (1 + integers(levels, *shape)) / levels
    )
    side = torch.arange(7)
    start, size = integers(5, count, 2, 1), 1 + integers(4, count, 2, 1)
    inside = (start <= side) & (side < start + size)  # (N, 2, 7)
    masks = inside[:, 0, :, None] & inside[:, 1, None, :]
    return scores, overlaps(from_masks(masks)), integers(3, classes) > 0


def untied(seed: int, count: int, classes: int, *, whole: bool = True) -> BranchScores:
    """Return scores that are all different, as are their products.

    Args:
        seed: of the drawing.
        count: number of proposals.
        classes: their number, C.
        whole: whether there is a localization.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = (2, count, classes + 1)
    logits = torch.randn(shape, generator=generator, dtype=torch.double)
    return BranchScores(logits[0].softmax(1), logits[1].sigmoid() if whole else None)


def order(seed: int, count: int) -> Int[Tensor, " N"]:
    """Return a random order; entry i tells which one comes i-th."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def scores_by(scores: BranchScores, by: Int[Tensor, " K"]) -> BranchScores:
    """Return the scores of proposals in another order; some may repeat."""
    loc = scores.localization
    return BranchScores(scores.classification[by], None if loc is None else loc[by])


def overlaps_by(overlap: Overlaps, by: Int[Tensor, " K"]) -> Overlaps:
    """Return the overlaps of proposals in another order; some may repeat."""
    rows = by[:, None]
    return Overlaps(
        overlap.iou[rows, by], overlap.containment[rows, by], overlap.area[by]
    )


def pseudo_drawn(seed: int, count: int, proposals: int = 20) -> PseudoInstances:
    """Return pseudo instances of three classes; proposals may repeat."""
    generator = torch.Generator().manual_seed(seed)
    return PseudoInstances(
        torch.randint(proposals, (count,), generator=generator),
        torch.randint(1, 4, (count,), generator=generator),
        torch.randint(4, (count,), generator=generator) / 4,
    )


def photo(height: int = 48, width: int = 64) -> Image:
    """Return noise with a red rectangle in it."""
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    image[height // 5 : 5 * height // 8, width // 3 : 4 * width // 5] = (200, 30, 30)
    return image
