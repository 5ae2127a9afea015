"""Choose among candidates: sets of superpixels, the best first."""

import math

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
    kept = _Kept(weight, max_overlap, len(beside) + count + _BLOCK)
    kept.add(beside.astype(np.float32))
    chosen: list[int] = []
    for start in range(0, len(candidates), _BLOCK):
        if len(chosen) >= count:
            break
        block = candidates[start : start + _BLOCK].astype(np.float32)
        far = np.flatnonzero(~kept.near(block))
        block = block[far]
        own = block @ weight
        close = iou((block * weight) @ block.T, own, own) > max_overlap
        free = np.ones(len(block), dtype=bool)
        for i in range(len(block)):
            free[i + 1 :] &= ~(close[i, i + 1 :] & free[i])
        kept.add(block[free])
        chosen += (start + far[free]).tolist()
    found: Bool[np.ndarray, "_ R"] = candidates[chosen[:count]]
    return found


class _Kept:
    """Sets of superpixels by octaves of area; those of far octaves overlap too little.

    Args:
        weight: areas of the superpixels.
        max_overlap: a set with an IoU above this with one that was added is near it.
        room: most sets that are added.
    """

    def __init__(
        self, weight: Float[np.ndarray, " R"], max_overlap: float, room: int
    ) -> None:
        self.weight, self.max_overlap = weight, max_overlap
        self.reach = math.ceil(-math.log2(max_overlap))
        self.shape = room, len(weight)
        # Numbers once and for all: memory that nothing is written to costs nothing.
        self.sets: dict[int, Float[np.ndarray, "K R"]] = {}
        self.sizes: dict[int, Float[np.ndarray, " _"]] = {}

    def near(self, block: Float[np.ndarray, "B R"]) -> Bool[np.ndarray, " B"]:
        """Mark the sets of a block that are near one that was added."""
        found = np.zeros(len(block), dtype=bool)
        own, octaves = self._sized(block)
        weighed = block * self.weight
        for octave, size in self.sizes.items():
            rows = np.flatnonzero(abs(octaves - octave) <= self.reach)
            shared = weighed[rows] @ self.sets[octave][: len(size)].T
            found[rows] |= (iou(shared, own[rows], size) > self.max_overlap).any(1)
        return found

    def add(self, block: Float[np.ndarray, "B R"]) -> None:
        """Add the sets of a block."""
        own, octaves = self._sized(block)
        for octave in np.unique(octaves).tolist():
            rows = octaves == octave
            if octave not in self.sets:
                self.sets[octave] = np.empty(self.shape, dtype=np.float32)
            before = self.sizes.get(octave, own[:0])
            self.sizes[octave] = size = np.concatenate([before, own[rows]])
            self.sets[octave][len(before) : len(size)] = block[rows]

    def _sized(
        self, block: Float[np.ndarray, "B R"]
    ) -> tuple[Float[np.ndarray, " B"], Int[np.ndarray, " B"]]:
        """Return the areas of sets, and the octaves of these."""
        area = block @ self.weight
        return area, np.frexp(area)[1]


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
