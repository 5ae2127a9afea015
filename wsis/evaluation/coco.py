"""COCO's average precision, as pycocotools has it."""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from wsis.contracts import GroundTruth, Predictions
from wsis.evaluation.pairs import Pair, pair


def coco_ap(
    predictions: Sequence[Predictions],
    truths: Sequence[GroundTruth],
    classes: Sequence[str],
) -> dict[str, Float[np.ndarray, " C"]]:
    """Each class's AP, AP50, AP75, APs, APm and APl, in [0, 1].

    Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014,
    https://arxiv.org/abs/1405.0312, https://cocodataset.org/#detection-eval: a mean
    over IoU 0.50, 0.55, … 0.95; the 100 best predictions of each class and image;
    ignored objects are crowds; sizes are by the objects' annotated area. The mean over
    classes is COCO's figure.

    A class without objects to find, of that size, has NaN.

    Raises:
        ValueError: if predictions and truths do not belong together.
    """
    pairs = pair(predictions, truths, classes)
    # pycocotools reports its progress by print.
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = COCOeval(
            _indexed(_objects(pairs), pairs, classes),
            _indexed(_instances(pairs), pairs, classes),
            "segm",
        )
        evaluator.evaluate()
        evaluator.accumulate()
    # (IoU thresholds, recalls, C, sizes), −1 where there are no objects
    precision = evaluator.eval["precision"][..., -1]
    precision = np.where(precision < 0, np.nan, precision)
    every, small, medium, large = np.moveaxis(precision, 3, 0)
    tables = {
        "AP": every,
        "AP50": every[:1],
        "AP75": every[5:6],
        "APs": small,
        "APm": medium,
        "APl": large,
    }
    # A class is NaN throughout or not at all, so that a plain mean does.
    return {name: table.mean(axis=(0, 1)) for name, table in tables.items()}


def _objects(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": truth.image_id,
            "category_id": int(truth.label[i]),
            "segmentation": dict(truth.masks[i]),
            "area": float(truth.area[i]),
            "iscrowd": int(truth.ignore[i]),
        }
        for _, truth in pairs
        for i in range(len(truth.masks))
    ]


def _instances(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": prediction.image_id,
            "category_id": label,
            "segmentation": dict(mask),
            "area": float(rle.area(mask)),
            "score": score,
        }
        for prediction, _ in pairs
        for label, mask, score in zip(
            prediction.label.tolist(),
            prediction.masks,
            prediction.score.tolist(),
            strict=True,
        )
    ]


def _indexed(
    annotations: list[dict[str, Any]], pairs: Sequence[Pair], classes: Sequence[str]
) -> COCO:
    coco = COCO()
    coco.dataset = {
        "images": [
            {"id": truth.image_id, "height": truth.size[0], "width": truth.size[1]}
            for _, truth in pairs
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(classes, 1)],
        # From 1: COCOeval takes an object numbered 0 for none.
        "annotations": [
            {"id": i, **annotation} for i, annotation in enumerate(annotations, 1)
        ],
    }
    coco.createIndex()
    return coco
