"""Rounds of training: what the model of one round finds teaches the next."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from wsis.contracts import Ledger, PseudoInstances
from wsis.cues.kept import label_key
from wsis.proposals.bags import Bag


@dataclass(frozen=True, eq=False)
class FoundTeacher:
    """Teaches what a trained model finds on training photos, each with weight 1.

    Args:
        find: gives a photo's instances; asked once a photo.
        ledger: the labels that the model was trained with.
    """

    find: Callable[[Bag], PseudoInstances]
    ledger: Ledger
    _kept: dict[str, PseudoInstances] = field(default_factory=dict, init=False)

    def __call__(self, bag: Bag) -> PseudoInstances:
        """Return what all branches learn from a bag."""
        key = label_key(bag)
        if key not in self._kept:
            found = self.find(bag)
            self._kept[key] = replace(found, weight=torch.ones_like(found.weight))
        return self._kept[key]
