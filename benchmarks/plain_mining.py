"""The mining rules in plain loops, as one reads them; the slow reference.

Thresholds are rounded to float32 as overlaps are, so that "equal to the threshold"
means the same here and in wsis. Products are taken in double precision: they are equal
to those of wsis for scores of at most 12 bits.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from wsis.contracts import BranchScores, Overlaps, PseudoInstances

Found = list[tuple[int, int, float]]
"""Pseudo instances: index, label and weight."""

Matrix = list[list[float]]


@dataclass(frozen=True)
class Plain:
    """A mining problem in lists; ``tags`` are the classes present, 1…C."""

    cls: Matrix
    loc: Matrix | None
    iou: Matrix
    containment: Matrix
    tags: list[int]


def plain(scores: BranchScores, overlaps: Overlaps, tags: torch.Tensor) -> Plain:
    """The same problem in lists."""
    return Plain(
        scores.classification.tolist(),
        None if scores.localization is None else scores.localization.tolist(),
        overlaps.iou.tolist(),
        overlaps.containment.tolist(),
        [c + 1 for c, present in enumerate(tags.tolist()) if present],
    )


def found(pseudo: PseudoInstances) -> Found:
    """What a miner of wsis found, in lists."""
    columns = (pseudo.index.tolist(), pseudo.label.tolist(), pseudo.weight.tolist())
    return list(zip(*columns, strict=True))


def oicr(problem: Plain) -> Found:
    """The best proposal of each class, each once."""
    result, taken = [], set()
    for c in problem.tags:
        best, best_score = 0, -1.0
        for i, product in enumerate(_products(problem, c)):
            score = 0.0 if i in taken else product
            if score > best_score:
                best, best_score = i, score
        taken.add(best)
        result.append((best, c, best_score))
    return result


def mist_box(problem: Plain, top: float = 0.15, t_cls: float = 0.2) -> Found:
    """The best of each class that are far from all better ones."""
    limit = float(np.float32(t_cls))
    result = []
    for c in problem.tags:
        score = _products(problem, c)
        ranks = _ranks(score)[: int(top * len(score))]
        for r, i in enumerate(ranks):
            if all(problem.iou[i][j] < limit for j in ranks[:r]):
                result.append((i, c, score[i]))
    return result


def mist_mask(problem: Plain, top: float = 0.1, t_cls: float = 0.25) -> Found:
    """The best of each class that are far from the better ones kept."""
    result = []
    for c in problem.tags:
        score = _products(problem, c)
        for i in _seeds(problem, score, top, t_cls):
            result.append((i, c, score[i]))
    return _once(result)


def cim(problem: Plain, p_seed: float = 0.1, t_cls: float = 0.25) -> Found:
    """The complete instances around the seeds of each class."""
    limit = float(np.float32(0.85))
    count = len(problem.cls)
    oversized = []
    for i in range(count):
        held = 0
        for j in range(count):
            if problem.containment[i][j] > limit:
                held += 1
        oversized.append(held >= 0.9 * count)
    fitness = problem.cls if problem.loc is None else problem.loc
    result = []
    for c in problem.tags:
        weight = _products(problem, c)
        for j in _seeds(problem, [row[c] for row in problem.cls], p_seed, t_cls):
            best = None
            for i in range(count):
                if (
                    problem.containment[i][j] > limit
                    and not oversized[i]
                    and (best is None or fitness[i][c] > fitness[best][c])
                ):
                    best = i
            if best is not None:
                result.append((best, c, weight[best]))
    return _once(result)


def _products(problem: Plain, c: int) -> list[float]:
    if problem.loc is None:
        return [cls[c] for cls in problem.cls]
    pairs = zip(problem.cls, problem.loc, strict=True)
    return [cls[c] * loc[c] for cls, loc in pairs]


def _ranks(score: Sequence[float]) -> list[int]:
    return sorted(range(len(score)), key=lambda i: -score[i])


def _seeds(
    problem: Plain, score: Sequence[float], top: float, t_cls: float
) -> list[int]:
    limit = float(np.float32(t_cls))
    kept: list[int] = []
    for i in _ranks(score)[: math.ceil(top * len(score))]:
        if all(problem.iou[i][j] < limit for j in kept):
            kept.append(i)
    return kept


def _once(result: Found) -> Found:
    best: dict[int, tuple[int, float]] = {}
    for i, c, weight in result:
        if i not in best or weight > best[i][1]:
            best[i] = (c, weight)
    return [(i, *best[i]) for i in sorted(best)]


MINERS: dict[str, Callable[[Plain], Found]] = {
    "cim": cim,
    "mist": mist_mask,
    "oicr": oicr,
}
