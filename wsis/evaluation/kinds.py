"""Which kind of error every false positive and every miss is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float, Int
from pycocotools import mask as rle

from wsis.contracts import GroundTruth, Predictions, Proposals, Rle
from wsis.evaluation.pairs import pair, together
from wsis.overlaps import cross_iou


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When a prediction or a missed object is of which kind.

    Overlaps are counted in pixels. A prediction P *finds* by the rules of ``voc_ap``:
    the object of its class that it overlaps most, if their IoU is at least ``iou`` and
    no prediction of a higher score found it (of equal scores the first). If that object
    is ignored, P is no error. Otherwise P is a false positive; the first of these that
    holds is its kind, *objects* being those that are not ignored:

    - *duplicate*: its IoU with that object is at least ``iou``; it was found before.
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
        if not 0 < self.iou < 1:
            raise ValueError(f"iou must be in (0, 1), got {self.iou}")
        least = 2 * self.iou / (1 + self.iou)
        if not least <= self.contained <= 1:
            raise ValueError(
                f"contained must be in [{least:.3f}, 1] at iou {self.iou}, so that no "
                f"error both contains an object and is inside it; got {self.contained}"
            )
        if not 0 < self.near <= self.iou:
            raise ValueError(f"near must be in (0, {self.iou}], got {self.near}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sorted:
    """All predictions and objects of a data set, each with its kind.

    Both are numbered over all images, in the order of the truths.

    Args:
        score: of each prediction.
        label: its class, 1…C.
        area: its pixels.
        kind: one of ``FALSE``, or ``FOUND`` or ``IGNORED``.
        hit: the object that it found, also if not as the first; −1 for none.
        reference: the object by which it is of its kind; −1 for none.
        object_label: class of each object.
        object_area: pixels, as annotated.
        ignore: objects that count neither way.
        object_kind: one of ``MISSES``, or ``FOUND`` or ``IGNORED``.
        images: of each image, its number, and how many predictions and objects it has.
    """

    score: Float[np.ndarray, " M"]
    label: Int[np.ndarray, " M"]
    area: Float[np.ndarray, " M"]
    kind: np.ndarray
    hit: Int[np.ndarray, " M"]
    reference: Int[np.ndarray, " M"]
    object_label: Int[np.ndarray, " G"]
    object_area: Float[np.ndarray, " G"]
    ignore: Bool[np.ndarray, " G"]
    object_kind: np.ndarray
    images: list[tuple[int, int, int]]


@dataclass(frozen=True, slots=True, eq=False)
class Meeting:
    """How masks meet objects, by exact numbers of pixels.

    Args:
        iou: intersection over union; 0 with an empty mask.
        contains: the mask covers enough of the object.
        inside: enough of the mask is the object's.
    """

    iou: Float[np.ndarray, "N G"]
    contains: Bool[np.ndarray, "N G"]
    inside: Bool[np.ndarray, "N G"]

    @classmethod
    def of(
        cls,
        shared: Float[np.ndarray, "N G"],
        area: Float[np.ndarray, " N"],
        object_area: Float[np.ndarray, " G"],
        contained: float,
    ) -> "Meeting":
        """From the pixels that masks and objects share, and those that each has."""
        union = area[:, None] + object_area - shared
        return cls(
            iou=shared / np.maximum(union, 1),
            contains=(shared > 0) & (shared >= contained * object_area),
            inside=(shared > 0) & (shared >= contained * area[:, None]),
        )


def sort(
    predictions: Sequence[Predictions],
    truths: Sequence[GroundTruth],
    proposals: Iterable[Proposals],
    classes: Sequence[str],
    rules: Rules,
) -> Sorted:
    """Finds the kind of everything; the arguments are those of ``dissect``."""
    pairs = pair(predictions, truths, classes)
    parts: list[tuple[np.ndarray, ...]] = []
    images, objects = [], 0
    for (made, truth), source in zip(
        pairs, (one for one, _ in together(proposals, truths)), strict=True
    ):
        label = made.label.cpu().numpy()
        score = made.score.double().cpu().numpy()
        object_label, ignore = truth.label.cpu().numpy(), truth.ignore.cpu().numpy()
        area, object_area = _areas(made.masks), _areas(truth.masks)
        meeting = Meeting.of(
            _shared(made.masks, truth.masks, area), area, object_area, rules.contained
        )
        own = label[:, None] == object_label
        kind, hit, reference = _kinds(score, meeting, own, ignore, rules)
        missed = ~ignore
        missed[hit[kind == FOUND]] = False
        object_kind = np.where(ignore, IGNORED, FOUND).astype(_TEXT)
        if missed.any():
            theirs = [truth.masks[i] for i in np.flatnonzero(missed).tolist()]
            iou = cross_iou(source, theirs).cpu().numpy().max(axis=0, initial=0)
            object_kind[missed] = np.where(iou >= rules.iou, *MISSES)
        parts.append(
            (
                score,
                label,
                area,
                kind,
                np.where(hit < 0, -1, hit + objects),
                np.where(reference < 0, -1, reference + objects),
                object_label,
                truth.area.double().cpu().numpy(),
                ignore,
                object_kind,
            )
        )
        images.append((truth.image_id, len(label), len(ignore)))
        objects += len(ignore)
    names = [name for name in Sorted.__dataclass_fields__ if name != "images"]
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Sorted(**dict(zip(names, columns, strict=True)), images=images)


_TEXT = f"U{max(map(len, Kind))}"


def _kinds(
    score: Float[np.ndarray, " M"],
    meeting: Meeting,
    own: Bool[np.ndarray, "M G"],
    ignore: Bool[np.ndarray, " G"],
    rules: Rules,
) -> tuple[np.ndarray, Int[np.ndarray, " M"], Int[np.ndarray, " M"]]:
    """Kind, hit and reference of one image's predictions."""
    count = len(score)
    kind = np.full(count, Kind.BACKGROUND, _TEXT)
    hit, reference = np.full(count, -1), np.full(count, -1)
    if not len(ignore):
        return kind, hit, reference
    found: set[int] = set()
    for i in np.argsort(-score, kind="stable").tolist():
        target = _best(meeting.iou[i], own[i])
        if target >= 0 and meeting.iou[i, target] >= rules.iou:
            hit[i] = reference[i] = target
            if ignore[target]:
                kind[i] = IGNORED
            else:
                kind[i] = Kind.DUPLICATE if target in found else FOUND
                found.add(target)
        else:
            kind[i], reference[i] = _off(i, meeting, own[i], ~ignore, rules)
    return kind, hit, reference


def _off(
    i: int,
    meeting: Meeting,
    own: Bool[np.ndarray, " G"],
    to_find: Bool[np.ndarray, " G"],
    rules: Rules,
) -> tuple[str, int]:
    """Kind and reference of a prediction that finds no object of its class."""
    iou = meeting.iou[i]
    right = _best(iou, to_find & (iou >= rules.iou))
    if right >= 0:
        return Kind.CLASS, right
    contains = meeting.contains[i] & to_find
    met = contains | (meeting.inside[i] & to_find)
    reference = _best(iou, met & own if (met & own).any() else met)
    if reference >= 0 and contains[reference]:
        several = contains.sum() > 1
        return (Kind.MERGED if several else Kind.WHOLE_PLUS), reference
    if reference >= 0:
        return Kind.PART, reference
    close = to_find & (iou >= rules.near)
    reference = _best(iou, close & own if (close & own).any() else close)
    return (Kind.BACKGROUND if reference < 0 else Kind.SHIFTED), reference


def _best(iou: Float[np.ndarray, " G"], among: Bool[np.ndarray, " G"]) -> int:
    """The object with the highest IoU, the first of several; −1 without any."""
    return int(np.where(among, iou, -1).argmax()) if among.any() else -1


def _areas(masks: Sequence[Rle]) -> Float[np.ndarray, " N"]:
    return np.asarray(rle.area(list(masks)), np.float64).reshape(-1)


def _shared(
    masks: Sequence[Rle], objects: Sequence[Rle], area: Float[np.ndarray, " N"]
) -> Float[np.ndarray, "N G"]:
    """Pixels in common, whole numbers."""
    if not masks or not objects:
        return np.zeros((len(masks), len(objects)))
    # What pycocotools calls IoU with a crowd is the share of the mask inside it.
    share = rle.iou(list(masks), list(objects), [1] * len(objects))
    shared: Float[np.ndarray, "N G"] = (share * area[:, None]).round()
    return shared
