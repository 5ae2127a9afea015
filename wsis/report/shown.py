"""Keeps what a report shows of a run beside predictions: kinds of errors, mining."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from wsis._support.files import read_packed, write_packed
from wsis.contracts import PseudoInstances
from wsis.cues.kept import Cues
from wsis.evaluation import Anatomy
from wsis.proposals.bags import Bag
from wsis.runs.branches import HEAVIEST, branches_of, heaviest
from wsis.runs.pipeline import Pipeline
from wsis.training.network import Model
from wsis.training.supervision import Strategy

MINED = 8
"""Largest number of a bench's images whose mining is shown."""


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
        some = heaviest(found, most)
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


def mine(
    pipeline: Pipeline,
    model: Model,
    strategy: Strategy,
    bag: Bag,
    cues: Cues | None,
    most: int | None = HEAVIEST,
) -> list[Mined]:
    """Return what each branch would be taught on an image, as ``branches_of`` does.

    Without cues, it lacks the branch that they would teach.
    """
    found = branches_of(pipeline, model, strategy, bag, (), cues)
    return [
        Mined.of(one.number, one.pseudo, most)
        for one in found
        if one.pseudo is not None
    ]
