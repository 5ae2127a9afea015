"""Which kind of error every false positive and every miss is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float, Int
from pycocotools import mask as rle

from wsis._support.checks import inside
from wsis.contracts import GroundTruth, Predictions, Proposals, Rle
from wsis.evaluation.pairs import pair, together
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
        inside("iou", self.iou)
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
        kind, hit, reference = kinds_of(score, meeting, own, ignore, rules)
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


def kinds_of(
    score: Float[np.ndarray, " M"],
    meeting: Meeting,
    own: Bool[np.ndarray, "M G"],
    ignore: Bool[np.ndarray, " G"],
    rules: Rules,
) -> tuple[np.ndarray, Int[np.ndarray, " M"], Int[np.ndarray, " M"]]:
    """Kind, hit and reference of one image's predictions; −1 for no object.

    Args:
        score: of two finds of an object, the higher is the first.
        meeting: how their masks meet the image's objects.
        own: whether an object is of the prediction's class.
        ignore: objects that count neither way.
        rules: thresholds.
    """
    kind = np.full(len(score), Kind.BACKGROUND, _TEXT)
    hit, reference = np.full(len(score), -1), np.full(len(score), -1)
    if not len(score) or not len(ignore):
        return kind, hit, reference
    iou, to_find = meeting.iou, ~ignore
    contains: Bool[np.ndarray, "M G"] = meeting.contains & to_find
    off = {
        Kind.CLASS: _best(iou, to_find & ~own & (iou >= rules.iou)),
        Kind.PART: _best(iou, _first(own, contains | (meeting.inside & to_find))),
        Kind.SHIFTED: _best(iou, _first(own, to_find & (iou >= rules.near))),
    }
    for name, best in off.items():
        mine = (kind == Kind.BACKGROUND) & (best >= 0)
        kind[mine], reference[mine] = name, best[mine]
    several = np.sum(contains, axis=1) > 1
    whole = (kind == Kind.PART) & contains[np.arange(len(score)), reference]
    kind[whole] = np.where(several[whole], Kind.MERGED, Kind.WHOLE_PLUS)
    target = _best(iou, own)
    finds = (target >= 0) & (iou[np.arange(len(score)), target] >= rules.iou)
    hit[finds] = reference[finds] = target[finds]
    kind[finds] = np.where(ignore[target[finds]], IGNORED, Kind.DUPLICATE)
    real = np.flatnonzero(kind == Kind.DUPLICATE)
    real = real[np.argsort(-score[real], kind="stable")]
    kind[real[np.unique(hit[real], return_index=True)[1]]] = FOUND
    return kind, hit, reference


def _first(
    own: Bool[np.ndarray, "M G"], among: Bool[np.ndarray, "M G"]
) -> Bool[np.ndarray, "M G"]:
    """Those of the own class, where there are any."""
    mine: Bool[np.ndarray, "M G"] = own & among
    return np.where(np.any(mine, axis=1, keepdims=True), mine, among)


def _best(
    iou: Float[np.ndarray, "M G"], among: Bool[np.ndarray, "M G"]
) -> Int[np.ndarray, " M"]:
    """The object with the highest IoU, the first of several; −1 without any."""
    return np.where(among.any(1), np.where(among, iou, -1).argmax(1), -1)


def _areas(masks: Sequence[Rle]) -> Float[np.ndarray, " N"]:
    # One by one: pycocotools 2.0.11 fails on lists of more than 255 masks.
    return np.array([float(rle.area(mask)) for mask in masks])


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
