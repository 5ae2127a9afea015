"""Both halves of a data set as one, so that any image can be held out."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from wsis._support.checks import few
from wsis.contracts import Annotated, DataSource, GroundTruth, Tagged, Traceable
from wsis.data.lazy import LazyTruths
from wsis.data.points import Pointed, with_points


def whole(data: DataSource) -> Annotated:
    """Both halves of a data set together, images numbered from 0.

    Raises:
        ValueError: if it has no masks of its training half, the halves are of different
            classes or share photos, or its file has points of one of them alone.
    """
    source = data.source if isinstance(data, Pointed) else data
    if not isinstance(source, Traceable):
        raise ValueError(
            "expected a data set with masks of its training half for folds, as every "
            f"image is held out once; {type(source).__name__} has none (train_truths)"
        )
    train, val = source.train(), source.val()
    if train.classes != val.tagged.classes:
        raise ValueError(
            "expected the same classes in both halves, got "
            f"{train.classes} and {val.tagged.classes}"
        )
    _apart(train, val.tagged)
    try:
        truths = source.train_truths()
    except (ValueError, FileNotFoundError) as error:
        raise ValueError(
            f"folds take the masks of the training half, too: {error}"
        ) from None
    images = [*train.images, *val.tagged.images]
    makers = [
        partial(half.__getitem__, i)
        for half in (truths, val.truths)
        for i in range(len(half))
    ]
    tagged = replace(
        train, images=[replace(image, id=i) for i, image in enumerate(images)]
    )
    if isinstance(data, Pointed):
        tagged = _pointed(tagged, len(train.images), data.file)
    return Annotated(
        tagged=tagged,
        truths=LazyTruths(
            [partial(_numbered, make, i) for i, make in enumerate(makers)]
        ),
    )


def _pointed(tagged: Tagged, train: int, file: Path) -> Tagged:
    """Both halves, the first ``train`` images being one, with the points of a file.

    Images are known by their names there.
    """
    count = Counter(image.name for image in tagged.images)
    if alike := [name for name, photos in count.items() if photos > 1]:
        raise ValueError(
            "expected a name of its own for each photo, as a file of points knows them "
            f"by it, got two photos each of: {few(alike)}"
        )
    found = with_points(tagged, file)
    for half, images in (
        ("training", found.images[:train]),
        ("validation", found.images[train:]),
    ):
        if all(image.points is None for image in images):
            raise ValueError(
                "expected points of photos of both halves for folds, as all are "
                f"trained on; {file} has none of the {half} half"
            )
    return found


def _apart(train: Tagged, val: Tagged) -> None:
    """Makes sure that no photo is in both halves; only equal names are looked into."""
    named = {image.name: image for image in train.images}
    twice = [
        image.name
        for image in val.images
        if image.name in named
        and np.array_equal(image.load(), named[image.name].load())
    ]
    if twice:
        raise ValueError(
            f"expected other photos in each half for folds, as each is held out once; "
            f"{len(twice)} are in both: {few(twice)}"
        )


def _numbered(make: Callable[[], GroundTruth], number: int) -> GroundTruth:
    return replace(make(), image_id=number)
