"""Keeps what a report shows of a run beside predictions: kinds of errors, mining."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from wsis._support.files import read_packed, write_packed
from wsis.contracts import BranchScores, PseudoInstances
from wsis.cues.kept import Cues
from wsis.evaluation import Anatomy
from wsis.geometry.overlap import overlaps
from wsis.proposals.bags import Bag
from wsis.runs.pipeline import Pipeline
from wsis.training.network import Model
from wsis.training.supervision import Strategy

MINED = 8
"""Largest number of a bench's images whose mining is shown."""

HEAVIEST = 5
"""Largest number of pseudo instances of an image and branch that pictures show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined:
    """The heaviest pseudo instances by which one branch is taught on one image.

    Args:
        branch: 0…K−1.
        count: number of all pseudo instances, before sampling.
        index: the proposals that are pseudo instances, heaviest first.
        seed: the proposals from which they were found; often they themselves.
        label: classes, 1…C.
        weight: how much each is trusted.
    """

    branch: int
    count: int
    index: list[int]
    seed: list[int]
    label: list[int]
    weight: list[float]

    @classmethod
    def of(
        cls, branch: int, found: PseudoInstances, most: int | None = HEAVIEST
    ) -> "Mined":
        """Keep the heaviest, or all; of equal weights, those found first."""
        order = found.weight.argsort(descending=True, stable=True)[:most]
        some = found.chosen(order)
        index = some.index.tolist()
        return cls(
            branch=branch,
            count=len(found),
            index=index,
            seed=index if some.seed is None else some.seed.tolist(),
            label=some.label.tolist(),
            weight=some.weight.tolist(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Errors and mined instances of a run, by number of the image.

    Args:
        predictions: the kind of each prediction, as ``Anatomy.of_predictions``.
        objects: the kind of each object, as ``Anatomy.of_objects``.
        mined: what each branch is taught on some images.
    """

    predictions: Mapping[int, Sequence[str]] = field(default_factory=dict)
    objects: Mapping[int, Sequence[str]] = field(default_factory=dict)
    mined: Mapping[int, Sequence[Mined]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, anatomy: Anatomy | None, mined: Mapping[int, Sequence[Mined]] | None = None
    ) -> "Shown":
        """Keep what is known; images without an object to find have no kinds."""
        if anatomy is None:
            return cls(mined=mined or {})
        return cls(
            predictions=anatomy.of_predictions,
            objects=anatomy.of_objects,
            mined=mined or {},
        )

    def save(self, path: Path) -> None:
        """Write it as compressed JSON, atomically."""
        write_packed(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> "Shown":
        """Read what ``save`` wrote.

        Raises:
            ValueError: if the file is damaged.
        """
        try:
            content = read_packed(path)
            return cls(
                predictions={int(i): x for i, x in content["predictions"].items()},
                objects={int(i): x for i, x in content["objects"].items()},
                mined={
                    int(i): [Mined(**one) for one in x]
                    for i, x in content["mined"].items()
                },
            )
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise ValueError(f"{path} is damaged: {error}") from None


def spread(count: int, images: int) -> list[int]:
    """Return places of up to ``count`` of so many images, evenly spread, rising."""
    count = min(count, images)
    places: list[int] = (np.arange(count) * images // max(count, 1)).tolist()
    return places


@torch.no_grad()
def mine(
    pipeline: Pipeline,
    model: Model,
    strategy: Strategy,
    bag: Bag,
    cues: Cues | None,
    most: int | None = HEAVIEST,
) -> list[Mined]:
    """Return what each branch would be taught on an image by the model as it is.

    The model sees the image once, as prediction shows it first, and its tags, no mask.
    The list is empty if the image has no tags, no proposals, or lacks the points that
    would teach a branch. Without cues, it lacks the branch that they would teach.
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
    found = strategy.mined(first, previous[first:], *given, done=1.0)
    return [Mined.of(k, one, most) for k, one in enumerate(found, first)]
