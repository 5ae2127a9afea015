"""Points that somebody set on objects, from a file: one point an object."""

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from wsis.contracts import (
    Annotated,
    DataSource,
    GroundTruth,
    Numbered,
    Points,
    Tagged,
    Traceable,
)
from wsis.data._tables import read_rows
from wsis.data.annotations import AnnotationFile
from wsis.data.names import plain
from wsis.plugins import nearest

_Point = tuple[str, str, Any, Any, str]
"""Where it stands, for messages; the photo's name, x, y and the name of the class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointed:
    """A data set with points on its training images; validation is as it was.

    Args:
        source: the data set.
        file: of the points, as ``with_points`` reads it.
    """

    source: DataSource
    file: Path

    def train(self) -> Tagged:
        """Return the training images with their points."""
        return with_points(self.source.train(), self.file)

    def val(self) -> Annotated | None:
        """Return the validation images and their masks, if the data set has any."""
        return self.source.val()

    def train_truths(self) -> Sequence[GroundTruth]:
        """Return the training images' objects.

        Raises:
            ValueError: if the data set has none.
        """
        if not isinstance(self.source, Traceable):
            raise ValueError(f"{type(self.source).__name__} has none (train_truths)")
        return self.source.train_truths()

    def category_ids(self) -> tuple[int, ...]:
        """Return the data set's own numbers of its classes; 1…C if it has none."""
        if isinstance(self.source, Numbered):
            return self.source.category_ids()
        return tuple(range(1, len(self.source.train().classes) + 1))


def with_points(tagged: Tagged, file: Path) -> Tagged:
    """Return the same images, with points on those that the file names.

    A ``.csv`` has a first line ``file,x,y,class`` and then a line a point; a ``.json``
    is in COCO's format, with ``"point": [x, y]`` in its annotations. Files are image
    names as the data set has them; x and y are pixels from the left and the top. Names
    of classes match whatever their case, and with a space, ``-`` or ``_`` between
    words. The points of an image keep the file's order.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if its format is wrong, or a point has an unknown image, an unknown
            or untagged class, or no place; names the line.
    """
    if not file.exists():
        raise FileNotFoundError(f"expected a file of points, there is no {file}")
    read = {".csv": _read_csv, ".json": _read_json}.get(file.suffix.lower())
    if read is None:
        raise ValueError(f"expected points in a .csv or .json file, got {file}")
    labels = {plain(name): label for label, name in enumerate(tagged.classes, 1)}
    images = {image.name: image for image in tagged.images}
    found: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for where, photo, x, y, name in read(file):
        image, label = images.get(photo), labels.get(plain(name))
        if image is None:
            close = nearest(photo, images)
            raise ValueError(f"{where}: the data set has no image {photo!r}{close}")
        if label is None:
            close = nearest(name, list(tagged.classes))
            raise ValueError(
                f"{where}: the data set has no class {name!r}{close}; its classes are: "
                f"{', '.join(tagged.classes)}"
            )
        if not image.tags[label - 1]:
            raise ValueError(
                f"{where}: {photo} is not tagged {name!r}, a point needs the tag of "
                "its class"
            )
        found[photo].append((*_place(where, x, y), label))
    if not found:
        raise ValueError(f"expected points, {file} has none")
    pointed = []
    for image in tagged.images:
        if places := found.get(image.name):
            xy = torch.tensor([[x, y] for x, y, _ in places], dtype=torch.float32)
            points = Points(xy=xy, label=torch.tensor([c for *_, c in places]))
            image = replace(image, points=points)
        pointed.append(image)
    return replace(tagged, images=pointed)


def _place(where: str, x: Any, y: Any) -> tuple[float, float]:
    try:
        place = float(x), float(y)
    except (TypeError, ValueError):
        place = math.nan, math.nan
    if not all(0 <= one < math.inf for one in place):
        raise ValueError(
            f"{where}: expected x and y in pixels, at least 0, got {x!r} and {y!r}"
        )
    return place


def _read_csv(file: Path) -> Iterator[_Point]:
    for where, row in read_rows(file, ("file", "x", "y", "class"), others=True):
        yield where, row["file"], row["x"], row["y"], row["class"]


def _read_json(file: Path) -> Iterator[_Point]:
    content = AnnotationFile.read(file)
    names = {image["id"]: image["file_name"] for image in content.images}
    classes = {number: name for name, number in content.categories.items()}
    for i, annotation in enumerate(content.annotations):
        where = f"{file}, annotations[{i}]"
        point = annotation.get("point")
        if not isinstance(point, list) or len(point) != 2:
            raise ValueError(
                f'{where}: expected "point": [x, y], got {json.dumps(point)}'
            )
        name, of = names[annotation["image_id"]], classes[annotation["category_id"]]
        yield where, name, point[0], point[1], of
