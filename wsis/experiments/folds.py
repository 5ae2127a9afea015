"""Cross-validation: a data set in parts, each of which is held out once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from wsis._support.files import digest
from wsis._support.randomness import generator
from wsis.contracts import Annotated, DataSource, GroundTruth, Tagged
from wsis.data.lazy import LazyTruths
from wsis.experiments.halves import whole
from wsis.runs.settings import SettingsError

TRIES = 100
"""Splits drawn until one has every class in every part."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fold:
    """A data set in which some images are held out and training has all others.

    Args:
        seen: what training has, and its objects.
        held_out: what it has not, likewise.
    """

    seen: Annotated
    held_out: Annotated

    @classmethod
    def of(cls, everything: Annotated, held_out: Sequence[int]) -> "Fold":
        """Of images numbered from 0, some of which are held out."""
        out = set(held_out)
        rest = [i for i in range(len(everything.truths)) if i not in out]
        return cls(seen=_some(everything, rest), held_out=_some(everything, held_out))

    def train(self) -> Tagged:
        """The images that are not held out, and their tags."""
        return self.seen.tagged

    def val(self) -> Annotated:
        """The images held out, and their objects."""
        return self.held_out

    def train_truths(self) -> Sequence[GroundTruth]:
        """The training images' objects, for ``wsis.evaluation.trace`` alone."""
        return self.seen.truths

    @property
    def numbers(self) -> list[int]:
        """Of the images held out, rising."""
        return [image.id for image in self.held_out.tagged.images]


@dataclass(frozen=True, slots=True, kw_only=True)
class Folds:
    """How a data set is parted.

    Images of both halves are put together, numbered anew from 0, training half first.
    Parts are alike in their classes, as far as tags tell: those of the rarest class are
    dealt out first, each to the part that lacks most of it (Sechidis et al., "On the
    Stratification of Multi-label Data", ECML PKDD 2011). No mask is looked at.

    Args:
        count: of the parts, 2 at least.
        seed: another one gives other parts.

    Raises:
        SettingsError: if ``count`` is below 2.
    """

    count: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 2:
            raise SettingsError(
                f"folds must be from 2 to the number of images, got {self.count}"
            )

    def of(self, data: DataSource) -> list[Fold]:
        """The folds of a data set; each image is held out in one of them.

        Raises:
            SettingsError: if there are fewer images than folds.
            ValueError: if the data set has no masks of its training half, or there are
                too few images of a class for each part to have one.
        """
        everything = whole(data)
        tags = torch.stack([image.tags for image in everything.tagged.images])
        if self.count > len(tags):
            raise SettingsError(
                f"folds must be from 2 to {len(tags)}, the number of images, got "
                f"{self.count}"
            )
        part = self._parts(tags, everything.tagged.classes)
        return [
            Fold.of(everything, (part == k).nonzero().flatten().tolist())
            for k in range(self.count)
        ]

    def _parts(
        self, tags: Bool[Tensor, "N C"], classes: Sequence[str]
    ) -> Int[Tensor, " N"]:
        rare = [
            f"{name} ({images})"
            for name, images in zip(classes, tags.sum(0).tolist(), strict=True)
            if images < self.count
        ]
        if rare:
            raise ValueError(
                f"expected {self.count} images of every class or more, so that each of "
                f"{self.count} folds has one; there are fewer of: {', '.join(rare)}"
            )
        draw = generator(self.seed, "folds")
        for _ in range(TRIES):
            part = deal(tags, self.count, draw)
            if all(bool(tags[part == k].any(0).all()) for k in range(self.count)):
                return part
        raise ValueError(
            f"expected every class in each of {self.count} folds, none of {TRIES} "
            "splits has that: too few images of too many classes; take fewer folds"
        )


def in_turn(folds: Sequence[Fold]) -> Annotated:
    """What all folds hold out, fold by fold: the images that a bench is measured on."""
    parts = [fold.held_out for fold in folds]
    return Annotated(
        tagged=replace(
            parts[0].tagged,
            images=[image for part in parts for image in part.tagged.images],
        ),
        truths=LazyTruths(
            [
                partial(part.truths.__getitem__, i)
                for part in parts
                for i in range(len(part.truths))
            ]
        ),
    )


def described(folds: Sequence[Fold], split: Folds) -> dict[str, Any]:
    """The split, JSON-like: how it was drawn, and what it came to."""
    return {
        "count": split.count,
        "seed": split.seed,
        "held_out": [len(fold.numbers) for fold in folds],
        "digest": digest(*(fold.numbers for fold in folds)),
    }


def deal(
    tags: Bool[Tensor, "N C"], count: int, generator: torch.Generator
) -> Int[Tensor, " N"]:
    """A part 0…``count``−1 for every image, so that parts are alike in their classes.

    Ties are drawn; images without tags are dealt out last.
    """
    images = torch.randperm(len(tags), generator=generator).tolist()
    present = [row.nonzero().flatten().tolist() for row in tags]
    lacks = (tags.sum(0).double() / count).repeat(count, 1).tolist()
    room = [len(tags) / count] * count
    part = [-1] * len(tags)

    def place(image: int, wanted: int | None) -> None:
        chance = torch.rand(count, generator=generator).tolist()
        best = max(
            range(count),
            key=lambda k: (
                0 if wanted is None else lacks[k][wanted],
                room[k],
                chance[k],
            ),
        )
        part[image] = best
        room[best] -= 1
        for c in present[image]:
            lacks[best][c] -= 1

    left = tags.sum(0)
    while bool((left > 0).any()):
        rarest = int(left.where(left > 0, len(tags) + 1).argmin())
        for image in images:
            if part[image] < 0 and rarest in present[image]:
                place(image, rarest)
                left = left - tags[image].long()
    for image in images:
        if part[image] < 0:
            place(image, None)
    return torch.tensor(part)


def _some(everything: Annotated, places: Sequence[int]) -> Annotated:
    images, truths = everything.tagged.images, everything.truths
    return Annotated(
        tagged=replace(everything.tagged, images=[images[i] for i in places]),
        truths=LazyTruths([partial(truths.__getitem__, i) for i in places]),
    )
