"""Points that somebody set on objects, from a file: one point an object."""

import csv
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from wsis.contracts import (
    Annotated,
    DataSource,
    GroundTruth,
    Points,
    Tagged,
    Traceable,
)
from wsis.data.annotations import AnnotationFile, plain
from wsis.plugins import nearest

_COLUMNS = ("file", "x", "y", "class")


@dataclass(frozen=True, slots=True)
class _Point:
    """One line of a file of points, and where it stands, for messages."""

    where: str
    file: str
    x: Any
    y: Any
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointed:
    """A data set whose training images have points; validation is as it was.

    Args:
        source: the data set.
        file: of the points, as ``with_points`` reads it.
    """

    source: DataSource
    file: Path

    def train(self) -> Tagged:
        """The training images with their points."""
        return with_points(self.source.train(), self.file)

    def val(self) -> Annotated:
        """The validation images and their masks."""
        return self.source.val()

    def train_truths(self) -> Sequence[GroundTruth]:
        """The training images' objects, as the data set has them.

        Raises:
            ValueError: if it has none.
        """
        if not isinstance(self.source, Traceable):
            raise ValueError(f"{type(self.source).__name__} has none (train_truths)")
        return self.source.train_truths()

    def category_ids(self) -> tuple[int, ...]:
        """The data set's own numbers of its classes; 1…C where it has none."""
        own = getattr(self.source, "category_ids", None)
        if own is None:
            return tuple(range(1, len(self.source.train().classes) + 1))
        return tuple(own())


def with_points(tagged: Tagged, file: Path) -> Tagged:
    """The same images, those that the file names with the points it has for them.

    A ``.csv`` has a first line ``file,x,y,class`` and then a line a point; a ``.json``
    is in COCO's format, with ``"point": [x, y]`` in its annotations. Files are image
    names as the data set has them; x and y are pixels from the left and the top; names
    of classes match whatever their case and whether words are parted by a space, ``-``
    or ``_``. The points of an image keep the file's order. Images that the file does
    not name have no points.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is of another format, or a point is of an image or a class
            that is not there or not tagged, or has no place; names the line.
    """
    if not file.exists():
        raise FileNotFoundError(f"expected a file of points, there is no {file}")
    if file.suffix.lower() not in (".csv", ".json"):
        raise ValueError(f"expected points in a .csv or .json file, got {file}")
    read = _read_csv if file.suffix.lower() == ".csv" else _read_json
    labels = {plain(name): label for label, name in enumerate(tagged.classes, 1)}
    images = {image.name: image for image in tagged.images}
    found: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for point in read(file):
        image, label = images.get(point.file), labels.get(plain(point.name))
        if image is None:
            raise ValueError(
                f"{point.where}: the data set has no image {point.file!r}"
                f"{nearest(point.file, list(images))}"
            )
        if label is None:
            raise ValueError(
                f"{point.where}: the data set has no class {point.name!r}"
                f"{nearest(point.name, list(tagged.classes))}; its classes are: "
                f"{', '.join(tagged.classes)}"
            )
        if not image.tags[label - 1]:
            raise ValueError(
                f"{point.where}: {point.file} is not tagged {point.name!r}, a point "
                "needs the tag of its class"
            )
        found[point.file].append((*_place(point), label))
    if not found:
        raise ValueError(f"expected points, {file} has none")
    return replace(
        tagged,
        images=[
            replace(image, points=_points(found[image.name]))
            if image.name in found
            else image
            for image in tagged.images
        ],
    )


def _points(places: list[tuple[float, float, int]]) -> Points:
    return Points(
        xy=torch.tensor([[x, y] for x, y, _ in places], dtype=torch.float32),
        label=torch.tensor([label for _, _, label in places]),
    )


def _place(point: _Point) -> tuple[float, float]:
    try:
        x, y = float(point.x), float(point.y)
    except (TypeError, ValueError):
        x = y = math.nan
    if not (0 <= x < math.inf and 0 <= y < math.inf):
        raise ValueError(
            f"{point.where}: expected x and y in pixels, at least 0, got {point.x!r} "
            f"and {point.y!r}"
        )
    return x, y


def _read_csv(file: Path) -> Iterator[_Point]:
    # A byte order mark is what spreadsheets write first.
    with file.open(newline="", encoding="utf-8-sig") as lines:
        rows = csv.DictReader(lines, skipinitialspace=True, strict=True)
        try:
            columns = rows.fieldnames or ()
            if missing := [name for name in _COLUMNS if name not in columns]:
                raise ValueError(
                    f"{file}: expected a first line {','.join(_COLUMNS)}, it lacks "
                    f"{', '.join(missing)}"
                )
            for row in rows:
                where = f"{file}, line {rows.line_num}"
                if any(row[name] is None for name in _COLUMNS):
                    raise ValueError(f"{where}: expected {','.join(_COLUMNS)}")
                name, x, y, of = (row[column].strip() for column in _COLUMNS)
                yield _Point(where, name, x, y, of)
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"expected a CSV file, {file}: {error}") from None


def _read_json(file: Path) -> Iterator[_Point]:
    content = AnnotationFile.read(file)
    names: Mapping[int, str] = {
        image["id"]: image["file_name"] for image in content.images
    }
    classes = {number: name for name, number in content.categories.items()}
    for i, annotation in enumerate(content.annotations):
        where = f"{file}, annotations[{i}]"
        point = annotation.get("point")
        if not isinstance(point, list) or len(point) != 2:
            raise ValueError(
                f'{where}: expected "point": [x, y], got {json.dumps(point)}'
            )
        x, y = point
        name = names[annotation["image_id"]]
        yield _Point(where, name, x, y, classes[annotation["category_id"]])
