"""No cues: the anti-noise branch learns from the tags alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wsis.contracts import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class NoCues:
    """Labels nothing; the cluster loss is then left out."""

    version = 1

    @property
    def ledger(self) -> Ledger:
        """No labels consumed."""
        return frozenset()

    def fit(
        self,
        maps: Sequence[Float[Tensor, "D _ _"]],
        tags: Bool[Tensor, "B C"],
        generator: torch.Generator,
    ) -> None:
        """Return None: there is nothing to learn."""
        del maps, tags, generator
