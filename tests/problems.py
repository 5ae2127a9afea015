"""Builders of mining problems: spans of a line as proposals, and drawn ones."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wsis.contracts import BranchScores, Overlaps, PseudoInstances
from wsis.testing import drawn

__all__ = [
    "drawn",
    "overlaps_of",
    "probabilities",
    "pseudo_of",
    "scores_of",
    "spans",
    "tags_of",
]


def overlaps_of(masks: Bool[Tensor, "N P"]) -> Overlaps:
    """Overlaps of masks given as flat pixels."""
    flat = masks.float()
    inside, area = flat @ flat.T, flat.sum(1)
    return Overlaps(inside / (area[:, None] + area - inside), inside / area, area)


def spans(*ends: tuple[int, int]) -> Overlaps:
    """Overlaps of the stretches start:stop of a line."""
    pixels = torch.arange(max(stop for _, stop in ends))
    return overlaps_of(
        torch.stack([(start <= pixels) & (pixels < stop) for start, stop in ends])
    )


def scores_of(
    *columns: list[float], loc: list[list[float]] | None = None
) -> BranchScores:
    """Scores by class, without background; by default without localization."""
    cls = torch.tensor([[0.0] * len(columns[0]), *columns]).T
    if loc is None:
        return BranchScores(cls, None)
    return BranchScores(cls, torch.tensor([[0.0] * len(loc[0]), *loc]).T)


def tags_of(*present: int) -> Bool[Tensor, " C"]:
    """Image-level tags: 1 where the class is present."""
    return torch.tensor(present) > 0


def pseudo_of(*found: tuple[int, int, float]) -> PseudoInstances:
    """Pseudo instances as (index, label, weight)."""
    return PseudoInstances(
        torch.tensor([index for index, _, _ in found], dtype=torch.long),
        torch.tensor([label for _, label, _ in found], dtype=torch.long),
        torch.tensor([weight for _, _, weight in found], dtype=torch.float32),
    )


def probabilities(
    seed: int, count: int, columns: int
) -> tuple[Float[Tensor, "N C1"], Float[Tensor, "N C1"]]:
    """A softmax over columns and a sigmoid, in double precision."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, count, columns, generator=generator, dtype=torch.double)
    return logits[0].softmax(1), logits[1].sigmoid()
