"""One matching of predictions to objects, from which all figures follow.

Pixels are counted once for each image. Both rules look at predictions of an image and
class best first, of equal scores the first:

- VOC's (Hariharan et al., "Simultaneous Detection and Segmentation", ECCV 2014,
  https://arxiv.org/abs/1407.1808, section 5, with the devkit's rules since 2010): a
  prediction hits the object that it overlaps most, the first of several, if their IoU
  reaches the threshold. The first hit finds the object; a hit on an ignored object
  counts neither way.
- COCO's (pycocotools' ``COCOeval``): a prediction finds the object that it overlaps
  most, the last of several, among those that nobody found before, and an ignored one
  only where there is no other. Ignored objects are crowds: they excuse any number of
  predictions, and their overlap is the share of the prediction that lies inside them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, Int8
from pycocotools import mask as rle
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from wsis._support.files import atomic_write
from wsis.contracts import GroundTruth, Rle
from wsis.evaluation._pairs import pair
from wsis.geometry.overlap import iou, rle_shared
from wsis.geometry.predictions import Predictions

VOC = (0.25, 0.5, 0.7, 0.75)
COCO = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""IoUs at which objects are found."""

SIZES = {
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, np.inf),
}
"""COCO's ranges of area in pixels, both ends included."""

ANY_SIZE = (0.0, np.inf)

_LIMIT = 100
"""Predictions of a class and an image that COCO's rule looks at."""


class State(IntEnum):
    """The fate of a prediction; the last counts neither way."""

    FOUND = 1
    FALSE = 0
    NEITHER = -1


@dataclass(frozen=True, slots=True, eq=False)
class Meeting:
    """Pixels that masks of one image share with its objects.

    Args:
        shared: pixels in common.
        area: pixels of each mask.
        object_area: pixels of each object.
    """

    shared: Float[np.ndarray, "M G"]
    area: Float[np.ndarray, " M"]
    object_area: Float[np.ndarray, " G"]

    @classmethod
    def of(
        cls,
        masks: Sequence[Rle],
        objects: Sequence[Rle],
        labels: tuple[Int[np.ndarray, " M"], Int[np.ndarray, " G"]] | None = None,
    ) -> "Meeting":
        """Count the pixels; given the labels of both, only those shared in a class."""
        # One by one: pycocotools 2.0.11 fails on lists of more than 255 masks.
        area, object_area = (
            np.array([float(rle.area(mask)) for mask in some])
            for some in (masks, objects)
        )
        if labels is None:
            return cls(rle_shared(masks, objects, area), area, object_area)
        shared = np.zeros((len(masks), len(objects)))
        for c in np.intersect1d(*labels):
            mine, theirs = (np.flatnonzero(label == c) for label in labels)
            shared[np.ix_(mine, theirs)] = rle_shared(
                [masks[i] for i in mine.tolist()],
                [objects[i] for i in theirs.tolist()],
                area[mine],
            )
        return cls(shared, area, object_area)

    @property
    def iou(self) -> Float[np.ndarray, "M G"]:
        """Intersection over union; 0 with an empty mask."""
        # An empty mask shares nothing, so that its area does not matter.
        return iou(self.shared, np.maximum(self.area, 1), self.object_area)

    @property
    def coverage(self) -> Float[np.ndarray, "M G"]:
        """Share of each mask that lies in the object; 0 of an empty mask."""
        share: Float[np.ndarray, "M G"] = (
            self.shared / np.maximum(self.area, 1)[:, None]
        )
        return share

    def contains(self, share: float) -> Bool[np.ndarray, "M G"]:
        """Mark masks that cover at least this share of the object."""
        return (self.shared > 0) & (self.shared >= share * self.object_area)

    def inside(self, share: float) -> Bool[np.ndarray, "M G"]:
        """Mark masks of which at least this share is the object's."""
        return (self.shared > 0) & (self.shared >= share * self.area[:, None])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """All predictions and objects of a data set, numbered image by image.

    Args:
        image: the place of each prediction's image in the set, 0…B−1.
        label: its class, 1…C.
        score: higher is better.
        area: its pixels.
        target: the object of its image and class that it overlaps most, the first of
            several; −1 for none.
        overlap: its IoU with that object.
        object_image: the place of each object's image.
        object_label: its class.
        object_area: its pixels, as annotated.
        ignore: objects that count neither way.
        pairs: a prediction and an object that COCO's rule may match, in each row.
        pair_overlap: their overlap by COCO's rule.
        meetings: how the predictions of each image meet its objects.
        image_id: number of each image.
        classes: names of labels 1…C.
    """

    image: Int[np.ndarray, " M"]
    label: Int[np.ndarray, " M"]
    score: Float[np.ndarray, " M"]
    area: Float[np.ndarray, " M"]
    target: Int[np.ndarray, " M"]
    overlap: Float[np.ndarray, " M"]
    object_image: Int[np.ndarray, " G"]
    object_label: Int[np.ndarray, " G"]
    object_area: Float[np.ndarray, " G"]
    ignore: Bool[np.ndarray, " G"]
    pairs: Int[np.ndarray, "K 2"]
    pair_overlap: Float[np.ndarray, " K"]
    meetings: Sequence[Meeting]
    image_id: Sequence[int]
    classes: Sequence[str]

    def best_first(
        self, ties: Int[np.ndarray, " B"] | None = None
    ) -> list[Int[np.ndarray, " _"]]:
        """Return each class's predictions, of equal scores in the order of images.

        Args:
            ties: which image comes first in a tie; by default the first of the set.
        """
        place = self.image if ties is None else ties[self.image]
        order = np.lexsort((place, -self.score, self.label))
        labels = np.arange(2, len(self.classes) + 1)
        return np.split(order, np.searchsorted(self.label[order], labels))

    def to_find(self, size: tuple[float, float] = ANY_SIZE) -> Bool[np.ndarray, " G"]:
        """Return the objects of a size that are not ignored."""
        area = self.object_area
        return ~self.ignore & (size[0] <= area) & (area <= size[1])

    def counts(self, size: tuple[float, float] = ANY_SIZE) -> Int[np.ndarray, " C"]:
        """Return how many objects of a size there are to find of each class."""
        labels = self.object_label[self.to_find(size)]
        return np.bincount(labels, minlength=len(self.classes) + 1)[1:]

    def hits(self, threshold: float) -> Int[np.ndarray, " M"]:
        """Return the object that each prediction hits by VOC's rule; −1 for none."""
        return np.where(self.overlap >= threshold, self.target, -1)

    def voc(self, threshold: float) -> Int8[np.ndarray, " M"]:
        """Return the state of each prediction by VOC's rule."""
        return finds(self.hits(threshold), self.score, self.ignore)

    def coco(
        self, size: tuple[float, float] = ANY_SIZE
    ) -> Int8[np.ndarray, "M thresholds"]:
        """Return the state of each prediction by COCO's rule, at the IoUs of ``COCO``.

        Objects of another size are ignored, but found only once; predictions of another
        size that find nothing count neither way.
        """
        rank = self._rank()
        to_find = self.to_find(size)
        state = np.full((len(rank), len(COCO)), State.FALSE, np.int8)
        passed = (self.area < size[0]) | (self.area > size[1]) | (rank >= _LIMIT)
        state[passed] = State.NEITHER
        prediction, target = self.pairs.T
        # Predictions of one rank are of different images or classes and never compete.
        turn = rank[prediction]
        order = np.lexsort(
            (-target, -self.pair_overlap, ~to_find[target], prediction, turn)
        )
        order = order[turn[order] < _LIMIT]
        rounds = np.flatnonzero(np.diff(turn[order])) + 1
        free = np.ones((len(to_find), len(COCO)), bool)
        least = np.minimum(COCO, 1 - 1e-10)
        for now in np.split(order, rounds) if len(order) else []:
            mine, theirs = prediction[now], target[now]
            fits = self.pair_overlap[now, None] >= least
            fits &= free[theirs] | self.ignore[theirs, None]
            # The first that fits, as the pairs of a prediction are sorted.
            starts = np.flatnonzero(np.diff(mine, prepend=-1))
            places = np.where(fits, np.arange(len(now))[:, None], len(now))
            first = np.minimum.reduceat(places, starts, axis=0)
            i, t = np.nonzero(first < len(now))
            taken = theirs[first[i, t]]
            free[taken, t] = False
            state[mine[starts[i]], t] = np.where(
                to_find[taken], State.FOUND, State.NEITHER
            )
        return state

    def _rank(self) -> Int[np.ndarray, " M"]:
        """Place of each prediction among those of its image and class."""
        order = np.lexsort((-self.score, self.label, self.image))
        groups = np.stack([self.image[order], self.label[order]])
        starts = np.diff(groups, prepend=-1).any(0)
        places = np.arange(len(order))
        rank = np.empty_like(places)
        rank[order] = places - np.maximum.accumulate(np.where(starts, places, 0))
        return rank


def tabulate(
    predictions: Sequence[Predictions],
    truths: Sequence[GroundTruth],
    classes: Sequence[str],
    *,
    across: bool = False,
) -> Table:
    """Put predictions beside the objects of their image.

    Args:
        predictions: of the very images of ``truths``, in any order.
        truths: the objects.
        classes: names of labels 1…C.
        across: also counts the pixels that they share with objects of other classes,
            as ``dissect`` needs them.

    Raises:
        ValueError: if predictions and truths do not belong together.
    """
    truths = list(truths)  # Data sets make them anew whenever they are asked for.
    parts, meetings = [], []
    before, objects = 0, 0
    for i, (made, truth) in enumerate(pair(predictions, truths, classes)):
        label, ignore = made.label.cpu().numpy(), truth.ignore.cpu().numpy()
        object_label = truth.label.cpu().numpy()
        labels = None if across else (label, object_label)
        meeting = Meeting.of(made.masks, truth.masks, labels)
        own, plain = label[:, None] == object_label, meeting.iou
        target = nearest(plain, own)
        # Nothing of another class is the nearest.
        overlap = np.where(own, plain, 0).max(1, initial=0)
        target[target >= 0] += objects
        by_coco = np.where(ignore, meeting.coverage, plain)
        rows, columns = np.nonzero(own & (by_coco >= COCO[0]))
        parts.append(
            {
                "image": np.full(len(label), i),
                "label": label,
                "score": made.score.double().cpu().numpy(),
                "area": meeting.area,
                "target": target,
                "overlap": overlap,
                "object_image": np.full(len(ignore), i),
                "object_label": object_label,
                "object_area": truth.area.double().cpu().numpy(),
                "ignore": ignore,
                "pairs": np.stack([rows + before, columns + objects], 1),
                "pair_overlap": by_coco[rows, columns],
            }
        )
        meetings.append(meeting)
        before, objects = before + len(label), objects + len(ignore)
    return Table(
        **{key: np.concatenate([one[key] for one in parts]) for key in parts[0]},
        meetings=meetings,
        image_id=[truth.image_id for truth in truths],
        classes=classes,
    )


def nearest(
    overlap: Float[np.ndarray, "M G"], among: Bool[np.ndarray, "M G"]
) -> Int[np.ndarray, " M"]:
    """Return the object of the highest overlap, the first of several; −1 for none."""
    if not overlap.size:
        return np.full(len(overlap), -1)
    return np.where(among.any(1), np.where(among, overlap, -1).argmax(1), -1)


def finds(
    hit: Int[np.ndarray, " M"],
    score: Float[np.ndarray, " M"],
    ignore: Bool[np.ndarray, " G"],
) -> Int8[np.ndarray, " M"]:
    """Return the state of each prediction that hits an object; −1 is no hit.

    The first hit finds, best score first; of equal scores the first.
    """
    excused = np.append(ignore, False)[hit] & (hit >= 0)
    state = np.where(excused, State.NEITHER, State.FALSE).astype(np.int8)
    real = np.flatnonzero((hit >= 0) & ~excused)
    real = real[np.argsort(-score[real], kind="stable")]
    state[real[np.unique(hit[real], return_index=True)[1]]] = State.FOUND
    return state


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matches:
    """The object each prediction found, so that a run can be measured again.

    Args:
        image: the place of each prediction's image in the set, 0…B−1, rising.
        label: its class, 1…C.
        score: higher is better; falling within an image.
        state: a ``State``, by VOC's rule at ``VOC``, then by COCO's at ``COCO``.
        objects: to find, by image and class.
    """

    image: Int[np.ndarray, " M"]
    label: Int[np.ndarray, " M"]
    score: Float[np.ndarray, " M"]
    state: Int8[np.ndarray, "M thresholds"]
    objects: Int[np.ndarray, "B C"]

    @classmethod
    def of(cls, table: Table) -> "Matches":
        """Match the predictions of a table."""
        objects = np.zeros((len(table.image_id), len(table.classes)), np.int64)
        to_find = table.to_find()
        place = table.object_image[to_find], table.object_label[to_find] - 1
        np.add.at(objects, place, 1)
        by_voc = np.stack([table.voc(threshold) for threshold in VOC], 1)
        order = np.lexsort((-table.score, table.image))
        return cls(
            image=table.image[order],
            label=table.label[order],
            score=table.score[order],
            state=np.concatenate([by_voc, table.coco()], 1)[order],
            objects=objects,
        )

    def save(self, path: Path, about: dict[str, str] | None = None) -> None:
        """Write them, and a word about them, as one safetensors file, atomically."""
        arrays = {key: np.ascontiguousarray(getattr(self, key)) for key in _NAMES}
        with atomic_write(path) as temporary:
            save_file(arrays, temporary, about)

    @staticmethod
    def about(path: Path) -> dict[str, str]:
        """Return what ``save`` was given besides.

        Raises:
            ValueError: if the file is missing or damaged.
        """
        try:
            with safe_open(path, framework="np") as file:
                return dict(file.metadata() or {})
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path} holds no matches: {error}") from None

    @classmethod
    def load(cls, path: Path) -> "Matches":
        """Read what ``save`` wrote.

        Raises:
            ValueError: if the file is damaged or something else.
        """
        try:
            arrays: Mapping[str, np.ndarray] = load_file(path)
            return cls(**{key: arrays[key] for key in _NAMES})
        except (SafetensorError, KeyError) as error:
            raise ValueError(f"{path} is damaged: {error}") from None


_NAMES = [one.name for one in fields(Matches)]


def joined(parts: Sequence[Matches]) -> Matches:
    """Return the matches of several image sets as those of one, in their order."""
    starts = np.cumsum([0, *(len(part.objects) for part in parts[:-1])])
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in _NAMES
    }
    counts = [len(part.image) for part in parts]
    return Matches(**columns | {"image": columns["image"] + np.repeat(starts, counts)})
