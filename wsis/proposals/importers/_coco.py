"""Masks in COCO's json: a list of results, or a data set as export writes it."""

import json
import math
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from wsis.contracts import Ledger, Proposals, Supervision
from wsis.data.segmentations import check_segmentation, to_rle
from wsis.geometry.masks import empty
from wsis.proposals.importers._found import Found, gathered, refuse_pickles


def coco(path: Path, stems: Container[str]) -> Sequence[Found]:
    """Read a json file: a list of results, or ``images`` and ``annotations``.

    A result has ``image_id`` and ``segmentation`` (run lengths or polygons), and
    ``score`` or none. In an object, ``images`` give their file names and size, and
    those without an annotation have no proposals; in a list, photos are known by
    number. Categories do not matter.
    """
    del stems
    content = _content(path)
    of_image: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    names: dict[Any, str] = {}
    if isinstance(content, Mapping):
        for image in content["images"]:
            names[image["id"]] = image["file_name"]
            of_image[image["id"]] = []
    for i, one in enumerate(
        content["annotations"] if isinstance(content, Mapping) else content
    ):
        if not isinstance(one, Mapping) or not {"image_id", "segmentation"} <= set(one):
            raise ValueError(
                f"{path}: expected masks with image_id and segmentation, the {i}. is "
                f"{str(one)[:60]}"
            )
        of_image[one["image_id"]].append(one)
    return [
        Found(photo=names.get(number, str(number)), read=partial(_read, tuple(records)))
        for number, records in of_image.items()
    ]


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
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from None
    whole = isinstance(content, Mapping) and {"images", "annotations"} <= set(content)
    if not isinstance(content, list) and not whole:
        raise ValueError(
            f"{path}: expected a list of results, or an object with images and "
            "annotations"
        )
    return content


def _read(records: Sequence[Mapping[str, Any]], size: tuple[int, int]) -> Proposals:
    masks, scores = [], []
    for i, one in enumerate(records):
        try:
            check_segmentation(one["segmentation"], size)
        except ValueError as error:
            raise ValueError(f"mask {i}: {error}") from None
        masks.append(to_rle(one["segmentation"], size))
        score = one.get("score", math.nan)
        if not isinstance(score, int | float):
            raise ValueError(f"mask {i}: expected a number as score, got {score!r}")
        scores.append(score)
    if not masks:
        return empty(size)
    known = not all(math.isnan(score) for score in scores)
    return gathered(masks, np.array(scores) if known else None, size)
