"""Annotation files in COCO's format: read, checked, and their classes chosen."""

import csv
import math
import posixpath
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from wsis._support.checks import UsageError, few, warn
from wsis._support.files import parse_json
from wsis.data.names import VOC_CLASSES, is_line, plain
from wsis.plugins import nearest

_KEYS = {
    "images": ("id", "file_name", "width", "height"),
    "annotations": ("image_id", "category_id"),
    "categories": ("id", "name"),
}


PREDICTED = (
    "these are predictions, which may be wrong; keep those that are right, without "
    "their scores"
)
"""Why objects with scores are no tags."""


class UnknownClassError(UsageError, LookupError):
    """The data set has no class of that name."""


@dataclass(frozen=True, slots=True, eq=False)
class AnnotationFile:
    """The content of an annotation file; all but masks, boxes and areas is checked.

    ``categories`` are ids by name, in order of id; there is at least one image. A
    category without objects is none where another one has its name, or others name it
    as their supercategory.
    """

    path: Path
    images: Sequence[Mapping[str, Any]]
    annotations: Sequence[Mapping[str, Any]]
    categories: Mapping[str, int]

    @classmethod
    def read(cls, path: Path) -> "AnnotationFile":
        """Read and check the file at ``path``.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if it is not JSON in COCO's format, or contradicts itself.
        """
        if not path.exists():
            raise FileNotFoundError(f"expected an annotation file, there is no {path}")
        if path.is_dir():
            raise ValueError(f"expected an annotation file, {path} is a folder")
        text = path.read_bytes()
        if not text:
            raise ValueError(f"expected an annotation file, {path} is empty")
        try:
            content = parse_json(text)
        except ValueError as error:
            raise ValueError(
                f"expected an annotation file, {path} is not JSON: {error}"
            ) from None
        try:
            _check(content)
            used = {one["category_id"] for one in content["annotations"]}
            categories = _by_name(content["categories"], used)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        names = (one["file_name"].replace("\\", "/") for one in content["images"])
        count = Counter(map(posixpath.normpath, names))
        if twice := [name for name, images in count.items() if images > 1]:
            warn(
                f"{path}: {len(twice)} photos are listed under several ids, and count "
                f"several times: {few(twice)}; remove all but one"
            )
        return cls(path, content["images"], content["annotations"], categories)

    @property
    def scored(self) -> int:
        """Return how many annotations have a score, as predictions do."""
        return sum("score" in one for one in self.annotations)

    def tags(self) -> dict[str, list[str]]:
        """Return the classes on each photo, by the photo's name.

        Raises:
            ValueError: if the annotations are predictions.
        """
        if self.scored:
            raise ValueError(
                f"expected tags in {self.path}, its annotations have scores: "
                f"{PREDICTED}"
            )
        names = {number: name for name, number in self.categories.items()}
        rows: dict[str, list[str]] = {one["file_name"]: [] for one in self.images}
        photos = {one["id"]: one["file_name"] for one in self.images}
        for one in self.annotations:
            if one["category_id"] in names:
                rows[photos[one["image_id"]]].append(names[one["category_id"]])
        return rows

    def names(self, classes: str | Sequence[str]) -> tuple[str, ...]:
        """Return the names of the chosen classes.

        Args:
            classes: ``all`` of the file, in order of category id; ``voc``;
                comma-separated names, in quotes if they have a comma; or a sequence of
                names.
        """
        if classes == "all":
            return tuple(self.categories)
        if classes == "voc":
            return VOC_CLASSES
        names = (
            listed(classes, self.categories) if isinstance(classes, str) else classes
        )
        return tuple(name.strip() for name in names)

    def known(self, classes: str | Sequence[str]) -> tuple[str, ...]:
        """Return those of the chosen classes that the file has.

        Raises:
            UnknownClassError: if it has none of them, or one in a text looks like a
                slip of the pen.
        """
        names, known = self.names(classes), set(map(plain, self.categories))
        found = tuple(name for name in names if plain(name) in known)
        others = list(known - set(map(plain, names)))
        typed = isinstance(classes, str)
        lacking = [plain(name) for name in names if name not in found]
        if not found or (typed and any(nearest(name, others) for name in lacking)):
            self.labels(names)
        return found

    def labels(self, classes: str | Sequence[str]) -> dict[int, int]:
        """Return labels 1…C by category id, in order of label.

        Names match whatever their case, and with a space, ``-`` or ``_`` between words.

        Raises:
            UnknownClassError: if a class is not in the file; lists what is.
            ValueError: if a class is chosen twice, or none is.
        """
        known = {plain(name): number for name, number in self.categories.items()}
        labels: dict[int, int] = {}
        for label, name in enumerate(self.names(classes), 1):
            number = known.get(plain(name))
            if number is None:
                raise UnknownClassError(
                    f"{self.path} has no class {name!r}{nearest(plain(name), known)}; "
                    f"its classes are: {', '.join(self.categories)}"
                )
            if number in labels:
                raise ValueError(f"expected every class once, got {name!r} twice")
            labels[number] = label
        if not labels:
            raise ValueError("expected classes, got none")
        return labels


def read_xml(path: Path) -> ElementTree.Element:
    """Return the root of an XML file; raise a ``ValueError`` if it is none."""
    try:
        return ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise ValueError(f"{path}: expected XML: {error}") from None


SCORES = "score", "scores", "confidence", "conf", "probability", "prob"
"""What scores are called, in tables and in PASCAL VOC's XML."""


def has_score(entry: ElementTree.Element) -> bool:
    """Tell whether an object of PASCAL VOC's XML has a score."""
    return any(is_score(entry.findtext(key) or "") for key in SCORES)


def is_score(text: str) -> bool:
    """Tell whether a cell has a score; people who are sure write none, 1 or 100 %."""
    try:
        number = float(text.replace(",", ".").rstrip(" %"))
    except ValueError:
        return False
    return number not in (1, 100) and not math.isnan(number)


def classes_in(text: str, classes: Sequence[str]) -> list[str]:
    """Return the classes that a text names, comma-separated, as they are spelled.

    A name that has a comma stands in double quotes, or alone. Names match whatever
    their case, and with a space, ``-`` or ``_`` between words.

    Args:
        text: as somebody typed it.
        classes: all there are.

    Raises:
        UnknownClassError: if a class is not there, or none is named; lists all.
    """
    names = listed(text, classes)
    if not any(name.strip() for name in names):
        raise UnknownClassError(
            f"expected names of classes, got {text!r}; the classes are: "
            f"{', '.join(classes)}"
        )
    return known_classes(names, classes)


def listed(text: str, classes: Iterable[str]) -> list[str]:
    """Return comma-separated names; one with a comma stands in quotes, or alone."""
    if plain(text) in map(plain, classes):
        return [text]
    return next(csv.reader([text], skipinitialspace=True), [])


def known_classes(names: Iterable[str], classes: Sequence[str]) -> list[str]:
    """Return names of classes as they are spelled in ``classes``; a text is one name.

    Raises:
        UnknownClassError: if a class is not there; lists all.
    """
    known = {plain(name): name for name in classes}
    there = f"the classes are: {', '.join(classes)}"
    if not isinstance(names, Iterable):
        raise UnknownClassError(f"expected names of classes, got {names!r}; {there}")
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if not isinstance(name, str):
            raise UnknownClassError(f"expected names of classes, got {name!r}; {there}")
        if plain(name) not in known:
            hint = nearest(plain(name), known)
            raise UnknownClassError(f"there is no class {name!r}{hint}; {there}")
    return [known[plain(name)] for name in names]


def _check(content: Any) -> None:
    _require("the file", content, tuple(_KEYS))
    for kind, keys in _KEYS.items():
        if not isinstance(content[kind], list):
            raise ValueError(f"expected {kind} to be a list")
        for i, entry in enumerate(content[kind]):
            _require(f"{kind}[{i}]", entry, keys)
        if kind != "annotations" and not content[kind]:
            raise ValueError(f"expected {kind}, got an empty list")
    for image in content["images"]:
        sides = image["height"], image["width"]
        if not all(_whole(side) and side > 0 for side in sides):
            raise ValueError(
                f"expected image {image['id']} to have a height and a width in whole "
                f"pixels, got {sides[0]!r} and {sides[1]!r}"
            )
        if not isinstance(name := image["file_name"], str):
            raise ValueError(
                f"expected image {image['id']} to have a file name, got {name!r}"
            )
    known = {
        "image_id": _unique("image", content["images"]),
        "category_id": _unique("category", content["categories"]),
    }
    for i, annotation in enumerate(content["annotations"]):
        for key, ids in known.items():
            if not _whole(number := annotation[key]):
                raise ValueError(
                    f"expected a whole number as {key} in annotations[{i}], got "
                    f"{number!r}"
                )
            if number not in ids:
                raise ValueError(
                    f"annotations[{i}] has {key} {number!r}, which the file does not "
                    "list"
                )


def _require(what: str, value: Any, keys: tuple[str, ...]) -> None:
    missing = [key for key in keys if not isinstance(value, dict) or key not in value]
    if missing:
        raise ValueError(
            f"expected {what} to be an object with {', '.join(keys)}; it lacks "
            f"{', '.join(missing)}"
        )


def _unique(what: str, entries: Sequence[Mapping[str, Any]]) -> set[int]:
    seen: set[int] = set()
    for entry in entries:
        if not _whole(number := entry["id"]):
            raise ValueError(f"expected whole numbers as {what} ids, got {number!r}")
        if number in seen:
            raise ValueError(f"{what} id {number} is repeated")
        seen.add(number)
    return seen


def _whole(value: Any) -> bool:
    """Tell whether a number is whole, of any sign and size; truth values are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def _by_name(categories: Sequence[Mapping[str, Any]], used: set[int]) -> dict[str, int]:
    ordered = sorted(categories, key=lambda one: (one["id"] not in used, one["id"]))
    parents = set()
    for one in ordered:
        if not isinstance(name := one["name"], str) or not is_line(name):
            raise ValueError(
                f"expected a category's name in one line of visible text, got {name!r}"
            )
        parent = one.get("supercategory")
        if isinstance(parent, str) and plain(parent) != plain(name):
            parents.add(plain(parent))
    found: dict[str, tuple[int, str]] = {}
    for one in ordered:  # those with objects come first
        name, number = one["name"], one["id"]
        other = found.setdefault(plain(name), (number, name))[0]
        if other != number and number in used:
            raise ValueError(
                f"category name {name!r} is repeated: {other} and {number} both have "
                "objects; rename one, or give its objects the number of the other"
            )
        if number not in used and other == number and plain(name) in parents:
            del found[plain(name)]
    if not found:
        raise ValueError("expected categories of objects, got supercategories alone")
    return {name: number for number, name in sorted(found.values())}
