"""What a data set is, in a digest: two benches of one digest saw the same."""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from wsis._support.files import digest, sha256
from wsis.contracts import Annotated, DataSource, GroundTruth, Tagged


def describe(
    source: DataSource, train: Tagged, val: Annotated, *, both: bool = False
) -> dict[str, Any]:
    """Name, settings and digest of a data set; no mask is decoded.

    The digest covers classes, images' ids and names, and tags of both halves, the
    source's settings, and what is in the annotation files that evaluation reads. Paths
    do not count, so that a data set may move; pixels do not either.

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


def of_truths(truths: list[GroundTruth]) -> str:
    """A digest of all objects: their classes, masks, and which are ignored."""
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
    return [tagged.classes, images]


def _settings(source: DataSource, both: bool) -> dict[str, Any]:
    """What a data set was made with; of files, their content."""
    given: dict[str, Any] = {}
    if is_dataclass(source):
        for field in fields(source):
            value = getattr(source, field.name)
            if isinstance(value, DataSource):
                given[field.name] = _settings(value, both)
            elif not isinstance(value, Path):
                given[field.name] = value
            elif value.is_file() and (both or not field.name.startswith("train")):
                given[field.name] = sha256(value)
    return {name: value for name, value in given.items() if value is not None}
