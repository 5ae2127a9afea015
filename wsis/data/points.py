"""Points that somebody set on objects, from a file: one point an object."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import normalize

import torch

from wsis._support.checks import few, warn
from wsis._support.places import as_paths
from wsis.contracts import (
    Annotated,
    DataSource,
    GroundTruth,
    Numbered,
    Points,
    Tagged,
    TaggedImage,
    Traceable,
)
from wsis.data._same import first_alike
from wsis.data._tables import header, read_rows
from wsis.data.annotations import AnnotationFile
from wsis.data.images import Reading, nearest_file, stored_size
from wsis.data.names import plain
from wsis.data.segmentations import PERCENT, is_large
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
    file: str | Path

    def __new__(
        cls, source: DataSource | None = None, file: str | Path = ""
    ) -> "Pointed":
        """Return a data set that is ``Traceable`` where its source is."""
        del file
        traced = cls is Pointed and isinstance(source, Traceable)
        return object.__new__(_TracedPoints if traced else cls)

    def __post_init__(self) -> None:
        as_paths(self, "file")

    def train(self) -> Tagged:
        """Return the training images with their points."""
        return with_points(self.source.train(), self.file)

    def val(self) -> Annotated | None:
        """Return the validation images and their masks, if the data set has any."""
        return self.source.val()

    def category_ids(self) -> tuple[int, ...]:
        """Return the data set's own numbers of its classes; 1…C if it has none."""
        if isinstance(self.source, Numbered):
            return self.source.category_ids()
        return tuple(range(1, len(self.source.train().classes) + 1))


class _TracedPoints(Pointed):
    """Points on the images of a data set that knows the objects of these."""

    def train_truths(self) -> Sequence[GroundTruth]:
        """Return the training images' objects."""
        source = self.source
        assert isinstance(source, Traceable)
        return source.train_truths()


def with_points(tagged: Tagged, file: str | Path) -> Tagged:
    """Return the same images, with points on those that the file names.

    A ``.csv`` has a first line ``file,x,y,class`` and then a line a point; a ``.json``
    is in COCO's format, with ``"point": [x, y]`` in its annotations. Files are image
    names as the data set has them, or paths relative to the file's folder, as
    ``wsis show`` writes them; x and y are pixels from the left and the top. Names
    of classes match whatever their case, and with a space, ``-`` or ``_`` between
    words. The points of an image keep the file's order.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if its format is wrong; or points have an unknown image, an unknown
            or untagged class, or lie outside their image, or all are fractions of its
            sides: all are counted, the first named with their lines.
    """
    file = Path(file)
    if not file.exists():
        raise FileNotFoundError(f"expected a file of points, there is no {file}")
    if file.suffix.lower() not in (".csv", ".json"):
        raise ValueError(f"expected points in a .csv or .json file, got {file}")
    labels = {plain(name): label for label, name in enumerate(tagged.classes, 1)}
    images = {normalize("NFC", image.name): image for image in tagged.images}
    found: dict[str, list[_Place]] = defaultdict(list)
    wrong: list[str] = []
    csv = file.suffix.lower() == ".csv"
    given, said = _read_csv(file) if csv else _read_json(file)
    if any(normalize("NFC", one[1]) not in images for one in given):
        images = _ways(tagged, {one[1] for one in given}, file.parent) | images
    _check_sizes(file, said, images)
    lacking = {one[1] for one in given if normalize("NFC", one[1]) not in images}
    copies = _copies(images, lacking)
    for where, photo, x, y, name in given:
        image, label = images.get(normalize("NFC", photo)), labels.get(plain(name))
        try:
            if image is None:
                if photo in copies:
                    raise ValueError(
                        f"{photo} is a copy of {copies[photo]}, and the data set has "
                        f"it once: write {copies[photo]}"
                    )
                close = nearest_file(photo, list(images))
                raise ValueError(f"the data set has no image {photo!r}{close}")
            if label is None:
                raise ValueError(
                    f"the data set has no class {name!r}"
                    f"{nearest(name, list(tagged.classes))}; its classes are: "
                    f"{', '.join(tagged.classes)}"
                )
            if not image.tags[label - 1]:
                raise ValueError(
                    f"{photo} is not tagged {name!r}, a point needs the tag of its "
                    "class"
                )
            found[image.name].append(_Place(where, *_numbers(x, y), label))
        except ValueError as error:
            wrong.append(f"{where}: {error}")
    if not given:
        raise ValueError(f"expected points, {file} has none")
    seen = set[tuple[str, float, float, int]]()
    again = []
    for name, some in found.items():
        for one in some:
            if (key := (name, one.x, one.y, one.label)) in seen:
                again.append(f"{one.where}: {name}, {one.x:g}, {one.y:g}")
            seen.add(key)
    if again:
        warn(
            f"{file}: points that are listed before count as further objects "
            f"({len(again)}): {few(again, '; ')}"
        )
    wrong = wrong or _misplaced(tagged, found, file)
    if wrong:
        several = (
            f"{len(wrong)} of {len(given)} points are wrong: " if wrong[1:] else ""
        )
        raise ValueError(f"{several}{few(wrong, '; ')}")
    pointed = []
    for image in tagged.images:
        if places := found.get(image.name):
            xy = torch.tensor([[one.x, one.y] for one in places], dtype=torch.float32)
            points = Points(xy=xy, label=torch.tensor([one.label for one in places]))
            image = replace(image, points=points)
        pointed.append(image)
    return replace(tagged, images=pointed)


def _ways(tagged: Tagged, ways: set[str], folder: Path) -> dict[str, TaggedImage]:
    """Return the images that paths relative to a folder lead to."""
    places = {
        one.load.path.resolve(): one
        for one in tagged.images
        if isinstance(one.load, Reading)
    }
    led = {one: places.get((folder / one).resolve()) for one in ways}
    return {normalize("NFC", one): image for one, image in led.items() if image}


def _copies(images: Mapping[str, TaggedImage], names: set[str]) -> dict[str, str]:
    """Return the images that photos are copies of, by names that no image has."""
    reads = {
        one.name: one.load for one in images.values() if isinstance(one.load, Reading)
    }
    roots = {
        one.path.parents[name.count("/")]
        for name, one in reads.items()
        if one.path.as_posix().endswith(f"/{name}")
    }
    found = {
        name: Reading(root / name, stored_size(root / name), True)
        for name in names
        for root in roots
        if (root / name).is_file()
    }
    if not found:
        return {}
    known, first = list(reads), first_alike([*reads.values(), *found.values()])
    firsts = zip(found, first[len(known) :], strict=True)
    return {name: known[i] for name, i in firsts if i < len(known)}


class _Place(NamedTuple):
    where: str
    x: float
    y: float
    label: int


def _numbers(x: Any, y: Any) -> tuple[float, float]:
    try:
        place = float(x), float(y)
    except (TypeError, ValueError, OverflowError):
        place = math.nan, math.nan
    if not all(0 <= one < math.inf for one in place):
        raise ValueError(
            f"expected x and y in pixels, at least 0, got {x!r:.60} and {y!r:.60}"
        )
    return place


def _misplaced(
    tagged: Tagged, found: Mapping[str, Sequence[_Place]], file: Path
) -> list[str]:
    """Say which points lie outside their image; all, if they are fractions.

    Raises:
        ValueError: if all are.
    """
    sizes = {one.name: _size(one) for one in tagged.images if one.name in found}
    placed = [(one, sizes[name]) for name, places in found.items() for one in places]
    if all(max(one.x, one.y) <= 1 for one, _ in placed):
        one = placed[0][0]
        raise ValueError(
            f"{file}: expected x and y in pixels; all {len(placed)} points lie in "
            f"[0, 1], as {one.where}: {one.x:g}, {one.y:g}. Are they fractions of the "
            "photos' sides? Multiply x by the width and y by the height"
        )
    small = [
        f"{one.where}: {one.x:g}, {one.y:g}"
        for one, _ in placed
        if max(one.x, one.y) <= 1 and (one.x % 1 or one.y % 1)
    ]
    if small:
        warn(
            f"{file}: points in their photo's first pixel, are they fractions of its "
            f"sides? ({len(small)} of {len(placed)}): {few(small, '; ')}"
        )
    known = [(one, size) for one, size in placed if size is not None]
    outside = [
        (one, size) for one, size in known if one.x >= size[1] or one.y >= size[0]
    ]
    percent = all(max(one.x, one.y) <= PERCENT for one, _ in placed)
    in_a_corner = len(known) > 3 and all(is_large(size) for _, size in known)
    if percent and not outside and in_a_corner:
        warn(
            f"{file}: all {len(placed)} points lie in their photos' first {PERCENT} "
            "pixels; are x and y percent of the photos' sides?"
        )
    if not outside:
        _tell_turned(tagged, found, file)
    swapped = all(one.y < size[1] and one.x < size[0] for one, size in outside)
    guesses = ["swapped"] * swapped + ["percent of the photo's sides"] * percent
    if swapped and any(_turned(image) for image in tagged.images):
        guesses.append("of photos that EXIF data did not turn yet")
    hint = f"; are x and y {' or '.join(guesses)}?" if guesses else ""
    return [
        f"{one.where}: expected a point in its photo of {size[1]} x {size[0]} pixels, "
        f"got {one.x:g}, {one.y:g}{hint}"
        for one, size in outside
    ]


def _turned(image: TaggedImage) -> Reading | None:
    """Return how a photo is read that EXIF data turn, else None."""
    load = image.load
    return load if isinstance(load, Reading) and load.turned else None


def _tell_turned(
    tagged: Tagged, found: Mapping[str, Sequence[_Place]], file: Path
) -> None:
    """Warn of points on turned photos, unless one fits the way they are read alone."""
    photos = {
        one.name: read
        for one in tagged.images
        if one.name in found and (read := _turned(one))
    }
    for name, read in photos.items():
        height, width = read.other_size
        if any(one.x >= width or one.y >= height for one in found[name]):
            return
    if photos:
        way = "shown by a viewer" if all(x.upright for x in photos.values()) else "read"
        warn(
            f"{file}: {len(photos)} photos with points are turned by EXIF data, and "
            f"their points are taken to be on the photos as {way}: {few(list(photos))};"
            " if they were set on the photos as stored, save these upright and set "
            "the points again"
        )


def _size(image: TaggedImage) -> tuple[int, int] | None:
    """Return (H, W), from a photo's header where the data set gives it."""
    if isinstance(image.load, Reading):
        return image.load.size if all(image.load.size) else None
    try:
        height, width = image.load().shape[:2]
    except (ValueError, OSError):
        return None  # whoever trains on it is told
    return height, width


def _check_sizes(file: Path, said: "_Said", known: Mapping[str, TaggedImage]) -> None:
    """Refuse points on photos of another size than their file says.

    Raises:
        ValueError: if there are any.
    """
    wrong = []
    for where, (name, (height, width)) in said.items():
        image = known.get(normalize("NFC", name))
        if image is None or not isinstance(image.load, Reading):
            continue
        size = image.load.size
        turned = image.load.turned and (height, width) == size[::-1]
        if all(size) and (height, width) != size and not turned:
            wrong.append(
                f"{where} ({height:g} x {width:g} there, it has {size[0]} x {size[1]})"
            )
    if wrong:
        raise ValueError(
            f"{file}: {len(wrong)} of {len(said)} sizes of photos (height x width) are "
            f"others than the photos have: {few(wrong)}; scale the points. Boxes (x, "
            "y, width, height) are no points"
        )


_Said = Mapping[str, tuple[str, tuple[int | float, int | float]]]
"""Names of photos and their (H, W), by the places in a file that say so."""


def _read_csv(file: Path) -> tuple[list[_Point], _Said]:
    there = {one.casefold() for one in header(file)}
    sides = next((pair for pair in _SIDES if there.issuperset(pair)), ())
    columns = ("file", "x", "y", "class", *sides)
    if rest := sorted(there.difference(columns, [""])):
        warn(
            f"{file}: columns that are not read ({len(rest)}): {few(rest)}; lines that "
            "are boxes, predictions or points on no object have to be left out"
        )
    points, said = [], {}
    for where, row in read_rows(file, columns, others=True):
        points.append((where, row["file"], row["x"], row["y"], row["class"]))
        if cells := [row[side] for side in sides if row[side]]:
            try:
                width, height = map(float, cells)
            except ValueError:
                raise ValueError(
                    f"{where}: expected numbers as {' and '.join(sides)}, got "
                    f"{' and '.join(cells)}"
                ) from None
            said[f"{where}: {row['file']}"] = row["file"], (height, width)
    return points, said


_SIDES = (
    ("width", "height"),
    *((f"{one}_width", f"{one}_height") for one in ("image", "img", "original")),
)
"""Columns of a CSV of points that tell the sizes of photos."""


def _read_json(file: Path) -> tuple[list[_Point], _Said]:
    content = AnnotationFile.read(file)
    said = {
        one["file_name"]: (one["file_name"], (one["height"], one["width"]))
        for one in content.images
    }
    points = []
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
        points.append((where, name, point[0], point[1], of))
    return points, said
