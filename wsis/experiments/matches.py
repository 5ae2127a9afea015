"""Which predictions found an object, image by image: all that average precision needs.

Evaluated once, a run can be measured again on any resampling of the images without
looking at a mask.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, Int8
from pycocotools import mask as rle
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from wsis._support.files import atomic_write
from wsis.contracts import GroundTruth, Predictions
from wsis.evaluation.pairs import pair

VOC = (0.25, 0.5, 0.7, 0.75)
COCO = tuple(np.linspace(0.5, 0.95, 10).tolist())

FOUND, FALSE, NEITHER = 1, 0, -1
"""States of a prediction; the last counts neither way."""

_LIMIT = 100
"""Predictions of a class and an image that COCO's rules look at."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matches:
    """Predictions of a validation set, their masks replaced by what they found.

    Args:
        image: the place of each prediction's image in the set, 0…N−1, rising.
        label: its class, 1…C.
        score: higher is better; falling within an image.
        state: ``FOUND``, ``FALSE`` or ``NEITHER``, by VOC's rules at the thresholds of
            ``VOC``, then by COCO's at those of ``COCO``.
        objects: to find, by image and class.
    """

    image: Int[np.ndarray, " M"]
    label: Int[np.ndarray, " M"]
    score: Float[np.ndarray, " M"]
    state: Int8[np.ndarray, "M T"]
    objects: Int[np.ndarray, "N C"]

    def save(self, path: Path) -> None:
        """Writes them as one safetensors file, atomically."""
        arrays = {key: torch.from_numpy(getattr(self, key)) for key in _KEYS}
        with atomic_write(path) as temporary:
            save_file({k: v.contiguous() for k, v in arrays.items()}, temporary)

    @classmethod
    def load(cls, path: Path) -> "Matches":
        """Reads what ``save`` wrote.

        Raises:
            ValueError: if the file is damaged or something else.
        """
        try:
            arrays: Mapping[str, torch.Tensor] = load_file(path)
            return cls(**{key: arrays[key].numpy() for key in _KEYS})
        except (SafetensorError, KeyError) as error:
            raise ValueError(f"{path} is damaged: {error}") from None


_KEYS = ("image", "label", "score", "state", "objects")


def joined(parts: Sequence[Matches]) -> Matches:
    """Matches of several image sets as those of one, the sets one after another."""
    starts = np.cumsum([0, *(len(part.objects) for part in parts)])
    return Matches(
        image=np.concatenate(
            [p.image + start for p, start in zip(parts, starts, strict=False)]
        ),
        **{
            key: np.concatenate([getattr(part, key) for part in parts])
            for key in _KEYS[1:]
        },
    )


def match(
    predictions: Sequence[Predictions],
    truths: Sequence[GroundTruth],
    classes: Sequence[str],
) -> Matches:
    """What each prediction found, by the rules of ``voc_ap`` and of ``coco_ap``.

    Raises:
        ValueError: if predictions and truths do not belong together.
    """
    images, labels, scores = [], [], []
    states = [np.zeros((0, len(VOC) + len(COCO)), np.int8)]
    objects = np.zeros((len(truths), len(classes)), np.int64)
    for i, (found, truth) in enumerate(pair(predictions, truths, classes)):
        score, label = found.score.double().cpu().numpy(), found.label.cpu().numpy()
        order = np.argsort(-score, kind="stable")
        state = np.zeros((len(order), len(VOC) + len(COCO)), np.int8)
        theirs = truth.label.cpu().numpy()
        ignore = truth.ignore.cpu().numpy()
        for c in np.unique(theirs[~ignore]):
            objects[i, c - 1] = ((theirs == c) & ~ignore).sum()
        for c in np.unique(label):
            mine = np.flatnonzero(label[order] == c)
            masks = [found.masks[j] for j in order[mine]]
            state[mine] = _states(masks, truth, np.flatnonzero(theirs == c))
        images.append(np.full(len(order), i))
        labels.append(label[order])
        scores.append(score[order])
        states.append(state)
    return Matches(
        image=np.concatenate(images).astype(np.int64),
        label=np.concatenate(labels).astype(np.int64),
        score=np.concatenate(scores),
        state=np.concatenate(states),
        objects=objects,
    )


def _states(
    masks: Sequence[object], truth: GroundTruth, theirs: Int[np.ndarray, " G"]
) -> Int8[np.ndarray, "M T"]:
    """Of one class's predictions on one image, best first."""
    state = np.zeros((len(masks), len(VOC) + len(COCO)), np.int8)
    state[_LIMIT:, len(VOC) :] = NEITHER
    if len(theirs):
        ignore = truth.ignore.cpu().numpy()[theirs]
        # pycocotools looks at objects that count before it looks at others.
        theirs = theirs[np.argsort(ignore, kind="stable")]
        objects = [truth.masks[j] for j in theirs]
        plain = rle.iou(masks, objects, [0] * len(objects))
        ignore = np.sort(ignore)
        first = np.argsort(np.argsort(theirs))  # the data set's own order breaks ties
        for t, threshold in enumerate(VOC):
            state[:, t] = _voc(plain, ignore, first, threshold)
        crowd = rle.iou(masks[:_LIMIT], objects, ignore.astype(np.uint8).tolist())
        for t, threshold in enumerate(COCO, len(VOC)):
            state[:_LIMIT, t] = _coco(crowd, ignore, threshold)
    return state


def _voc(
    iou: Float[np.ndarray, "M G"],
    ignore: np.ndarray,
    first: Int[np.ndarray, " G"],
    threshold: float,
) -> Int8[np.ndarray, " M"]:
    own_order = np.argsort(first)
    best = own_order[iou[:, own_order].argmax(1)]
    state = np.full(len(iou), FALSE, np.int8)
    taken: set[int] = set()
    for i, target in enumerate(best.tolist()):
        if iou[i, target] < threshold:
            continue
        if ignore[target]:
            state[i] = NEITHER
        elif target not in taken:
            taken.add(target)
            state[i] = FOUND
    return state


def _coco(
    iou: Float[np.ndarray, "M G"], ignore: np.ndarray, threshold: float
) -> Int8[np.ndarray, " M"]:
    """Pycocotools's greedy matching; objects that count come before ignored ones."""
    state = np.full(len(iou), FALSE, np.int8)
    count = int((~ignore).sum())
    free = np.ones(count, bool)
    least = min(threshold, 1 - 1e-10)
    for i, row in enumerate(iou):
        # Of equal overlaps the last object is taken.
        counted = np.where(free, row[:count], -1.0)[::-1]
        if count and counted.max() >= least:
            target = count - 1 - int(counted.argmax())
            free[target] = False
            state[i] = FOUND
        elif len(row) > count and row[count:].max() >= least:
            state[i] = NEITHER
    return state
