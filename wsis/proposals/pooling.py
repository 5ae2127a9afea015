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
    weight = area.astype(np.float32)
    before = 0 if beside is None else len(beside)
    # Numbers once and for all: every block is compared with every one kept.
    kept = np.empty((before + count + _BLOCK, len(area)), dtype=np.float32)
    if beside is not None:
        kept[:before] = beside
    size = np.empty(len(kept), dtype=np.float32)
    size[:before] = kept[:before] @ weight
    number = before
    for start in range(0, len(candidates), _BLOCK):
        if number >= before + count:
            break
        block = candidates[start : start + _BLOCK].astype(np.float32)
        own = block @ weight
        near = _iou(block * weight, own, kept[:number], size[:number]) > max_overlap
        block, own = block[~near.any(1)], own[~near.any(1)]
        close = _iou(block * weight, own, block, own) > max_overlap
        free = np.ones(len(block), dtype=bool)
        for i in range(len(block)):
            free[i + 1 :] &= ~(close[i, i + 1 :] & free[i])
        end = number + int(free.sum())
        kept[number:end], size[number:end] = block[free], own[free]
        number = end
    return kept[before : min(number, before + count)] > 0


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
    weighted: Float[np.ndarray, "A S"],
    own: Float[np.ndarray, " A"],
    others: Float[np.ndarray, "B S"],
    size: Float[np.ndarray, " B"],
) -> Float[np.ndarray, "A B"]:
    shared = weighted @ others.T
    iou: Float[np.ndarray, "A B"] = shared / (own[:, None] + size - shared)
    return iou
