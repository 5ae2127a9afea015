"""A trained network's branches on one photo: their scores, and what teaches each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from wsis.contracts import BranchScores, Image, Proposals, PseudoInstances, Rle
from wsis.cues.kept import Cues
from wsis.geometry.drawing import overlay
from wsis.geometry.masks import rles
from wsis.geometry.overlap import overlaps
from wsis.proposals.bags import Bag
from wsis.runs.pipeline import Pipeline
from wsis.training.network import Model
from wsis.training.supervision import Strategy

HEAVIEST = 5
"""Most pseudo instances of a photo and branch that pictures show."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Branch:
    """A refinement branch on one photo.

    Args:
        number: 0…K−1.
        scores: its own, of every proposal.
        before: the scores of the branch before it, which the miner looks at; those of
            the anti-noise branch for branch 0.
        pseudo: what the miner finds in them, before sampling; None for a branch that
            cues taught, which are not kept with a run.
        proposals: that all indices count.
        image: the photo, or the frame of a large one.
        classes: names of labels 1…C.
    """

    number: int
    scores: BranchScores
    before: BranchScores
    pseudo: PseudoInstances | None
    proposals: Proposals
    image: Image
    classes: tuple[str, ...]

    def draw(
        self, most: int = HEAVIEST, side: int | None = None
    ) -> UInt8[np.ndarray, "h w 3"]:
        """Return the photo with the heaviest pseudo instances, each on its seed.

        Seeds that grew are white lines. Without pseudo instances it is the photo.

        Args:
            most: number of pseudo instances.
            side: longer side in pixels; None keeps the photo's.
        """
        if self.pseudo is None:
            return overlay(self.image, [], side=side)
        found = heaviest(self.pseudo, most)
        captions = [
            f"{self.classes[label - 1]} {weight:.2g}"
            for label, weight in zip(
                found.label.tolist(), found.weight.tolist(), strict=True
            )
        ]
        seed = found.index if found.seed is None else found.seed
        return overlay(
            self.image,
            self._masks(found.index),
            captions,
            side=side,
            inner=self._masks(seed[seed != found.index]),
        )

    def _masks(self, index: Tensor) -> Sequence[Rle]:
        return rles(self.proposals, index.to(self.proposals.members.device))


def heaviest(found: PseudoInstances, most: int | None) -> PseudoInstances:
    """Return the heaviest, or all; of equal weights, those found first."""
    return found.chosen(found.weight.argsort(descending=True, stable=True)[:most])


@torch.no_grad()
def branches_of(
    pipeline: Pipeline,
    model: Model,
    strategy: Strategy,
    bag: Bag,
    classes: tuple[str, ...],
    cues: Cues | None = None,
) -> list[Branch]:
    """Return the branches of a model as it is, and what would teach them on an image.

    The model sees the image once, as prediction shows it first, and its tags, no mask.
    The list is empty if the image has no tags, no proposals, or lacks the points that
    would teach a branch.
    """
    proposals = bag.proposals
    if not len(proposals) or not bag.tags.any():
        return []
    clusters = None
    unknown = cues is None and not strategy.anti_noise
    if cues is not None and not strategy.anti_noise:
        labels = cues(bag)
        if labels is None or not bool(labels.any()):
            return []
        clusters = labels.to(model.device)
    model.eval()
    pooled = pipeline.features(model)(bag, pipeline.test_views[0])
    scores, evidence = model(pooled), model.evidence(pooled, strategy.miner)
    previous: list[BranchScores] = [scores.anti_noise, *scores.branches[:-1]]
    meeting = overlaps(proposals).to(model.device)
    tags = bag.tags.to(model.device)
    counts = bag.image.counts
    if counts is not None:
        counts = counts.to(model.device)
    first = int(unknown)
    given = (meeting, tags, clusters, counts, evidence)
    found: list[PseudoInstances | None] = [None] * first
    found += strategy.mined(first, previous[first:], *given, done=1.0)
    return [
        Branch(
            number=k,
            scores=own,
            before=before,
            pseudo=pseudo,
            proposals=proposals,
            image=bag.pixels,
            classes=classes,
        )
        for k, (own, before, pseudo) in enumerate(
            zip(scores.branches, previous, found, strict=True)
        )
    ]
