"""Counts the errors of predictions by kind, and tells what each kind costs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from wsis.contracts import GroundTruth, Proposals
from wsis.evaluation.kinds import (
    FALSE,
    FOUND,
    IGNORED,
    MISSES,
    Kind,
    Rules,
    Sorted,
    sort,
)
from wsis.evaluation.matches import SIZES, Table, tabulate
from wsis.evaluation.precision import average_precision
from wsis.geometry.predictions import Predictions

KINDS: dict[str, tuple[Kind, ...]] = {
    **{str(kind): (kind,) for kind in Kind},
    "false positives": FALSE,
    "misses": MISSES,
}
"""The rows of a table of errors: each kind, all of predictions, all of objects."""

_Rows = Mapping[str, tuple[Bool[np.ndarray, " M"], Bool[np.ndarray, " G"]]]
"""The predictions and the objects of each of ``KINDS``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The number of errors of a kind, and their cost.

    Args:
        count: how many.
        share: of all false positives, or of all misses, in percent; 0 of none.
        top: how many are among the best predictions of their class, as many as it has
            objects to find (Hoiem et al., "Diagnosing Error in Object Detectors", ECCV
            2012, section 3); for misses ``count``.
        other_class: how many have a reference of another class; 0 for misses.
        gain: by how many percent the figure would rise if they were repaired.
    """

    count: int
    share: float
    top: int
    other_class: int
    gain: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Anatomy:
    """The errors of one set of predictions; ``results`` gives JSON-like values.

    Args:
        rules: by which they were sorted.
        score: mean AP at the rules' IoU by ``voc_ap``, in percent.
        predictions: how many there are, without those that ignored objects excuse.
        found: how many objects were found.
        objects: how many there are to find.
        kinds: tally of each kind; gains are in ``score``. ``false positives`` and
            ``misses`` stand for all of them together.
        per_class: tallies of the errors whose prediction, or missed object, is of a
            class; gains are in that class's AP when all classes' errors of the kind are
            repaired, 0 for a class without objects.
        per_size: tallies of the errors whose reference, missed object, or else
            prediction, is of a size; gains are in ``score``.
        of_predictions: the kind of each image's predictions, in their order, or
            ``found`` or ``ignored``.
        of_objects: the same of each image's objects.
    """

    rules: Rules
    score: float
    predictions: int
    found: int
    objects: int
    kinds: dict[str, Tally]
    per_class: dict[str, dict[str, Tally]]
    per_size: dict[str, dict[str, Tally]]
    of_predictions: dict[int, list[str]]
    of_objects: dict[int, list[str]]

    @classmethod
    def of(
        cls,
        table: Table,
        truths: Sequence[GroundTruth],
        proposals: Iterable[Proposals],
        rules: Rules | None = None,
    ) -> "Anatomy":
        """Dissect a table of ``tabulate(…, across=True)``, as ``dissect`` does."""
        rules = rules or Rules()
        found = sort(table, truths, proposals, rules)
        score, counted = repaired(found), (_top(found), _other_class(found))
        rows = {
            name: (np.isin(found.kind, some), np.isin(found.object_kind, some))
            for name, some in KINDS.items()
        }
        gains = _gains(found, rows, score)
        per_class, per_size = {}, {}
        for c, name in enumerate(table.classes, 1):
            mine = _among(rows, table.label == c, table.object_label == c)
            of_class = {kind: gain[c - 1] for kind, gain in gains.items()}
            per_class[name] = _tallies(mine, of_class, *counted)
        size, object_size = _sizes(found)
        for name in SIZES:
            mine = _among(rows, size == name, object_size == name)
            of_size = _means(_gains(found, mine, score))
            per_size[name] = _tallies(mine, of_size, *counted)
        return cls(
            rules=rules,
            score=100 * float(np.nanmean(score)),
            predictions=int((found.kind != IGNORED).sum()),
            found=int((found.object_kind == FOUND).sum()),
            objects=int(table.to_find().sum()),
            kinds=_tallies(rows, _means(gains), *counted),
            per_class=per_class,
            per_size=per_size,
            of_predictions=_each(found.kind, table.image, table.image_id),
            of_objects=_each(found.object_kind, table.object_image, table.image_id),
        )

    def results(self) -> dict[str, Any]:
        """Return all figures, without the kinds of single predictions and objects."""
        figures = asdict(self)
        del figures["of_predictions"], figures["of_objects"]
        return figures


def dissect(
    predictions: Sequence[Predictions],
    truths: Sequence[GroundTruth],
    proposals: Iterable[Proposals],
    classes: Sequence[str],
    rules: Rules | None = None,
) -> Anatomy:
    """Sort every false positive and every miss into the kinds that ``Rules`` defines.

    The AP gained by repairing a kind is that of TIDE (Bolya et al., "TIDE: A General
    Toolbox for Identifying Object Detection Errors", ECCV 2020,
    https://arxiv.org/abs/2008.08115), as ``repaired`` has it. Gains do not add up:
    repairing one kind changes what another is worth.

    Args:
        predictions: of the very images of ``truths``, in any order.
        truths: the objects.
        proposals: of each image, in the order of ``truths``; taken one at a time.
        classes: names of labels 1…C.
        rules: thresholds; the default ones for None.

    Raises:
        ValueError: if predictions, proposals and truths do not belong together, or
            there is no object to find.
    """
    truths = list(truths)
    table = tabulate(predictions, truths, classes, across=True)
    return Anatomy.of(table, truths, proposals, rules)


def average(anatomies: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the means of several runs' figures, as ``Anatomy.results`` gives them.

    Raises:
        ValueError: if there are none, or they are not of the same classes and rules.
    """
    if not anatomies:
        raise ValueError("expected at least one anatomy, got none")
    if any(one["rules"] != anatomies[0]["rules"] for one in anatomies):
        raise ValueError("expected anatomies by the same rules")
    mean: dict[str, Any] = _mean(anatomies)
    return mean


def _mean(values: Sequence[Any]) -> Any:
    first = values[0]
    if not isinstance(first, dict):
        return float(np.mean(values))
    if any(value.keys() != first.keys() for value in values):
        raise ValueError("expected anatomies of the same classes")
    return {key: _mean([value[key] for value in values]) for key in first}


def repaired(
    found: Sorted,
    predictions: Bool[np.ndarray, " M"] | None = None,
    objects: Bool[np.ndarray, " G"] | None = None,
) -> Float[np.ndarray, " C"]:
    """Return each class's AP at the rules' IoU, in [0, 1], with some errors repaired.

    As the oracles of TIDE (arXiv 2008.08115, section 2.3): a prediction whose reference
    is of its class, or whose kind is *class*, finds the reference with its own score,
    unless that was found already or is repaired with a higher score. All others are
    removed. A missed object is no longer to be found, unless a repaired prediction
    finds it. So no repair lowers the AP.

    Args:
        found: what ``sort`` made.
        predictions: the false positives to repair; None for none.
        objects: the misses to repair; None for none.

    Returns:
        NaN for a class that has no objects; 0 for one that had, and has none left.
    """
    table = found.table
    label, hit = table.label.copy(), found.hit.copy()
    keep = np.ones(len(label), bool)
    to_find = table.to_find() if objects is None else table.to_find() & ~objects
    if predictions is not None:
        keep = ~predictions
        taken = np.zeros(len(table.ignore), bool)
        taken[found.hit[found.kind == FOUND]] = True
        mendable = ~_other_class(found) | (found.kind == Kind.CLASS)
        mended = np.flatnonzero(predictions & mendable & (found.reference >= 0))
        mended = mended[~taken[found.reference[mended]]]
        mended = mended[np.argsort(-table.score[mended], kind="stable")]
        target, first = np.unique(found.reference[mended], return_index=True)
        keep[mended[first]] = True
        hit[mended[first]] = target
        label[mended[first]] = table.object_label[target]
        to_find[target] = True
    figures = np.where(table.counts() > 0, 0.0, np.nan)
    for c in range(1, len(figures) + 1):
        if count := int((to_find & (table.object_label == c)).sum()):
            mine = np.flatnonzero(keep & (label == c))
            mine = mine[np.argsort(-table.score[mine], kind="stable")]
            figures[c - 1] = average_precision(hit[mine], table.ignore, count)
    return figures


def _other_class(found: Sorted) -> Bool[np.ndarray, " M"]:
    """Return the predictions whose reference is of another class."""
    labels = np.append(found.table.object_label, 0)[found.reference]
    other: Bool[np.ndarray, " M"] = found.table.label != labels
    return other & (found.reference >= 0)


def _among(
    rows: _Rows, predictions: Bool[np.ndarray, " M"], objects: Bool[np.ndarray, " G"]
) -> _Rows:
    return {name: (a & predictions, b & objects) for name, (a, b) in rows.items()}


def _gains(
    found: Sorted, rows: _Rows, score: Float[np.ndarray, " C"]
) -> dict[str, Float[np.ndarray, " C"]]:
    """Return by how much each class's AP would rise; NaN without objects."""
    return {name: repaired(found, *row) - score for name, row in rows.items()}


def _means(gains: Mapping[str, Float[np.ndarray, " C"]]) -> dict[str, float]:
    return {name: float(np.nanmean(gain)) for name, gain in gains.items()}


def _top(found: Sorted) -> Bool[np.ndarray, " M"]:
    """Return the best predictions of each class, as many as it has objects to find."""
    top = np.zeros(len(found.kind), bool)
    ranked, counts = found.table.best_first(), found.table.counts().tolist()
    for mine, count in zip(ranked, counts, strict=True):
        top[mine[found.kind[mine] != IGNORED][:count]] = True
    return top


def _tallies(
    rows: _Rows,
    gains: Mapping[str, float],
    top: Bool[np.ndarray, " M"],
    other: Bool[np.ndarray, " M"],
) -> dict[str, Tally]:
    counts = {name: int(a.sum() + b.sum()) for name, (a, b) in rows.items()}
    tallies = {}
    for name, (mine, theirs) in rows.items():
        whole = "misses" if KINDS[name][0] in MISSES else "false positives"
        tallies[name] = Tally(
            count=counts[name],
            share=100 * counts[name] / max(1, counts[whole]),
            top=int(top[mine].sum() + theirs.sum()),
            other_class=int(other[mine].sum()),
            gain=0.0 if np.isnan(gains[name]) else 100 * float(gains[name]),
        )
    return tallies


def _sizes(found: Sorted) -> tuple[np.ndarray, np.ndarray]:
    """Return the size of each prediction's reference, or its own, and of each object.

    An object on a border is of the larger size.
    """
    areas = found.table.object_area
    own = np.where(
        found.reference < 0, found.table.area, np.append(areas, 0)[found.reference]
    )
    names, ends = np.array(list(SIZES)), [high for _, high in SIZES.values()]
    return names[np.digitize(own, ends)], names[np.digitize(areas, ends)]


def _each(
    kinds: np.ndarray, image: Int[np.ndarray, " K"], image_id: Sequence[int]
) -> dict[int, list[str]]:
    """Return the kinds by the number of the image."""
    counts = np.bincount(image, minlength=len(image_id))
    parts = np.split(kinds, counts.cumsum()[:-1])
    return {i: part.tolist() for i, part in zip(image_id, parts, strict=True)}
