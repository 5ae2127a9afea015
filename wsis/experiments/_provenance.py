"""The supervision ledger of runs, and digests of the data that they saw."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from wsis._support.files import digest, sha256
from wsis.contracts import (
    Annotated,
    DataSource,
    GroundTruth,
    Ledger,
    Supervision,
    Tagged,
)

IMAGE_LEVEL, NOT_IMAGE_LEVEL = "image-level", "not image-level"

_IMAGE_LEVEL = {
    *(Supervision.TAGS, Supervision.COUNTS, Supervision.IMAGENET),
    Supervision.BOUNDARIES,
}

_LATER = {"background", "counts", "single"}
"""Settings of data that are left out at their default: older folders lack them."""


def ledger(ledgers: Mapping[str, Ledger]) -> dict[str, list[str]]:
    """Return the labels by part; parts that consume none are left out."""
    return {part: sorted(labels) for part, labels in ledgers.items() if labels}


def by_label(ledgers: Iterable[dict[str, list[str]]]) -> dict[str, list[str]]:
    """Return the parts by label, of several runs together."""
    found: dict[str, set[str]] = {}
    for of_run in ledgers:
        for part, labels in of_run.items():
            for label in labels:
                found.setdefault(label, set()).add(part)
    return {label: sorted(parts) for label, parts in sorted(found.items())}


def level(labels: Ledger | Iterable[str]) -> str:
    """Return ``image-level``, or ``not image-level`` after points or masks.

    Counts, which do not tell where objects are, class labels of ImageNet and contours
    of another data set count as image-level; the ledger names them.
    """
    allowed = {str(label) for label in _IMAGE_LEVEL}
    return IMAGE_LEVEL if {str(x) for x in labels} <= allowed else NOT_IMAGE_LEVEL


def describe(
    source: DataSource, train: Tagged, val: Annotated, *, both: bool = False
) -> dict[str, Any]:
    """Return name, settings and digest of a data set; no mask is decoded.

    The digest covers the classes, the images' ids, names and tags in both halves, the
    source's settings, and the content of the annotation files that evaluation reads.
    Paths and pixels do not count, so a data set may move.

    Args:
        source: the data set.
        train: its training half.
        val: its validation half.
        both: whether evaluation reads the annotations of the training half, too.
    """
    given = _settings(source, both)
    return {
        "name": train.name,
        "settings": given,
        "digest": digest(given, _half(train), _half(val.tagged)),
    }


def of_truths(truths: Sequence[GroundTruth]) -> str:
    """Return a digest of all objects: their classes, masks, and which are ignored."""
    return digest(
        *(
            [
                truth.image_id,
                truth.label.tolist(),
                truth.ignore.tolist(),
                truth.area.tolist(),
                [(list(mask["size"]), str(mask["counts"])) for mask in truth.masks],
            ]
            for truth in truths
        )
    )


def _half(tagged: Tagged) -> list[Any]:
    images = [[image.id, image.name, image.tags.tolist()] for image in tagged.images]
    background = [image.name for image in tagged.images if image.background]
    return [tagged.classes, images, *([background] if background else [])]


def _settings(source: DataSource, both: bool) -> dict[str, Any]:
    """Return what a data set was made with; of files, their content."""
    given: dict[str, Any] = {}
    if is_dataclass(source):
        for field in fields(source):
            value = getattr(source, field.name)
            if field.name in _LATER and value == field.default:
                continue
            if isinstance(value, DataSource):
                given[field.name] = _settings(value, both)
            elif not isinstance(value, Path):
                given[field.name] = value
            elif value.is_file() and (both or not field.name.startswith("train")):
                given[field.name] = sha256(value)
    return {name: value for name, value in given.items() if value is not None}
