"""The figures of an evaluation, over all classes and of each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from wsis.contracts import GroundTruth, Predictions
from wsis.evaluation.coco import coco_ap
from wsis.evaluation.voc import voc_ap


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good predictions are, in percent.

    Args:
        metrics: means over the classes that have objects; by VOC's rules ``mAP25``,
            ``mAP50``, ``mAP70`` and ``mAP75``; by COCO's ``AP``, ``AP50``, ``AP75``
            and, for sizes that occur, ``APs``, ``APm`` and ``APl``.
        per_class: the same of each class; ``None`` where it has no object to find.
    """

    metrics: dict[str, float]
    per_class: dict[str, dict[str, float | None]]


def evaluate(
    predictions: Sequence[Predictions],
    truths: Sequence[GroundTruth],
    classes: Sequence[str],
) -> Evaluation:
    """Measures predictions by the rules of ``voc_ap`` and of ``coco_ap``.

    Raises:
        ValueError: if predictions and truths are not of the same images and sizes, an
            image or a class's name comes twice, a label is outside 1…C, a score is not
            finite, or there is no object to find.
    """
    if len(set(classes)) != len(classes):
        raise ValueError(f"expected names of classes to differ, got {list(classes)}")
    truths = list(truths)  # Data sets make them anew whenever they are asked for.
    return summary(
        voc_ap(predictions, truths, classes) | coco_ap(predictions, truths, classes),
        classes,
    )


def summary(
    table: dict[str, Float[np.ndarray, " C"]], classes: Sequence[str]
) -> Evaluation:
    """Means and percents of each class's figures in [0, 1]; NaN is left out."""
    known = {name: 100 * row[~np.isnan(row)] for name, row in table.items()}
    return Evaluation(
        metrics={name: float(row.mean()) for name, row in known.items() if len(row)},
        per_class={
            c: {
                name: None if np.isnan(row[i]) else float(100 * row[i])
                for name, row in table.items()
            }
            for i, c in enumerate(classes)
        },
    )
