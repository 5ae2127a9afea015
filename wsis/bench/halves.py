"""Both halves of a data set as one, so that any image can be held out."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from wsis.checks import few
from wsis.contracts import Annotated, DataSource, GroundTruth, Tagged, Traceable
from wsis.data.lazy import LazyTruths
from wsis.data.points import Pointed, with_points


def whole(data: DataSource) -> Annotated:
    """Both halves of a data set together, images numbered from 0.

    Raises:
        ValueError: if it has no masks of its training half, the halves are of different
            classes or share photos, or its file has points of one of them alone.
    """
    if isinstance(data, Pointed):
        return _pointed(whole(data.source), data)
    if not isinstance(data, Traceable):
        raise ValueError(
            "expected a data set with masks of its training half for folds, as every "
            f"image is held out once; {type(data).__name__} has none (train_truths)"
        )
    train, val = data.train(), data.val()
    if train.classes != val.tagged.classes:
        raise ValueError(
            "expected the same classes in both halves, got "
            f"{train.classes} and {val.tagged.classes}"
        )
    _apart(train, val.tagged)
    try:
        truths = data.train_truths()
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
    return Annotated(
        tagged=replace(
            train, images=[replace(image, id=i) for i, image in enumerate(images)]
        ),
        truths=LazyTruths(
            [partial(_numbered, make, i) for i, make in enumerate(makers)]
        ),
    )


def _pointed(everything: Annotated, data: Pointed) -> Annotated:
    """Both halves with the points of one file, which knows images by their names."""
    count = Counter(image.name for image in everything.tagged.images)
    if alike := [name for name, photos in count.items() if photos > 1]:
        raise ValueError(
            "expected a name of its own for each photo, as a file of points knows them "
            f"by it, got two photos each of: {few(alike)}"
        )
    tagged = with_points(everything.tagged, data.file)
    border = len(data.source.train().images)
    for half, images in (
        ("training", tagged.images[:border]),
        ("validation", tagged.images[border:]),
    ):
        if all(image.points is None for image in images):
            raise ValueError(
                "expected points of photos of both halves for folds, as all are "
                f"trained on; {data.file} has none of the {half} half"
            )
    return replace(everything, tagged=tagged)


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
