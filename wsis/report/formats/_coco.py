"""COCO's data sets: run lengths or polygons, also as CVAT imports them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from wsis._support.files import write_json
from wsis.evaluation import coco_data_set
from wsis.geometry.polygons import polygons
from wsis.report.formats._photos import Photo, Style


def coco(
    photos: Sequence[Photo], classes: Sequence[str], style: Style, folder: Path
) -> None:
    """Write ``images/`` and ``annotations.json``, whose annotations may have scores."""
    names = [photo.copy(folder / "images") for photo in photos]
    write_json(folder / "annotations.json", _content(photos, names, classes, style))


def cvat(
    photos: Sequence[Photo], classes: Sequence[str], style: Style, folder: Path
) -> None:
    """Write COCO 1.0 with polygons, and the labels for a new task's raw constructor."""
    names = [photo.copy(folder / "images" / "default") for photo in photos]
    content = _content(photos, names, classes, replace(style, polygons=True))
    write_json(folder / "annotations" / "instances_default.json", content)
    labels = [{"name": name, "attributes": list[str]()} for name in classes]
    write_json(folder / "labels.json", labels)


def _content(
    photos: Sequence[Photo], names: Sequence[str], classes: Sequence[str], style: Style
) -> dict[str, Any]:
    """Return images, categories 1…C and annotations."""
    content = coco_data_set(
        names,
        [photo.found for photo in photos],
        classes,
        range(1, len(classes) + 1),
        {"description": "predictions by wsis"},
    )
    if not style.scores:
        content["info"]["description"] = "instances by wsis that somebody accepted"
        for one in content["annotations"]:
            del one["score"]
    if style.polygons:
        for one in content["annotations"]:
            outlines = polygons(one["segmentation"], tolerance=style.tolerance)
            one["segmentation"] = [ring.flatten().tolist() for ring in outlines]
    return content
