"""COCO's average precision, as pycocotools has it, and faster."""

import contextlib
import io
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import hotcoco
import numpy as np
from jaxtyping import Float
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from wsis.contracts import GroundTruth, Predictions, Rle
from wsis.evaluation.pairs import Pair, pair


@runtime_checkable
class Backend(Protocol):
    """A library that accumulates COCO's precision table.

    Both arguments are data sets in COCO's format of the same images and categories:
    objects, and instances that have a ``score`` besides. The table's axes are IoU
    thresholds, recalls, classes, sizes, and numbers of detections; −1 where there are
    no objects.
    """

    def __call__(
        self, objects: dict[str, Any], instances: dict[str, Any]
    ) -> Float[np.ndarray, "T R C A D"]:
        """The table of precisions, in [0, 1]."""


def with_hotcoco(
    objects: dict[str, Any], instances: dict[str, Any]
) -> Float[np.ndarray, "T R C A D"]:
    """The default: in Rust, equal to pycocotools to the last bit."""
    evaluator: Any = hotcoco.COCOeval(
        hotcoco.COCO(objects), hotcoco.COCO(instances), "segm"
    )
    evaluator.evaluate()
    evaluator.accumulate()
    table: Float[np.ndarray, "T R C A D"] = evaluator.eval["precision"]
    return table


def with_pycocotools(
    objects: dict[str, Any], instances: dict[str, Any]
) -> Float[np.ndarray, "T R C A D"]:
    """The reference."""
    # pycocotools reports its progress by print.
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = COCOeval(_indexed(objects), _indexed(instances), "segm")
        evaluator.evaluate()
        evaluator.accumulate()
    table: Float[np.ndarray, "T R C A D"] = evaluator.eval["precision"]
    return table


def coco_ap(
    predictions: Sequence[Predictions],
    truths: Sequence[GroundTruth],
    classes: Sequence[str],
    backend: Backend = with_hotcoco,
) -> dict[str, Float[np.ndarray, " C"]]:
    """Each class's AP, AP50, AP75, APs, APm and APl, in [0, 1].

    Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014,
    https://arxiv.org/abs/1405.0312, https://cocodataset.org/#detection-eval: a mean
    over IoU 0.50, 0.55, … 0.95; the 100 best predictions of each class and image;
    ignored objects are crowds; sizes are by the objects' annotated area. The mean over
    classes is COCO's figure.

    A class without objects to find, of that size, has NaN.

    Args:
        predictions: of the very images of ``truths``, in any order.
        truths: the objects.
        classes: names of labels 1…C.
        backend: does the work.

    Raises:
        ValueError: if predictions and truths do not belong together.
    """
    pairs = pair(predictions, truths, classes)
    precision = backend(
        _dataset(_objects(pairs), pairs, classes),
        _dataset(_instances(pairs), pairs, classes),
    )[..., -1]
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
            "segmentation": _text(truth.masks[i]),
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
            "segmentation": _text(mask),
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


def _dataset(
    annotations: list[dict[str, Any]], pairs: Sequence[Pair], classes: Sequence[str]
) -> dict[str, Any]:
    return {
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
