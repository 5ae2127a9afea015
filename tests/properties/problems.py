"""Drawn problems without ties, and the same with their proposals in another order."""

import torch
from jaxtyping import Int
from torch import Tensor

from wsis.contracts import BranchScores, Overlaps, PseudoInstances


def order(seed: int, count: int) -> Int[Tensor, " N"]:
    """A random order; entry i tells which one comes i-th."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def untied(seed: int, count: int, classes: int, whole: bool = True) -> BranchScores:
    """Scores that are all different, as are their products."""
    generator = torch.Generator().manual_seed(seed)
    shape = (2, count, classes + 1)
    logits = torch.randn(shape, generator=generator, dtype=torch.double)
    return BranchScores(logits[0].softmax(1), logits[1].sigmoid() if whole else None)


def reordered(
    scores: BranchScores, overlaps: Overlaps, by: Int[Tensor, " N"]
) -> tuple[BranchScores, Overlaps]:
    """The same problem with proposal ``by[i]`` in place i; may repeat proposals."""
    return scores_by(scores, by), overlaps_by(overlaps, by)


def scores_by(scores: BranchScores, by: Int[Tensor, " N"]) -> BranchScores:
    loc = scores.localization
    return BranchScores(scores.classification[by], None if loc is None else loc[by])


def overlaps_by(overlaps: Overlaps, by: Int[Tensor, " N"]) -> Overlaps:
    return Overlaps(
        overlaps.iou[by[:, None], by],
        overlaps.containment[by[:, None], by],
        overlaps.area[by],
    )


def found(pseudo: PseudoInstances, by: Int[Tensor, " N"] | None = None) -> list[Tensor]:
    """Rows of index, label and weight, sorted; the index is that before reordering."""
    index = pseudo.index if by is None else by[pseudo.index]
    columns = (index.tolist(), pseudo.label.tolist(), pseudo.weight.tolist())
    return sorted(zip(*columns, strict=True))
