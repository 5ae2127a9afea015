"""Problems with their proposals in another order, and results to compare."""

from jaxtyping import Int
from torch import Tensor

from wsis.contracts import BranchScores, Overlaps, PseudoInstances
from wsis.testing._drawn import order, overlaps_by, scores_by, untied

__all__ = ["found", "order", "overlaps_by", "reordered", "scores_by", "untied"]


def reordered(
    scores: BranchScores, overlaps: Overlaps, by: Int[Tensor, " N"]
) -> tuple[BranchScores, Overlaps]:
    """The same problem with proposal ``by[i]`` in place i; may repeat proposals."""
    return scores_by(scores, by), overlaps_by(overlaps, by)


def found(pseudo: PseudoInstances, by: Int[Tensor, " N"] | None = None) -> list[Tensor]:
    """Rows of index, label and weight, sorted; the index is that before reordering."""
    index = pseudo.index if by is None else by[pseudo.index]
    columns = (index.tolist(), pseudo.label.tolist(), pseudo.weight.tolist())
    return sorted(zip(*columns, strict=True))
