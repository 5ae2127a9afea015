"""Average precision by VOC's rules and by COCO's, of each class and over all."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Int8

from wsis.contracts import GroundTruth
from wsis.evaluation.matches import (
    ANY_SIZE,
    COCO,
    SIZES,
    VOC,
    State,
    Table,
    finds,
    tabulate,
)
from wsis.geometry.predictions import Predictions

_RECALLS = np.linspace(0, 1, 101)
"""Where COCO's rules look at the precision."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The quality of predictions, in percent.

    Args:
        metrics: means over the classes that have objects; by VOC's rules ``mAP25``,
            ``mAP50``, ``mAP70`` and ``mAP75``; by COCO's ``AP``, ``AP50``, ``AP75``
            and, for sizes that occur, ``APs``, ``APm`` and ``APl``.
        per_class: the same of each class; ``None`` where it has no object to find.
    """

    metrics: dict[str, float]
    per_class: dict[str, dict[str, float | None]]

    @classmethod
    def of(cls, table: Table) -> "Evaluation":
        """Measure the predictions of a table.

        Raises:
            ValueError: if a class's name comes twice.
        """
        classes = table.classes
        if len(set(classes)) != len(classes):
            raise ValueError(
                f"expected names of classes to differ, got {list(classes)}"
            )
        rows = _voc(table, VOC) | _coco(table)
        known = {name: 100 * row[~np.isnan(row)] for name, row in rows.items()}
        return cls(
            metrics={
                name: float(one.mean()) for name, one in known.items() if len(one)
            },
            per_class={
                c: {
                    name: None if np.isnan(row[i]) else float(100 * row[i])
                    for name, row in rows.items()
                }
                for i, c in enumerate(classes)
            },
        )


def evaluate(
    predictions: Sequence[Predictions],
    truths: Sequence[GroundTruth],
    classes: Sequence[str],
) -> Evaluation:
    """Measure predictions by the rules of ``voc_ap`` and of ``coco_ap``.

    Raises:
        ValueError: if predictions and truths are not of the same images and sizes, an
            image or a class's name comes twice, a label is outside 1…C, a score is not
            finite, or there is no object to find.
    """
    return Evaluation.of(tabulate(predictions, truths, classes))


def voc_ap(
    predictions: Sequence[Predictions],
    truths: Sequence[GroundTruth],
    classes: Sequence[str],
    thresholds: Sequence[float] = VOC,
) -> dict[str, Float[np.ndarray, " C"]]:
    """Return each class's AP by VOC's rules, in [0, 1], by mask IoU threshold.

    ``"mAP50"`` holds the AP at 0.5. ``wsis.evaluation.matches`` has the rules; AP is
    the area under the precision that recall allows at best. Equal scores keep the order
    of ``truths``, then that of the predictions. A class without objects to find has
    NaN.

    Raises:
        ValueError: if predictions and truths do not belong together.
    """
    return _voc(tabulate(predictions, truths, classes), thresholds)


def coco_ap(
    predictions: Sequence[Predictions],
    truths: Sequence[GroundTruth],
    classes: Sequence[str],
) -> dict[str, Float[np.ndarray, " C"]]:
    """Return each class's AP, AP50, AP75, APs, APm and APl by COCO's rules, in [0, 1].

    Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014,
    https://arxiv.org/abs/1405.0312, https://cocodataset.org/#detection-eval: a mean
    over IoU 0.50, 0.55, … 0.95; the 100 best predictions of each class and image;
    ignored objects are crowds; sizes are by the objects' annotated area. The mean over
    classes is COCO's figure, equal to that of pycocotools to the last bit. Equal scores
    keep the order of the images' numbers. A class without objects to find, of that
    size, has NaN.

    Args:
        predictions: of the very images of ``truths``, in any order.
        truths: the objects.
        classes: names of labels 1…C.

    Raises:
        ValueError: if predictions and truths do not belong together.
    """
    return _coco(tabulate(predictions, truths, classes))


def average_precision(
    hit: Int[np.ndarray, " M"], ignore: Bool[np.ndarray, " G"], objects: int
) -> float:
    """Return the area under the precision-recall curve, in [0, 1].

    Args:
        hit: the object that each prediction found, best first; −1 for none.
        ignore: objects that count neither way.
        objects: how many there are to find, at least one.
    """
    return _area(finds(hit, np.zeros(len(hit)), ignore), objects)


def _voc(
    table: Table, thresholds: Sequence[float]
) -> dict[str, Float[np.ndarray, " C"]]:
    found = {}
    ranked = list(zip(table.best_first(), table.counts().tolist(), strict=True))
    for threshold in thresholds:
        state = table.voc(threshold)
        areas = [_area(state[mine], n) if n else np.nan for mine, n in ranked]
        found[f"mAP{round(100 * threshold)}"] = np.array(areas)
    return found


def _area(state: Int8[np.ndarray, " M"], objects: int) -> float:
    """Of predictions best first."""
    true = state[state != State.NEITHER] == State.FOUND
    precision = true.cumsum() / np.arange(1, len(true) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    # Recall rises by 1 / objects at each object found, and nowhere else.
    return float(best[true].sum() / objects)


def _coco(table: Table) -> dict[str, Float[np.ndarray, " C"]]:
    sizes = (ANY_SIZE, *SIZES.values())
    shape = len(COCO), len(_RECALLS), len(table.classes), len(sizes)
    curves = np.full(shape, np.nan)
    # pycocotools sorts images by their number.
    ranked = table.best_first(np.argsort(np.argsort(np.array(table.image_id, object))))
    for i, size in enumerate(sizes):
        state = table.coco(size)
        counts = table.counts(size).tolist()
        for c, (mine, count) in enumerate(zip(ranked, counts, strict=True)):
            if count:
                curves[:, :, c, i] = _curves(state[mine], count)
    every, small, medium, large = np.moveaxis(curves, 3, 0)
    tables = {"AP": every, "AP50": every[:1], "AP75": every[5:6]}
    tables |= {"APs": small, "APm": medium, "APl": large}
    # A class is NaN throughout or not at all, so that a plain mean does.
    return {name: one.mean(axis=(0, 1)) for name, one in tables.items()}


def _curves(
    state: Int8[np.ndarray, "M thresholds"], objects: int
) -> Float[np.ndarray, "thresholds recalls"]:
    """Return the best precision from each of COCO's recalls on; 0 where not reached."""
    true = state == State.FOUND
    found = true.cumsum(0)
    # pycocotools adds the tiny number, which shows in the last digit.
    precision = found / ((state != State.NEITHER).cumsum(0) + np.spacing(1))
    best = np.maximum.accumulate(precision[::-1], 0)[::-1]
    at = np.zeros((objects, len(COCO)))
    at[found[true] - 1, true.nonzero()[1]] = best[true]
    return at[np.searchsorted(np.arange(1, objects + 1) / objects, _RECALLS)].T
