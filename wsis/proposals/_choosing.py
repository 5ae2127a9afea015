"""Choose among candidates: sets of superpixels, the best first."""

import numpy as np
from jaxtyping import Bool, Float, Int

from wsis.geometry.overlap import iou

FAVOUR = 1.1
"""How much more often an octave of size has its turn than the next smaller one. Taking
turns by how long regions last had 59.2 of ABO on 25 training photos, other rankings at
most 56.4 (benchmarks/proposals.md, Ranking); this number was not measured alone."""

_BLOCK = 256
"""Candidates compared with the kept ones at once."""


def distinct(
    candidates: Bool[np.ndarray, "K R"],
    area: Float[np.ndarray, " R"],
    max_overlap: float,
    *,
    count: int,
    beside: Bool[np.ndarray, "B R"] | None = None,
) -> Bool[np.ndarray, "_ R"]:
    """Return the first ``count`` candidates with an IoU of at most ``max_overlap``.

    Candidates are compared with those kept before them and with those ``beside``.
    """
    weight = area.astype(np.float32)
    beside = candidates[:0] if beside is None else beside
    before = len(beside)
    # Numbers once and for all: every block is compared with every one kept.
    kept = np.empty((before + count + _BLOCK, len(area)), dtype=np.float32)
    size = np.empty(len(kept), dtype=np.float32)
    kept[:before] = beside
    size[:before] = kept[:before] @ weight
    number = before
    for start in range(0, len(candidates), _BLOCK):
        if number >= before + count:
            break
        block = candidates[start : start + _BLOCK].astype(np.float32)
        own = block @ weight
        shared = (block * weight) @ kept[:number].T
        near = (iou(shared, own, size[:number]) > max_overlap).any(1)
        block, own = block[~near], own[~near]
        close = iou((block * weight) @ block.T, own, own) > max_overlap
        free = np.ones(len(block), dtype=bool)
        for i in range(len(block)):
            free[i + 1 :] &= ~(close[i, i + 1 :] & free[i])
        end = number + int(free.sum())
        kept[number:end], size[number:end] = block[free], own[free]
        number = end
    return kept[before : min(number, before + count)] > 0


def neighbour_pairs(
    nodes: Bool[np.ndarray, "K R"], edges: Int[np.ndarray, "E 2"]
) -> Bool[np.ndarray, "_ R"]:
    """Return unions of two nodes that touch and share nothing, first nodes first."""
    touch = np.zeros((nodes.shape[1], nodes.shape[1]), dtype=np.float32)
    touch[edges[:, 0], edges[:, 1]] = 1
    number = nodes.astype(np.float32)
    near = number @ touch @ number.T
    apart = number @ number.T == 0
    first, second = np.triu(apart & (near + near.T > 0)).nonzero()
    order = (first + second).argsort(kind="stable")
    unions: Bool[np.ndarray, "_ R"] = nodes[first[order]] | nodes[second[order]]
    return unions


def in_turns(
    share: Float[np.ndarray, " K"], worth: Int[np.ndarray, " K"]
) -> Int[np.ndarray, " K"]:
    """Return an order in which octaves of size take turns, each with its best first.

    The best of every octave of shares comes first, the largest octave before others,
    then the second best, …; an octave has a turn ``FAVOUR`` times as often as the next
    smaller one. Ties in worth go to the earlier.
    """
    octave = np.floor(np.log2(share)).astype(int)
    by_octave = np.lexsort((-worth, -octave))
    octave = octave[by_octave]
    sizes = np.unique(-octave, return_counts=True)[1]
    place = np.arange(len(share)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    turn = (place + 0.5) * FAVOUR**-octave
    order: Int[np.ndarray, " K"] = by_octave[turn.argsort(kind="stable")]
    return order
