"""The average precision there would be if some errors were repaired."""

import numpy as np
from jaxtyping import Bool, Float

from wsis.evaluation.kinds import FOUND, Kind, Sorted
from wsis.evaluation.voc import average_precision


def repaired(
    found: Sorted,
    classes: int,
    predictions: Bool[np.ndarray, " M"] | None = None,
    objects: Bool[np.ndarray, " G"] | None = None,
) -> Float[np.ndarray, " C"]:
    """Each class's AP at the rules' IoU, in [0, 1], with the given errors repaired.

    As the oracles of TIDE (arXiv 2008.08115, section 2.3). A prediction whose
    reference is of its class, or whose kind is *class*, becomes a find of the reference
    with the score that it has; if the reference was found already, or another one of a
    higher score is repaired to the same, it is removed. Every other prediction is
    removed. A missed object is no longer to be found, unless a repaired prediction
    finds it. So no repair lowers the AP.

    Args:
        found: what ``sort`` made.
        classes: C.
        predictions: the false positives to repair; None for none.
        objects: the misses to repair; None for none.

    Returns:
        NaN for a class that has no objects; 0 for one that had, and has none left.
    """
    label, hit = found.label.copy(), found.hit.copy()
    keep = np.ones(len(label), bool)
    to_find = ~found.ignore if objects is None else ~found.ignore & ~objects
    if predictions is not None:
        keep = ~predictions
        taken = np.zeros(len(found.ignore), bool)
        taken[found.hit[found.kind == FOUND]] = True
        mended = np.flatnonzero(predictions & mendable(found))
        mended = mended[~taken[found.reference[mended]]]
        mended = mended[np.argsort(-found.score[mended], kind="stable")]
        target, first = np.unique(found.reference[mended], return_index=True)
        keep[mended[first]] = True
        hit[mended[first]] = target
        label[mended[first]] = found.object_label[target]
        to_find[target] = True
    table = np.full(classes, np.nan)
    for c in range(1, classes + 1):
        if not (~found.ignore & (found.object_label == c)).any():
            continue
        mine = np.flatnonzero(keep & (label == c))
        mine = mine[np.argsort(-found.score[mine], kind="stable")]
        count = int((to_find & (found.object_label == c)).sum())
        table[c - 1] = (
            average_precision(hit[mine], found.ignore, count) if count else 0.0
        )
    return table


def mendable(found: Sorted) -> Bool[np.ndarray, " M"]:
    """Predictions that a repair turns into finds if it can; others it removes."""
    labels = np.append(found.object_label, 0)[found.reference]
    mend: Bool[np.ndarray, " M"] = (labels == found.label) | (found.kind == Kind.CLASS)
    return mend
