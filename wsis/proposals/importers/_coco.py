"""Masks in COCO's json: a list of results, or a data set as export writes it."""

import math
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from wsis._support.checks import few, warn
from wsis._support.files import parse_json
from wsis.contracts import Ledger, Proposals, Supervision
from wsis.data.segmentations import Outlines, check_segmentation, to_rle
from wsis.geometry.masks import empty
from wsis.proposals.importers._found import Found, gathered, refuse_pickles
from wsis.proposals.making import check_size

_MOST = float(np.finfo(np.float32).max)


def coco(path: Path, stems: Container[str]) -> Sequence[Found]:
    """Read a json file: a list of results, or ``images`` and ``annotations``.

    A result has ``image_id`` and ``segmentation`` (run lengths or polygons), and
    ``score`` or none. In an object, ``images`` give their file names and size, and
    those without an annotation have no proposals; in a list, photos are known by
    ``file_name``, as ``wsis predict`` writes it, or by number. Categories do not
    matter.
    """
    del stems
    content = _content(path)
    if isinstance(content, list) and (named := list(filter(_name, content))):
        if len(named) < len(content):
            raise ValueError(
                f"{path}: expected file_name in every result, as in others; "
                f"{len(content) - len(named)} of {len(content)} lack it"
            )
        content = _with_images(named)
    of_image: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    images: dict[Any, Mapping[str, Any]] = {}
    known = isinstance(content, Mapping)
    for image in content["images"] if known else ():
        if not isinstance(image, Mapping) or not {"id", "file_name"} <= set(image):
            raise ValueError(
                f"{path}: expected images with id and file_name, got {str(image)[:60]}"
            )
        if images.setdefault(_number(image["id"]), image) is not image:
            raise ValueError(f"{path}: two images have the id {image['id']}")
        of_image[_number(image["id"])] = []
    records = content["annotations"] if known else content
    alone, maskless = [], 0
    for i, one in enumerate(records):
        if not isinstance(one, Mapping) or "image_id" not in one:
            raise ValueError(f"{_EXPECTED.format(path, i)} {str(one)[:60]}")
        number = _number(one["image_id"])
        if known and number not in images:
            alone.append(str(number))
        elif one.get("segmentation"):
            of_image[number].append(one)
        else:
            maskless += 1
    if maskless == len(records) > 0:
        raise ValueError(
            f"{_EXPECTED.format(path, 0)} {str(records[0])[:60]}: boxes are no masks"
        )
    if maskless:
        warn(
            f"{path}: {maskless} of {len(records)} have no segmentation and are left "
            "out; boxes are no masks"
        )
    if alone:
        warn(
            f"{path}: {len(alone)} of {len(records)} have an image_id of no image "
            f"({few(alone)}) and are left out"
        )
    return [
        Found(
            photo=str(images[number]["file_name"] if known else number),
            read=partial(_read, tuple(found), _said(images.get(number, {}))),
            numbered=not known and not isinstance(number, str),
            sha256=images.get(number, {}).get("sha256"),
        )
        for number, found in of_image.items()
    ]


def _name(record: Any) -> Any:
    return isinstance(record, Mapping) and record.get("file_name")


def _with_images(records: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return results as a data set of their photos; their numbers do not count."""
    names = {str(one["file_name"]): i for i, one in enumerate(records)}
    return {
        "images": [{"id": i, "file_name": name} for name, i in names.items()],
        "annotations": [
            {**one, "image_id": names[str(one["file_name"])]} for one in records
        ],
    }


_EXPECTED = "{}: expected masks with image_id and segmentation, the {}. is"


def _number(value: Any) -> Any:
    """Return a number that is written as text or fraction as the same whole number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isdecimal() and str(int(value)) == value:
        return int(value)
    return value if isinstance(value, int) else str(value)


def _said(image: Mapping[str, Any]) -> tuple[Any, Any] | None:
    """Return the size (H, W) that a file gives of an image, if it does."""
    found = image.get("height"), image.get("width")
    if None in found:
        return None
    if not all(isinstance(side, int | float) for side in found):
        raise ValueError(
            f"expected numbers as height and width of {image['file_name']}, got "
            f"{found[0]!r} and {found[1]!r}"
        )
    return found


def stated_ledger(path: Path) -> Ledger | None:
    """Return the labels that a file of ``wsis proposals export`` states, or None."""
    content = _content(path)
    info = content.get("info") if isinstance(content, Mapping) else None
    labels = info.get("supervision") if isinstance(info, Mapping) else None
    if not isinstance(labels, list):
        return None
    try:
        return frozenset(Supervision(label) for label in labels)
    except ValueError as error:
        raise ValueError(f"{path}: supervision: {error}") from None


def _content(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"expected a json file, got {path}")
    refuse_pickles([path])
    try:
        content = parse_json(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from None
    lists = [content]
    if isinstance(content, Mapping):
        lists = [content.get("images"), content.get("annotations")]
    if not all(isinstance(one, list) for one in lists):
        raise ValueError(
            f"{path}: expected a list of results, or an object with images and "
            "annotations"
        )
    return content


def _read(
    records: Sequence[Mapping[str, Any]],
    said: tuple[Any, Any] | None,
    size: tuple[int, int],
) -> Proposals:
    if said is not None:
        check_size("masks", said, size)
    masks, scores, outlines = [], [], Outlines()
    for i, one in enumerate(records):
        try:
            check_segmentation(one["segmentation"], size)
        except ValueError as error:
            raise ValueError(f"mask {i}: {error}") from None
        masks.append(to_rle(one["segmentation"], size))
        outlines.add(one["segmentation"], f"mask {i}", "a photo", size)
        score = one.get("score")
        number = isinstance(score, int | float) and not isinstance(score, bool)
        if score is not None and not (number and abs(score) <= _MOST):
            got = repr(score)[:60]
            raise ValueError(f"mask {i}: expected a finite number as score, got {got}")
        scores.append(math.nan if score is None else float(score))
    if not masks:
        return empty(size)
    if 0 < outlines.farthest <= 1 and max(size) > 2:
        raise ValueError("expected polygons in pixels, all numbers are in [0, 1]")
    if outlines.beyond:
        warn("masks reach beyond the photo and are cut off; is it of another size?")
    elif outlines.in_a_corner:
        warn("all masks lie in the photo's first 100 pixels; are they in percent?")
    unknown = sum(map(math.isnan, scores))
    known = unknown < len(scores)
    if known and unknown:
        raise ValueError(f"{unknown} of {len(scores)} masks have no score")
    return gathered(masks, np.array(scores) if known else None, size)
