"""Tells where the halves of a data set do not agree: in classes, photos or tags."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Int
from torch import Tensor

from wsis._support.checks import few, many, warn
from wsis.contracts import Annotated, GroundTruth, Tagged, TaggedImage
from wsis.data._truths import LazyTruths
from wsis.data.names import plain


def for_classes(half: Annotated, classes: Sequence[str], of: str) -> Annotated:
    """Return a half with its objects as one of other classes; see ``tagged_for``."""
    tagged = tagged_for(half.tagged, classes, of)
    if tagged is half.tagged:
        return half
    makers = [
        partial(_relabelled, half, i, tagged.classes) for i in range(len(half.truths))
    ]
    return Annotated(tagged=tagged, truths=LazyTruths(makers))


def tagged_for(tagged: Tagged, classes: Sequence[str], of: str) -> Tagged:
    """Return photos as a data set of other classes, which are matched by name.

    Warns of classes that it lacks, which have no objects, and of further classes on
    its photos, whose objects are left out.

    Args:
        tagged: the photos.
        classes: names of labels 1…C in the result.
        of: whose classes they are, for messages.

    Raises:
        ValueError: if it has none of them.
    """
    if tagged.classes == tuple(classes):
        return tagged
    to = labels_among(tagged.classes, classes)
    own = set(map(plain, tagged.classes))
    if lacking := [name for name in classes if plain(name) not in own]:
        if not to.any():
            raise ValueError(
                f"expected data of the classes of {of}, {', '.join(classes)}; "
                f"{tagged.name} has {', '.join(tagged.classes)}"
            )
        warn(
            f"{tagged.name} lacks classes of {of} ({len(lacking)}): {few(lacking)}; "
            "they get no figures, and the means are over the others"
        )
    images = []
    for one in tagged.images:
        tags, counts = _moved(one.tags, to, len(classes)), one.counts
        if counts is not None:
            counts = _moved(counts, to, len(classes))
        images.append(replace(one, tags=tags, counts=counts))
    pairs = zip(photos_of_each(tagged).items(), to[1:], strict=True)
    further = [
        f"{name} (on {photos} photos)"
        for (name, photos), label in pairs
        if photos and not label
    ]
    if further:
        warn(
            f"{tagged.name} has {len(further)} classes that {of} lacks; their objects "
            f"are left out: {few(further)}"
        )
    return replace(tagged, classes=tuple(classes), images=images)


def labels_among(own: Sequence[str], classes: Sequence[str]) -> Int[Tensor, " C1"]:
    """Return each label's label among other classes, by name; 0 where it has none."""
    place = {plain(name): i for i, name in enumerate(classes, 1)}
    return torch.tensor([0, *(place.get(plain(name), 0) for name in own)])


def summary(tagged: Tagged) -> str:
    """Return one line about the photos, classes and points of training data."""
    counts = photos_of_each(tagged)
    background = tagged.background
    none = sum(not bool(one.tags.any()) for one in tagged.images) - background
    points = sum(len(one.points) for one in tagged.images if one.points is not None)
    objects = sum(int(x.counts.sum()) for x in tagged.images if x.counts is not None)
    return (
        f"data: {tagged.name}: {many(len(tagged.images), 'photo')} of "
        f"{len(counts)} {'class' if len(counts) == 1 else 'classes'} "
        f"({few([f'{name} {count}' for name, count in counts.items()])})"
        + (f"; background: {background}" if background else "")
        + (f"; without tags: {none}" if none else "")
        + (f"; points: {points}" if points else "")
        + (f"; objects counted: {objects}" if objects else "")
    )


def photos_of_each(tagged: Tagged) -> dict[str, int]:
    """Return the number of photos of each class."""
    counts = torch.zeros(len(tagged.classes), dtype=torch.long)
    for image in tagged.images:
        counts += image.tags
    return dict(zip(tagged.classes, counts.tolist(), strict=True))


def tell_untagged(tagged: Tagged) -> None:
    """Warn of classes that no photo is tagged with, and of a single tagged photo."""
    with_tags = [image for image in tagged.images if image.tags.any()]
    if len(with_tags) == 1:
        warn(
            f"{tagged.name} has a single photo with tags, {with_tags[0].name}: a model "
            "learns nothing from it that holds for others; use 20 or more of each class"
        )
    none = [name for name, count in photos_of_each(tagged).items() if not count]
    if none:
        warn(
            f"no photo of {tagged.name} is tagged {few(none)}: nothing teaches "
            f"{len(none)} of {len(tagged.classes)} classes, and predictions of them "
            "are chance; leave them out of the classes"
        )


def tell_repeated(images: Sequence[TaggedImage], keys: Sequence[str]) -> None:
    """Warn of photos that training sees twice with different tags.

    Args:
        images: the training photos.
        keys: a digest of the pixels of each.
    """
    alike: dict[str, list[TaggedImage]] = defaultdict(list)
    for image, key in zip(images, keys, strict=True):
        alike[key].append(image)
    odd = [
        " and ".join(image.name for image in some)
        for some in alike.values()
        if any(not image.tags.equal(some[0].tags) for image in some)
    ]
    if odd:
        warn(
            f"{len(odd)} training photos occur several times with different tags: "
            f"{few(odd)}; they have the same pixels: remove all but one"
        )


def tell_shared(
    images: Sequence[TaggedImage],
    keys: Sequence[str],
    others: Sequence[str],
    what: str = "validation",
) -> int:
    """Return how many photos are also trained on, and warn of them.

    Args:
        images: photos that training should not see.
        keys: a digest of the pixels of each.
        others: the same of the training photos.
        what: what the photos are for.
    """
    seen = set(others)
    both = [one.name for one, key in zip(images, keys, strict=True) if key in seen]
    if both:
        warn(
            f"{len(both)} of {len(images)} {what} photos are also training photos "
            f"(the same pixels): {few(both)}; figures on photos that were trained on "
            "say little about others"
        )
    return len(both)


def _moved(of: Tensor, to: Int[Tensor, " C1"], classes: int) -> Tensor:
    """Return what is told of each class, as other classes have it."""
    moved = of.new_zeros(classes + 1)
    moved[to[1:][of > 0]] = of[of > 0]
    return moved[1:]


def _relabelled(half: Annotated, index: int, classes: Sequence[str]) -> GroundTruth:
    truth = half.truths[index]
    label = labels_among(half.tagged.classes, classes)[truth.label]
    keep = label > 0
    return replace(
        truth,
        label=label[keep],
        masks=[truth.masks[i] for i in keep.nonzero().flatten().tolist()],
        ignore=truth.ignore[keep],
        area=truth.area[keep],
    )
