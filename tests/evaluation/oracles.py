"""COCO's AP by other libraries, from the same masks."""

import contextlib
import io
from collections.abc import Callable, Sequence
from typing import Any

import hotcoco
import numpy as np
from jaxtyping import Float
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from wsis.contracts import GroundTruth, Rle
from wsis.geometry.predictions import Predictions

Backend = Callable[[dict[str, Any], dict[str, Any]], np.ndarray]
"""Gives precisions by IoU, recall, class, size and limit from objects and instances."""

NAMES = ["AP", "AP50", "AP75", "APs", "APm", "APl"]


def with_hotcoco(objects: dict[str, Any], instances: dict[str, Any]) -> np.ndarray:
    """Return the table of precisions; in Rust."""
    evaluator: Any = hotcoco.COCOeval(
        hotcoco.COCO(objects), hotcoco.COCO(instances), "segm"
    )
    evaluator.evaluate()
    evaluator.accumulate()
    table: np.ndarray = evaluator.eval["precision"]
    return table


def with_pycocotools(objects: dict[str, Any], instances: dict[str, Any]) -> np.ndarray:
    """Return the table of precisions; the reference."""
    # pycocotools reports its progress by print.
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = COCOeval(_indexed(objects), _indexed(instances), "segm")
        evaluator.evaluate()
        evaluator.accumulate()
    table: np.ndarray = evaluator.eval["precision"]
    return table


def coco_ap_by(
    backend: Backend,
    predictions: Sequence[Predictions],
    truths: Sequence[GroundTruth],
    classes: Sequence[str],
) -> dict[str, Float[np.ndarray, " C"]]:
    """Return what ``wsis.evaluation.coco_ap`` does, as another library has it."""
    objects = [
        {
            "image_id": truth.image_id,
            "category_id": int(truth.label[i]),
            "segmentation": _text(truth.masks[i]),
            "area": float(truth.area[i]),
            "iscrowd": int(truth.ignore[i]),
        }
        for truth in truths
        for i in range(len(truth.masks))
    ]
    instances = [
        {
            "image_id": image.image_id,
            "category_id": int(image.label[i]),
            "segmentation": _text(image.masks[i]),
            "area": float(rle.area(image.masks[i])),
            "score": float(image.score[i]),
        }
        for image in predictions
        for i in range(len(image))
    ]
    images = [
        {"id": truth.image_id, "height": truth.size[0], "width": truth.size[1]}
        for truth in truths
    ]
    sets = [
        {
            "images": images,
            "categories": [
                {"id": i, "name": name} for i, name in enumerate(classes, 1)
            ],
            # From 1: COCOeval takes an object numbered 0 for none.
            "annotations": [{"id": i, **one} for i, one in enumerate(annotations, 1)],
        }
        for annotations in (objects, instances)
    ]
    table = backend(*sets)[..., -1]
    every, small, medium, large = np.moveaxis(np.where(table < 0, np.nan, table), 3, 0)
    tables = every, every[:1], every[5:6], small, medium, large
    # A class is NaN throughout or not at all, so that a plain mean does.
    return {
        name: one.mean(axis=(0, 1)) for name, one in zip(NAMES, tables, strict=True)
    }


def _text(mask: Rle) -> dict[str, Any]:
    """Run lengths as text, which both libraries take."""
    counts = mask["counts"]
    text = counts.decode("ascii") if isinstance(counts, bytes) else counts
    return {"size": list(mask["size"]), "counts": text}


def _indexed(dataset: dict[str, Any]) -> COCO:
    coco = COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco
