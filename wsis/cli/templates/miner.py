"""A miner: from a branch's scores to the proposals that are trusted as instances."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from wsis.contracts import BranchScores, Overlaps, PseudoInstances


@dataclass(frozen=True, kw_only=True)
class NewPart:
    """Takes one proposal a class: the one with the highest score times area^gamma.

    Args:
        gamma: at least 0; with 0 the score alone decides.

    Raises:
        ValueError: if ``gamma`` is negative.
    """

    sampler: ClassVar[str] = "none"

    gamma: float = 0.5

    def __post_init__(self) -> None:
        if not self.gamma >= 0:
            raise ValueError(f"gamma must be at least 0, got {self.gamma}")

    @torch.no_grad()
    def __call__(
        self, scores: BranchScores, overlaps: Overlaps, tags: Bool[Tensor, " C"]
    ) -> PseudoInstances:
        """Return one pseudo instance per class of ``tags``; ties: the lowest index."""
        c = tags.nonzero().flatten()
        score = scores.classification[:, 1:][:, c]  # (N, K): column 0 is background
        index = (score * overlaps.area[:, None] ** self.gamma).argmax(0)
        weight = score.gather(0, index[None])[0]
        return PseudoInstances(index, label=c + 1, weight=weight)
