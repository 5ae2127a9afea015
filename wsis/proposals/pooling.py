"""Chooses among candidates: sets of superpixels, the best first."""

import numpy as np
from jaxtyping import Bool, Float, Int

_BLOCK = 256
"""Candidates compared with the kept ones at once."""


def distinct(
    candidates: Bool[np.ndarray, "K S"],
    area: Float[np.ndarray, " S"],
    max_overlap: float,
    *,
    count: int,
    beside: Bool[np.ndarray, "B S"] | None = None,
) -> Bool[np.ndarray, "_ S"]:
    """The first ``count`` that are no near copies of earlier ones.

    Args:
        candidates: the best first.
        area: of the superpixels.
        max_overlap: a candidate with a higher IoU with a kept one is a near copy.
        count: most kept.
        beside: kept before, and not among those returned.
    """
    kept = candidates[:0] if beside is None else beside
    before = len(kept)
    for start in range(0, len(candidates), _BLOCK):
        if len(kept) >= before + count:
            break
        block = candidates[start : start + _BLOCK]
        block = block[~(_iou(block, kept, area) > max_overlap).any(1)]
        close = _iou(block, block, area) > max_overlap
        free = np.ones(len(block), dtype=bool)
        for i in range(len(block)):
            free[i + 1 :] &= ~(close[i, i + 1 :] & free[i])
        kept = np.concatenate([kept, block[free]])
    return kept[before : before + count]


def neighbour_pairs(
    nodes: Bool[np.ndarray, "K S"], edges: Int[np.ndarray, "E 2"]
) -> Bool[np.ndarray, "_ S"]:
    """Unions of two nodes that touch and share nothing, those of the first nodes first.

    Args:
        nodes: the best first.
        edges: touching superpixels.
    """
    touch = np.zeros((nodes.shape[1], nodes.shape[1]), dtype=np.float32)
    touch[edges[:, 0], edges[:, 1]] = 1
    number = nodes.astype(np.float32)
    near = number @ touch @ number.T
    apart = number @ number.T == 0
    first, second = np.triu(apart & (near + near.T > 0)).nonzero()
    order = (first + second).argsort(kind="stable")
    unions: Bool[np.ndarray, "_ S"] = nodes[first[order]] | nodes[second[order]]
    return unions


def _iou(
    first: Bool[np.ndarray, "A S"],
    second: Bool[np.ndarray, "B S"],
    area: Float[np.ndarray, " S"],
) -> Float[np.ndarray, "A B"]:
    weight = area.astype(np.float32)
    shared = (first * weight) @ second.T.astype(np.float32)
    union = (first @ weight)[:, None] + second @ weight - shared
    iou: Float[np.ndarray, "A B"] = shared / union
    return iou
