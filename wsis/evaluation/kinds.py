"""Sorts false positives and misses into kinds of errors."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float, Int

from wsis._support.checks import inside
from wsis.contracts import GroundTruth, Proposals
from wsis.evaluation._pairs import together
from wsis.evaluation.matches import Meeting, State, Table, finds, nearest
from wsis.geometry.overlap import cross_iou


class Kind(StrEnum):
    """A kind of error; ``Rules`` defines each."""

    PART = "part"
    WHOLE_PLUS = "whole-plus"
    MERGED = "merged"
    DUPLICATE = "duplicate"
    CLASS = "class"
    SHIFTED = "shifted"
    BACKGROUND = "background"
    MISSED = "missed though proposed"
    UNPROPOSED = "never proposed"


MISSES = (Kind.MISSED, Kind.UNPROPOSED)
"""The kinds of objects that nothing found; all others are of predictions."""

FALSE = tuple(kind for kind in Kind if kind not in MISSES)
"""The kinds of predictions that found nothing."""

FOUND, IGNORED = "found", "ignored"
"""What is no error: a first find, and what an ignored object excuses."""

_TEXT = f"U{max(map(len, Kind))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The kind of each prediction and of each missed object.

    Overlaps are counted in pixels. A prediction P *finds* an object by VOC's rule (see
    ``wsis.evaluation.matches``) at IoU ``iou``. If the object that it hits is ignored,
    P is no error. If P finds nothing, it is a false positive; the first of these that
    holds is its kind, *objects* being those that are not ignored:

    - *duplicate*: it hits an object that was found before.
    - *class*: its IoU with an object of another class is at least ``iou``.
    - *merged*, *whole-plus*, *part*: P **contains** an object G if it covers at least
      ``contained`` of G's pixels, and is **inside** G if at least ``contained`` of P's
      pixels are G's. Of the objects for which one of the two holds, those of P's class
      come first, then the highest IoU, then the first. If P contains this object, it is
      merged if it contains another one as well, of whatever class, and whole-plus
      otherwise; if P is inside this object, it is a part.
    - *shifted*: its IoU with an object, of whatever class, is at least ``near``.
    - *background*: everything else.

    An object that is not ignored and not found is *missed though proposed* if a
    proposal has IoU of at least ``iou`` with it, and *never proposed* otherwise.

    Args:
        iou: at which an object is found, in (0, 1).
        contained: share of pixels, at most 1 and at least 2·iou / (1 + iou), so that
            no error both contains an object and is inside it.
        near: IoU below which a prediction has nothing to do with an object, in
            (0, iou]. 0.1 is that of TIDE (Bolya et al., "TIDE: A General Toolbox for
            Identifying Object Detection Errors", ECCV 2020,
            https://arxiv.org/abs/2008.08115, section 2.2).

    Raises:
        ValueError: if a threshold is out of range.
    """

    iou: float = 0.5
    contained: float = 0.75
    near: float = 0.1

    def __post_init__(self) -> None:
        inside("iou", self.iou)
        least = 2 * self.iou / (1 + self.iou)
        if not least <= self.contained <= 1:
            raise ValueError(
                f"contained must be in [{least:.3f}, 1] at iou {self.iou}, so that no "
                f"error both contains an object and is inside it; got {self.contained}"
            )
        if not 0 < self.near <= self.iou:
            raise ValueError(f"near must be in (0, {self.iou}], got {self.near}")


@dataclass(frozen=True, slots=True, eq=False)
class Sorted:
    """The kind of each prediction and object of a table.

    Args:
        table: the predictions and objects.
        kind: one of ``FALSE``, or ``FOUND`` or ``IGNORED``.
        hit: the object that a prediction hits, found before or not; −1 for none.
        reference: the object by which a prediction is of its kind; −1 for none.
        object_kind: one of ``MISSES``, or ``FOUND`` or ``IGNORED``.
    """

    table: Table
    kind: np.ndarray
    hit: Int[np.ndarray, " M"]
    reference: Int[np.ndarray, " M"]
    object_kind: np.ndarray


def sort(
    table: Table,
    truths: Sequence[GroundTruth],
    proposals: Iterable[Proposals],
    rules: Rules,
) -> Sorted:
    """Find the kind of everything in a table of ``tabulate(…, across=True)``."""
    kind = np.full(len(table.label), Kind.BACKGROUND, _TEXT)
    hit, reference = np.full((2, len(kind)), -1)
    object_kind = np.where(table.ignore, IGNORED, FOUND).astype(_TEXT)
    made, objects = 0, 0
    images = together(proposals, truths)
    for (source, truth), meeting in zip(images, table.meetings, strict=True):
        mine = slice(made, made + len(meeting.area))
        theirs = slice(objects, objects + len(meeting.object_area))
        own = table.label[mine, None] == table.object_label[theirs]
        kind[mine], *found = kinds_of(
            table.score[mine], meeting, own, table.ignore[theirs], rules
        )
        for column, local in zip((hit, reference), found, strict=True):
            column[mine] = np.where(local < 0, -1, local + objects)
        missed = ~table.ignore[theirs]
        missed[found[0][kind[mine] == FOUND]] = False
        if missed.any():
            masks = [truth.masks[i] for i in np.flatnonzero(missed).tolist()]
            iou = cross_iou(source, masks).cpu().numpy().max(axis=0, initial=0)
            object_kind[theirs][missed] = np.where(iou >= rules.iou, *MISSES)
        made, objects = mine.stop, theirs.stop
    return Sorted(table, kind, hit, reference, object_kind)


def kinds_of(
    score: Float[np.ndarray, " M"],
    meeting: Meeting,
    own: Bool[np.ndarray, "M G"],
    ignore: Bool[np.ndarray, " G"],
    rules: Rules,
) -> tuple[np.ndarray, Int[np.ndarray, " M"], Int[np.ndarray, " M"]]:
    """Return kind, hit and reference of one image's predictions; −1 for no object.

    ``own`` says whether an object is of the prediction's class; of several hits the one
    of the highest ``score`` finds.
    """
    kind = np.full(len(score), Kind.BACKGROUND, _TEXT)
    hit, reference = np.full((2, len(score)), -1)
    if not len(score) or not len(ignore):
        return kind, hit, reference
    every, iou, to_find = np.arange(len(score)), meeting.iou, ~ignore
    contains: Bool[np.ndarray, "M G"] = meeting.contains(rules.contained) & to_find
    within = meeting.inside(rules.contained) & to_find
    off = {
        Kind.CLASS: nearest(iou, to_find & ~own & (iou >= rules.iou)),
        Kind.PART: nearest(iou, _first(own, contains | within)),
        Kind.SHIFTED: nearest(iou, _first(own, to_find & (iou >= rules.near))),
    }
    for name, best in off.items():
        mine = (kind == Kind.BACKGROUND) & (best >= 0)
        kind[mine], reference[mine] = name, best[mine]
    whole = (kind == Kind.PART) & contains[every, reference]
    several = contains.sum(1) > 1
    kind[whole] = np.where(several[whole], Kind.MERGED, Kind.WHOLE_PLUS)
    target = nearest(iou, own)
    hits = (target >= 0) & (iou[every, target] >= rules.iou)
    hit[hits] = reference[hits] = target[hits]
    state = finds(hit, score, ignore)
    kind[hits] = Kind.DUPLICATE
    kind[state == State.FOUND] = FOUND
    kind[state == State.NEITHER] = IGNORED
    return kind, hit, reference


def _first(
    own: Bool[np.ndarray, "M G"], among: Bool[np.ndarray, "M G"]
) -> Bool[np.ndarray, "M G"]:
    """Return those of the own class, where there are any."""
    mine = own & among
    return np.where(mine.any(1, keepdims=True), mine, among)
