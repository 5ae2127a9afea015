"""Cluster labels of bags, computed when asked for and kept in memory."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Int
from torch import Tensor

from wsis.bags import Bag
from wsis.contracts import CueLabeller
from wsis.features.frozen import FrozenFeatures
from wsis.features.views import Scale
from wsis.overlaps import overlaps


@dataclass(frozen=True, slots=True, eq=False)
class Cues:
    """Cluster labels of bags, computed once each and kept in memory.

    Args:
        labeller: makes them; None gives no cues.
        features: gives the maps.
        side: of the image the maps are of.
    """

    labeller: CueLabeller | None
    features: FrozenFeatures
    side: int
    kept: dict[str, Tensor] = field(default_factory=dict)

    def __call__(self, bag: Bag) -> Int[Tensor, "N C1"] | None:
        """The cluster labels of a bag's proposals."""
        if self.labeller is None:
            return None
        if bag.key not in self.kept:
            proposals = bag.proposals
            labels = self.labeller(
                self.features.map(bag, Scale(self.side)),
                bag.tags,
                proposals,
                overlaps(proposals),
            )
            self.kept[bag.key] = labels.to(torch.int16)
        return self.kept[bag.key].long()
