"""Grows superpixels into a tree, the most similar neighbours first."""

import heapq
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from wsis.proposals.superpixels import Superpixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarity:
    """How alike two neighbours are, as a weighted sum.

    Uijlings et al., "Selective Search for Object Recognition", IJCV 2013, section 3.2:
    small regions, and regions that fill their common box, count as alike with weight 1;
    to these four we add the contours between them.

    Args:
        colour: weight of the intersection of colour histograms.
        texture: weight of the intersection of texture histograms.
        contour: weight of the mean contour on the common border, which divides.
    """

    colour: float = 0.0
    texture: float = 0.0
    contour: float = 0.0


def members(
    superpixels: Superpixels, similarity: Similarity
) -> Bool[np.ndarray, "K S"]:
    """The nodes of the tree as sets of superpixels: the last merged first.

    The first row is the whole image, the last S rows are the superpixels, large to
    small; ties are merged in the order of their numbers.
    """
    count = len(superpixels)
    nodes = np.zeros((2 * count - 1, count), dtype=bool)
    nodes[np.arange(count), np.arange(count)] = True
    for new, (first, second) in enumerate(_merges(superpixels, similarity), count):
        nodes[new] = nodes[first] | nodes[second]
    return nodes[::-1]


def _merges(superpixels: Superpixels, similarity: Similarity) -> list[tuple[int, int]]:
    growing = _Growing(superpixels, similarity)
    heap: list[tuple[float, int, int]] = []
    for node in range(len(superpixels)):
        heap += growing.rated(node, [n for n in growing.borders[node] if n > node])
    heapq.heapify(heap)
    merges = []
    while heap:
        _, first, second = heapq.heappop(heap)
        if first in growing.borders and second in growing.borders:
            merges.append((first, second))
            new = growing.merge(first, second)
            for entry in growing.rated(new, list(growing.borders[new])):
                heapq.heappush(heap, entry)
    return merges


class _Growing:
    """Regions while they merge; ``borders`` holds those that are not yet merged."""

    def __init__(self, superpixels: Superpixels, similarity: Similarity) -> None:
        self.similarity = similarity
        self.total = superpixels.area.sum()
        self.next = len(superpixels)
        self.area = _doubled(superpixels.area)
        self.boxes = _doubled(superpixels.boxes)
        # Intersections of weighted histograms are weighted intersections.
        parts = [
            (similarity.colour, superpixels.colour),
            (similarity.texture, superpixels.texture),
        ]
        parts = [(weight, table) for weight, table in parts if weight]
        empty = np.zeros((len(superpixels), 0))
        tables = [weight * table for weight, table in parts]
        self.histogram = _doubled(np.concatenate([empty, *tables], 1))
        self.borders: dict[int, dict[int, tuple[float, float]]] = {
            node: {} for node in range(self.next)
        }
        for (first, second), length, contrast in zip(
            superpixels.edges.tolist(),
            superpixels.length.tolist(),
            superpixels.contrast.tolist(),
            strict=True,
        ):
            self.borders[first][second] = (length, contrast)
            self.borders[second][first] = (length, contrast)

    def rated(self, node: int, others: list[int]) -> list[tuple[float, int, int]]:
        """Dissimilarities to ``others``, as entries of a heap."""
        if not others:
            return []
        index = np.array(others)
        area = self.area[node] + self.area[index]
        low = np.minimum(self.boxes[node, :2], self.boxes[index, :2])
        high = np.maximum(self.boxes[node, 2:], self.boxes[index, 2:])
        gap = (high - low).prod(1) - area
        alike = 2 - (area + gap) / self.total
        alike += np.minimum(self.histogram[node], self.histogram[index]).sum(1)
        borders = self.borders[node]
        between = np.array([borders[n][1] / borders[n][0] for n in others])
        apart = self.similarity.contour * between - alike
        return [
            (value, min(node, n), max(node, n))
            for value, n in zip(apart.tolist(), others, strict=True)
        ]

    def merge(self, first: int, second: int) -> int:
        """Joins two neighbours and returns the number of the new region."""
        new, self.next = self.next, self.next + 1
        a, b = self.area[first], self.area[second]
        self.area[new] = a + b
        self.boxes[new, :2] = np.minimum(self.boxes[first, :2], self.boxes[second, :2])
        self.boxes[new, 2:] = np.maximum(self.boxes[first, 2:], self.boxes[second, 2:])
        mixed = a * self.histogram[first] + b * self.histogram[second]
        self.histogram[new] = mixed / (a + b)
        joined: dict[int, tuple[float, float]] = {}
        for old in (first, second):
            for other, (length, contrast) in self.borders.pop(old).items():
                if other not in (first, second):
                    before = joined.get(other, (0.0, 0.0))
                    joined[other] = (before[0] + length, before[1] + contrast)
                    del self.borders[other][old]
        for other, border in joined.items():
            self.borders[other][new] = border
        self.borders[new] = joined
        return new


def _doubled(table: Float[np.ndarray, "S ..."]) -> Float[np.ndarray, "K ..."]:
    """The superpixels' rows and room for the S − 1 regions that they grow into."""
    return np.concatenate([table, np.zeros_like(table[1:])])
