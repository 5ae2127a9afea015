"""Other splits of a data set: cross-validation, and photos kept for their tags."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, compress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from wsis._support.checks import few, inside
from wsis._support.files import digest
from wsis._support.randomness import generator
from wsis.contracts import (
    Annotated,
    DataSource,
    GroundTruth,
    Tagged,
    TaggedImage,
    Traceable,
)
from wsis.data._truths import LazyTruths
from wsis.data.points import Pointed, with_points
from wsis.plugins import SettingError

TRIES = 100
"""Splits drawn until one has every class in every part."""

_Pair = tuple[TaggedImage, Callable[[], GroundTruth]]
"""An image and the maker of its truth."""


# --- Folds -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fold:
    """A data set that trains on some images and holds all others out for ``val``."""

    seen: Annotated
    held_out: Annotated

    def train(self) -> Tagged:
        """Return the images that are not held out, and their tags."""
        return self.seen.tagged

    def val(self) -> Annotated:
        """Return the images held out, and their objects."""
        return self.held_out

    def train_truths(self) -> Sequence[GroundTruth]:
        """Return the training images' objects, for ``wsis.evaluation.trace`` alone."""
        return self.seen.truths

    @property
    def numbers(self) -> list[int]:
        """The numbers of the images held out, rising."""
        return [image.id for image in self.held_out.tagged.images]


@dataclass(frozen=True, slots=True, kw_only=True)
class Folds:
    """A data set in parts, each of which is held out once.

    The images of both halves are put together and numbered from 0, training half first.
    Tags alone decide: the images of the rarest class are dealt out first, each to the
    part that lacks most of it (Sechidis et al., "On the Stratification of Multi-label
    Data", ECML PKDD 2011), so that the parts have similar shares of every class.

    Args:
        count: of the parts, at least 2.
        seed: each seed gives other parts.

    Raises:
        SettingError: if ``count`` is below 2.
    """

    count: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 2:
            raise SettingError(
                f"folds must be from 2 to the number of images, got {self.count}"
            )

    def of(self, data: DataSource) -> list[Fold]:
        """Return the folds of a data set; each image is held out in one of them.

        Raises:
            SettingError: if there are fewer images than folds.
            ValueError: if a half has no masks, or a class has fewer images than folds.
        """
        everything = whole(data)
        tagged, pairs = everything.tagged, _pairs(everything)
        tags = torch.stack([image.tags for image in tagged.images])
        if self.count > len(tags):
            raise SettingError(
                f"folds must be from 2 to {len(tags)}, the number of images, got "
                f"{self.count}"
            )
        part = self._parts(tags, tagged.classes)
        return [
            Fold(
                seen=_annotated(tagged, compress(pairs, part != k)),
                held_out=_annotated(tagged, compress(pairs, part == k)),
            )
            for k in range(self.count)
        ]

    def described(self, folds: Sequence[Fold]) -> dict[str, Any]:
        """Return how the folds were drawn and what came of it, ready for JSON."""
        return {
            "count": self.count,
            "seed": self.seed,
            "held_out": [len(fold.numbers) for fold in folds],
            "digest": digest(*(fold.numbers for fold in folds)),
        }

    def _parts(
        self, tags: Bool[Tensor, "B C"], classes: Sequence[str]
    ) -> Int[Tensor, " B"]:
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
    """Return what all folds hold out, fold by fold."""
    pairs = chain.from_iterable(_pairs(fold.held_out) for fold in folds)
    return _annotated(folds[0].held_out.tagged, pairs)


def deal(
    tags: Bool[Tensor, "B C"], count: int, generator: torch.Generator
) -> Int[Tensor, " B"]:
    """Return a part 0…``count``−1 for every image, with like shares of classes.

    Ties are drawn; images without tags are dealt out last.
    """
    images = torch.randperm(len(tags), generator=generator).tolist()
    present = [row.nonzero().flatten().tolist() for row in tags]
    lacks = (tags.sum(0).double() / count).repeat(count, 1).tolist()
    room = [len(tags) / count] * count
    part = [-1] * len(tags)

    def place(image: int, wanted: int | None) -> None:
        chance = torch.rand(count, generator=generator).tolist()
        need = [0 if wanted is None else row[wanted] for row in lacks]
        best = max(range(count), key=lambda k: (need[k], room[k], chance[k]))
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


# --- Both halves as one ------------------------------------------------------------


def whole(data: DataSource) -> Annotated:
    """Return both halves of a data set together, images numbered from 0.

    Raises:
        ValueError: if it lacks the masks of a half, the halves have different classes
            or share photos, or its file of points covers only one of them.
    """
    source = data.source if isinstance(data, Pointed) else data
    val = source.val()
    if not isinstance(source, Traceable) or val is None:
        half = "validation half (val)"
        if val is not None:
            half = "training half (train_truths)"
        raise ValueError(
            "expected a data set with masks of both halves for folds, as every image "
            f"is held out once; {type(source).__name__} has none of its {half}"
        )
    train = source.train()
    if train.classes != val.tagged.classes:
        raise ValueError(
            "expected the same classes in both halves, got "
            f"{train.classes} and {val.tagged.classes}"
        )
    named = {image.name: image for image in train.images}
    twice = [
        image.name
        for image in val.tagged.images
        if image.name in named
        and np.array_equal(image.load(), named[image.name].load())
    ]
    if twice:
        raise ValueError(
            "expected other photos in each half for folds, as each is held out once; "
            f"{len(twice)} are in both: {few(twice)}"
        )
    try:
        truths = source.train_truths()
    except (ValueError, FileNotFoundError) as error:
        raise ValueError(f"folds need masks of the training half: {error}") from None
    pairs = chain(_pairs(Annotated(tagged=train, truths=truths)), _pairs(val))
    numbered = [
        (replace(image, id=i), partial(_numbered, make, i))
        for i, (image, make) in enumerate(pairs)
    ]
    both = _annotated(train, numbered)
    if isinstance(data, Pointed):
        return replace(both, tagged=_pointed(both.tagged, len(train.images), data.file))
    return both


def _pointed(tagged: Tagged, train: int, file: str | Path) -> Tagged:
    """Return both halves, ``train`` images first, with the points of a file."""
    count = Counter(image.name for image in tagged.images)
    if alike := [name for name, photos in count.items() if photos > 1]:
        raise ValueError(
            "expected a name of its own for each photo, as a file of points names "
            f"them, got two photos each of: {few(alike)}"
        )
    found = with_points(tagged, file)
    halves = {"training": found.images[:train], "validation": found.images[train:]}
    for half, images in halves.items():
        if all(image.points is None for image in images):
            raise ValueError(
                "expected points on photos of both halves for folds, as all are "
                f"trained on; {file} has none of the {half} half"
            )
    return found


def _numbered(make: Callable[[], GroundTruth], number: int) -> GroundTruth:
    return replace(make(), image_id=number)


def _pairs(data: Annotated) -> list[_Pair]:
    makers = [partial(data.truths.__getitem__, i) for i in range(len(data.truths))]
    return list(zip(data.tagged.images, makers, strict=True))


def _annotated(like: Tagged, pairs: Iterable[_Pair]) -> Annotated:
    images, makers = zip(*pairs, strict=True)
    return Annotated(tagged=replace(like, images=images), truths=LazyTruths(makers))


# --- Photos kept back --------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A data set whose training half lacks the photos held out.

    Only tagged photos are held out, drawn at random; ``held`` gives them as ``Tagged``,
    which has no masks, so that no criterion can look at any.

    Args:
        source: the whole data set.
        share: of its tagged training photos that are held out, in (0, 1).
        seed: each seed holds out other photos.
        judged: whether the validation photos' masks judge; without, ``val`` is empty.

    Raises:
        ValueError: if ``share`` is out of range.
    """

    source: DataSource
    share: float = 0.25
    seed: int = 0
    judged: bool = True

    def __post_init__(self) -> None:
        inside("held_out", self.share)

    def train(self) -> Tagged:
        """Return the photos that are trained on.

        Raises:
            ValueError: if no tagged photo is left, or none is held out.
        """
        return self._half(held=False)

    def held(self) -> Tagged:
        """Return the photos held out; raises as ``train``."""
        return self._half(held=True)

    def val(self) -> Annotated:
        """Return the validation photos with their masks, or no photos if not judged.

        Raises:
            ValueError: if masks are to judge and the data set has none.
        """
        if not self.judged:
            nothing = replace(self.source.train(), images=[])
            return Annotated(tagged=nothing, truths=[])
        val = self.source.val()
        if val is None:
            raise ValueError(
                "expected masks of validation photos to judge by; "
                f"{type(self.source).__name__} has none"
            )
        return val

    def _half(self, *, held: bool) -> Tagged:
        everything = self.source.train()
        images = everything.images
        tagged = [i for i, image in enumerate(images) if image.tags.any()]
        count = round(self.share * len(tagged))
        if not 0 < count < len(tagged):
            raise ValueError(
                "expected tagged photos both to train on and to hold out, got "
                f"{len(tagged) - count} and {count}"
            )
        draw = generator(self.seed, "held-out tags")
        order = torch.randperm(len(tagged), generator=draw)
        out = {tagged[i] for i in order[:count].tolist()}
        chosen = [image for i, image in enumerate(images) if (i in out) == held]
        return replace(everything, images=chosen)
