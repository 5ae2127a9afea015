"""Cues: the first labels, from which the anti-noise branch learns."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wsis.contracts import Ledger, Overlaps, Proposals, Supervision, TaggedImage


@dataclass(frozen=True, kw_only=True)
class NewPart:
    """Labels the proposals that cover a given share of the photo, where it has one tag.

    Args:
        least: share of the photo, in [0, 1].
        most: share of the photo, in [least, 1].

    Raises:
        ValueError: if a setting is out of range.
    """

    least: float = 0.1
    most: float = 0.6

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most <= 1:
            raise ValueError(
                f"expected 0 <= least <= most <= 1, got {self.least} and {self.most}"
            )

    @property
    def ledger(self) -> Ledger:
        """The tags."""
        return frozenset({Supervision.TAGS})

    def fit(
        self,
        maps: Sequence[Float[Tensor, "D _ _"]],
        tags: Bool[Tensor, "B C"],
        generator: torch.Generator,
    ) -> "NewPart":
        """Return the cues themselves: these learn nothing from the training photos."""
        del maps, tags, generator
        return self

    def __call__(
        self,
        image: TaggedImage,
        map: Float[Tensor, "D _ _"],
        proposals: Proposals,
        overlaps: Overlaps,
    ) -> Int[Tensor, "N C1"]:
        """Return 1 in the tag's column for the proposals of that size, 0 elsewhere."""
        del map
        labels = torch.zeros(len(proposals), len(image.tags) + 1, dtype=torch.long)
        height, width = proposals.size
        share = overlaps.area / (height * width)
        if image.tags.sum() == 1:
            column = 1 + int(image.tags.nonzero())
            labels[:, column] = ((share >= self.least) & (share <= self.most)).long()
        return labels
