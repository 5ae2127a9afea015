"""Measures average precision on resampled images, many samples at once."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int

from wsis.evaluation.matches import COCO, VOC, Matches, State

NAMES = (*(f"mAP{round(100 * t)}" for t in VOC), "AP")
"""The figures that are resampled, in percent."""

_RECALLS = np.linspace(0, 1, 101)
"""Where COCO's rules look at the precision."""

_CELLS = 20_000_000
"""Most numbers in one array; more samples are done in parts."""


def draws(
    images: int, samples: int, generator: torch.Generator
) -> Int[np.ndarray, "samples B"]:
    """Return how often each image is in each bootstrap sample of as many images."""
    drawn = torch.randint(images, (samples, images), generator=generator)
    counts = torch.zeros(samples, images, dtype=torch.long)
    counts.scatter_add_(1, drawn, torch.ones_like(drawn))
    return counts.numpy()


def figures(
    matches: Matches, weights: Int[np.ndarray, "samples B"]
) -> dict[str, Float[np.ndarray, " samples"]]:
    """Return each figure of ``NAMES``, a mean over classes in percent, by sample.

    An image of weight 2 counts as two images, whose predictions are each seen twice in
    turn. A class of which a sample has no object to find is left out of that sample's
    mean; a sample without any object has NaN.
    """
    largest = int(np.bincount(matches.label, minlength=2)[1:].max(initial=1))
    step = max(1, _CELLS // largest)
    parts = []
    for start in range(0, len(weights), step):
        table = _by_class(matches, weights[start : start + step])
        known = ~np.isnan(table)
        total, count = np.where(known, table, 0).sum(0), known.sum(0)
        parts.append(np.where(count, total / np.maximum(count, 1), np.nan))
    table = 100 * np.concatenate(parts, axis=1)  # (thresholds, samples)
    rows = [*table[: len(VOC)], table[len(VOC) :].mean(0)]
    return dict(zip(NAMES, rows, strict=True))


def point(matches: Matches) -> dict[str, float]:
    """Return the figures on the images as they are; those of ``wsis.evaluation``."""
    every = np.ones((1, len(matches.objects)), np.int64)
    return {name: float(values[0]) for name, values in figures(matches, every).items()}


def of_classes(matches: Matches) -> list[dict[str, float | None]]:
    """Return each class's figures on the images as they are; None without objects."""
    every = np.ones((1, len(matches.objects)), np.int64)
    found = []
    for table in 100 * _by_class(matches, every)[..., 0]:
        row = [*table[: len(VOC)].tolist(), float(table[len(VOC) :].mean())]
        known = [None if np.isnan(value) else value for value in row]
        found.append(dict(zip(NAMES, known, strict=True)))
    return found


def _by_class(
    matches: Matches, weights: Int[np.ndarray, "samples B"]
) -> Float[np.ndarray, "C thresholds samples"]:
    classes = range(1, matches.objects.shape[1] + 1)
    return np.stack([_of_class(matches, c, weights) for c in classes])


def _of_class(
    matches: Matches, label: int, weights: Int[np.ndarray, "samples B"]
) -> Float[np.ndarray, "thresholds samples"]:
    objects = weights @ matches.objects[:, label - 1]  # (samples,)
    mine = np.flatnonzero(matches.label == label)
    mine = mine[np.argsort(-matches.score[mine], kind="stable")]
    weight = weights[:, matches.image[mine]]  # (samples, M)
    seen = weight.cumsum(1)
    rows = list(_precisions(matches.state[mine], weight, seen, objects))
    return np.where(objects > 0, np.stack(rows), np.nan)


def _precisions(
    state: Int[np.ndarray, "M thresholds"],
    weight: Int[np.ndarray, "samples M"],
    seen: Int[np.ndarray, "samples M"],
    objects: Int[np.ndarray, " samples"],
) -> Iterator[Float[np.ndarray, " samples"]]:
    """Yield the AP at each threshold."""
    for t in range(len(VOC) + len(COCO)):
        found = np.flatnonzero(state[:, t] == State.FOUND)
        counted = seen[:, found]  # (samples, found)
        passed = np.flatnonzero(state[:, t] == State.NEITHER)
        if len(passed) and len(found):
            before = np.searchsorted(passed, found)
            lost = weight[:, passed].cumsum(1)
            lost = np.concatenate([np.zeros_like(lost[:, :1]), lost], axis=1)
            counted = counted - lost[:, before]
        true = weight[:, found].cumsum(1)
        # Where none is counted yet, none is found: that place has no weight.
        precision = true / np.maximum(counted, 1)
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        recall = true / np.maximum(objects, 1)[:, None]
        if t < len(VOC):
            gained = np.diff(recall, axis=1, prepend=0)
            yield (best * gained).sum(1)
        else:
            reached = np.searchsorted(_RECALLS, recall, side="right")
            # Recall 0 is reached at the first prediction, whatever it found.
            gained = np.diff(reached, axis=1, prepend=0)
            yield (best * gained).sum(1) / len(_RECALLS)
