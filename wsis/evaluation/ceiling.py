"""Teaches with true masks: for a bench's ceiling, and for no other training."""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool
from torch import Tensor

from wsis.contracts import (
    Annotated,
    GroundTruth,
    Ledger,
    Proposals,
    PseudoInstances,
    Supervision,
)
from wsis.geometry.frame import enlarged
from wsis.geometry.overlap import cross_iou
from wsis.proposals.bags import Bag


@dataclass(frozen=True, eq=False)
class MaskTeacher:
    """Teaches every branch the best proposal of every object.

    A network trained so shows what its features, losses and proposals can reach at
    most; a miner that finds its instances from tags can hope for no more.

    Args:
        seen: the training images and their objects.
    """

    seen: Annotated
    _known: dict[int, PseudoInstances] = field(default_factory=dict, init=False)

    @cached_property
    def _place(self) -> dict[int, int]:
        return {image.id: i for i, image in enumerate(self.seen.tagged.images)}

    @property
    def ledger(self) -> Ledger:
        """The masks, and the tags that choose among them."""
        return frozenset({Supervision.MASKS, Supervision.TAGS})

    def __call__(self, bag: Bag) -> PseudoInstances:
        """Return what ``best_proposals`` finds on a training image.

        Raises:
            ValueError: if the image is not of the training images, or of another size
                than its objects; names it.
        """
        number, name = bag.image.id, bag.image.name
        if number not in self._known:
            if number not in self._place:
                raise ValueError(f"expected a training image, got {name}")
            truth = self.seen.truths[self._place[number]]
            try:
                found = best_proposals(bag.proposals, truth, bag.tags)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
            self._known[number] = found
        return self._known[number]


def best_proposals(
    proposals: Proposals, truth: GroundTruth, tags: Bool[Tensor, " C"]
) -> PseudoInstances:
    """Return the proposal that overlaps each object most, with the object's class.

    Objects of classes that are not tagged, ignored ones (crowds, difficult ones) and
    those that no proposal touches have none. A proposal that is the best of several
    objects of a class comes once. The order is that of the objects; ties: the lowest
    proposal. All weights are 1. Proposals in the frame of a large photo are compared at
    the photo's size.

    Raises:
        ValueError: if masks are of another size than the proposals.
    """
    pairs: list[tuple[int, int]] = []
    if len(proposals):
        whole = enlarged(proposals, truth.size)
        best, index = cross_iou(whole, truth.masks).max(0)
        wanted = tags[truth.label - 1] & ~truth.ignore & (best > 0).cpu()
        pairs = [
            (int(index[g]), int(truth.label[g]))
            for g in wanted.nonzero().flatten().tolist()
        ]
    columns = torch.tensor(list(dict.fromkeys(pairs)), dtype=torch.long).reshape(-1, 2)
    return PseudoInstances(columns[:, 0], columns[:, 1], torch.ones(len(columns)))
