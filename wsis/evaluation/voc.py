"""PASCAL VOC's average precision with the overlap of masks in place of boxes."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from pycocotools import mask as rle

from wsis.contracts import GroundTruth, Predictions
from wsis.evaluation.pairs import Pair, pair


def voc_ap(
    predictions: Sequence[Predictions],
    truths: Sequence[GroundTruth],
    classes: Sequence[str],
    thresholds: Sequence[float] = (0.25, 0.5, 0.7, 0.75),
) -> dict[str, Float[np.ndarray, " C"]]:
    """Each class's AP, in [0, 1], by mask IoU threshold; ``"mAP50"`` holds that at 0.5.

    As in Hariharan et al., "Simultaneous Detection and Segmentation", ECCV 2014,
    https://arxiv.org/abs/1407.1808, section 5, with the devkit's rules of 2010 on. Best
    score first over all images, a prediction finds the object of its class and image
    that it overlaps most (the first of several), if by the threshold at least. Found
    again, the object counts as a false alarm; found, an ignored object counts neither
    way. AP is the area under the precision that recall allows at best. Equal scores
    keep the order of ``truths``, then that of the predictions.

    A class without objects to find has NaN.

    Raises:
        ValueError: if predictions and truths do not belong together.
    """
    pairs = pair(predictions, truths, classes)
    names = [f"mAP{round(100 * threshold)}" for threshold in thresholds]
    table = {name: np.full(len(classes), np.nan) for name in names}
    for c in range(len(classes)):
        score, overlap, target, ignore = _best_objects(pairs, label=c + 1)
        objects = int((~ignore).sum())
        if objects == 0:
            continue
        order = np.argsort(-score, kind="stable")
        for name, threshold in zip(names, thresholds, strict=True):
            hit = np.where(overlap >= threshold, target, -1)[order]
            table[name][c] = average_precision(hit, ignore, objects)
    return table


def average_precision(
    hit: Int[np.ndarray, " M"], ignore: Bool[np.ndarray, " G"], objects: int
) -> float:
    """Area under the precision-recall curve, in [0, 1].

    Args:
        hit: the object that each prediction found, best first; −1 for none.
        ignore: objects that count neither way.
        objects: how many there are to find, at least one.
    """
    counted = hit[(hit < 0) | ~np.append(ignore, False)[hit]]
    true = np.zeros(len(counted), bool)
    found, first = np.unique(counted, return_index=True)
    true[first[found >= 0]] = True
    precision = true.cumsum() / np.arange(1, len(true) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    # Recall rises by 1 / objects at each object found, and nowhere else.
    return float(best[true].sum() / objects)


def _best_objects(
    pairs: Sequence[Pair], label: int
) -> tuple[
    Float[np.ndarray, " M"],
    Float[np.ndarray, " M"],
    Int[np.ndarray, " M"],
    Bool[np.ndarray, " G"],
]:
    """Score, highest IoU and object (−1 for none) of a class's predictions; ``ignore``.

    Objects are numbered over all images.
    """
    scores, overlaps, targets = [], [np.zeros(0)], [np.zeros(0, np.int64)]
    ignores = [np.zeros(0, bool)]
    objects = 0
    for prediction, truth in pairs:
        mine = (prediction.label == label).nonzero().flatten().tolist()
        theirs = (truth.label == label).nonzero().flatten().tolist()
        scores += prediction.score[mine].tolist()
        ignores.append(truth.ignore[theirs].cpu().numpy())
        if theirs and mine:
            iou = rle.iou(
                [prediction.masks[i] for i in mine],
                [truth.masks[i] for i in theirs],
                [0] * len(theirs),
            )  # (mine, theirs)
            overlaps.append(iou.max(axis=1))
            targets.append(iou.argmax(axis=1) + objects)
        else:
            overlaps.append(np.zeros(len(mine)))
            targets.append(np.full(len(mine), -1))
        objects += len(theirs)
    return (
        np.array(scores, float),
        np.concatenate(overlaps),
        np.concatenate(targets),
        np.concatenate(ignores),
    )
