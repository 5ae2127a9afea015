"""Grow superpixels into a tree and note every pair of neighbours on the way."""

import heapq
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from wsis.proposals._superpixels import Superpixels
from wsis.proposals._unions import Unions, joined

Borders = Mapping[int, tuple[float, float]]
"""Of a region's neighbours: the length of the common border and its summed contour."""


@runtime_checkable
class Distances(Protocol):
    """Distances between neighbours while regions grow."""

    contour: Float[np.ndarray, " E"]
    """Contour summed along each border between superpixels."""

    def merge(self, first: int, second: int) -> None:
        """Add the union of two regions, under the next number."""

    def to(self, region: int, others: Borders) -> list[float]:
        """Return the distances of a region to neighbours."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tree:
    """The nodes of a tree, and the pairs of nodes that were neighbours at any time.

    Nodes are numbered as they arise, the superpixels first; ``children`` are of those
    after the superpixels; pairs come in the order in which they met.
    """

    children: Int[np.ndarray, "K 2"]
    nodes: Unions
    pairs: Unions


def grow(base: Superpixels, measure: Callable[[Superpixels], Distances]) -> Tree:
    """Merge the nearest neighbours until one region is left.

    Ties go by the regions' numbers. Every two regions that touched at any time are a
    pair; all pairs of neighbours in all cuts of the tree, as in MCG (Pont-Tuset et
    al., "Multiscale Combinatorial Grouping", PAMI 2017, section 6).
    """
    growing = _Growing(base, measure(base))
    merges = growing.run()
    count = len(base) + len(merges)
    children = np.array(merges, dtype=int).reshape(-1, 2)
    until = np.full(count, count)
    until[children] = len(base) + np.arange(len(merges))[:, None]
    nodes = Unions(
        parts=np.arange(count)[:, None],
        area=np.array(growing.area, dtype=float),
        perimeter=np.array(growing.perimeter, dtype=float),
        strength=np.array(growing.strength, dtype=float),
        frame=np.array(growing.frame, dtype=float),
        inside=np.array(growing.inside, dtype=float),
        until=until,
    )
    met = np.array(growing.pairs, dtype=float).reshape(-1, 4)
    first, second = met[:, :2].astype(int).T
    return Tree(
        children=children,
        nodes=nodes,
        pairs=joined(nodes, first, nodes, second, *met[:, 2:].T),
    )


def membership(tree: Tree) -> Bool[np.ndarray, "K R"]:
    """Return the nodes of a tree as sets of superpixels."""
    count = len(tree.nodes) - len(tree.children)
    sets = np.zeros((len(tree.nodes), count), dtype=bool)
    sets[np.arange(count), np.arange(count)] = True
    for node, (first, second) in enumerate(tree.children.tolist(), count):
        np.logical_or(sets[first], sets[second], out=sets[node])
    return sets


class _Growing:
    """Regions while they merge. Plain numbers: regions have few neighbours."""

    def __init__(self, base: Superpixels, distances: Distances) -> None:
        self.distances = distances
        self.area: list[float] = base.area.tolist()
        self.frame: list[float] = base.frame.tolist()
        self.inside = [0.0] * len(base)
        self.perimeter = [0.0] * len(base)
        self.strength = [0.0] * len(base)
        # Of each living region.
        self.borders: dict[int, dict[int, tuple[float, float]]] = {
            i: {} for i in range(len(base))
        }
        self.pairs: list[tuple[int, int, float, float]] = []
        self.heap: list[tuple[float, int, int]] = []
        for (a, b), length, contour in zip(
            base.edges.tolist(),
            base.length.tolist(),
            distances.contour.tolist(),
            strict=True,
        ):
            for one, other in ((a, b), (b, a)):
                self.borders[one][other] = (length, contour)
                self.perimeter[one] += length
                self.strength[one] += contour
        for one, borders in self.borders.items():
            self.meet(one, {n: border for n, border in borders.items() if n > one})

    def run(self) -> list[tuple[int, int]]:
        """Return the pairs that merge, in order."""
        merges = []
        heap, borders = self.heap, self.borders
        while heap:
            _, first, second = heapq.heappop(heap)
            if first in borders and second in borders:
                merges.append((first, second))
                self.merge(first, second)
        return merges

    def meet(self, region: int, others: Borders) -> None:
        """Note a region's neighbours; the innermost loop, so it repeats no look-up."""
        if not others:
            return
        heap, push, note = self.heap, heapq.heappush, self.pairs.append
        distances = self.distances.to(region, others)
        for (other, border), distance in zip(others.items(), distances, strict=True):
            one, two = (other, region) if other < region else (region, other)
            note((one, two, *border))
            push(heap, (distance, one, two))

    def merge(self, first: int, second: int) -> None:
        """Join two neighbours; the new region has the next number."""
        new = len(self.area)
        mine, theirs = self.borders.pop(first), self.borders.pop(second)
        length, contour = mine.pop(second)
        del theirs[first]
        self.distances.merge(first, second)
        for values, shared in (
            (self.area, 0.0),
            (self.frame, 0.0),
            (self.perimeter, length),
            (self.strength, contour),
        ):
            values.append(values[first] + values[second] - 2 * shared)
        self.inside.append(
            max(self.inside[first], self.inside[second], contour / length)
        )
        if len(mine) < len(theirs):
            mine, theirs = theirs, mine
        for other, (more, stronger) in theirs.items():
            before = mine.get(other, (0.0, 0.0))
            mine[other] = (before[0] + more, before[1] + stronger)
        self.borders[new] = mine
        for other, border in mine.items():
            around = self.borders[other]
            around.pop(first, None)
            around.pop(second, None)
            around[new] = border
        self.meet(new, mine)


class ByMeans:
    """Contours and mean colours, in plain numbers: fast for many superpixels.

    The distance is (contour · c + colour · d) · min(areas)^size + shape · box / image,
    where c is the mean contour between the two, d the distance of their mean colours in
    hundreds of Lab units, and box that of both: the areas and what Selective Search
    calls fill (Uijlings et al., IJCV 2013, section 3.2).
    """

    def __init__(
        self,
        base: Superpixels,
        contour: float = 1.0,
        colour: float = 0.0,
        size: float = 0.0,
        shape: float = 0.0,
    ) -> None:
        self.weights = contour, colour, size, shape / float(base.area.sum())
        # By way of the mean, which may differ in the last bit.
        self.contour = base.length * (base.contour / base.length)
        self.area: list[float] = base.area.tolist()
        self.colour = [tuple(colour) for colour in (base.colour / 100).tolist()]
        self.boxes = [tuple(box) for box in base.boxes.tolist()]

    def merge(self, first: int, second: int) -> None:
        """Add the union of two regions."""
        a, b = self.area[first], self.area[second]
        self.area.append(a + b)
        p, q = self.colour[first], self.colour[second]
        self.colour.append(
            tuple((a * x + b * y) / (a + b) for x, y in zip(p, q, strict=True))
        )
        p, q = self.boxes[first], self.boxes[second]
        self.boxes.append(
            (min(p[0], q[0]), min(p[1], q[1]), max(p[2], q[2]), max(p[3], q[3]))
        )

    def to(self, region: int, others: Borders) -> list[float]:
        """Return the distances of a region to neighbours."""
        by_contour, by_colour, by_size, by_shape = self.weights
        area, colour, boxes = self.area, self.colour, self.boxes
        my_area, my_colour = area[region], colour[region]
        left, top, right, bottom = boxes[region]
        found = []
        for other, (length, contour) in others.items():
            distance = by_contour * contour / length
            if by_colour:
                distance += by_colour * math.dist(colour[other], my_colour)
            if by_size:
                distance *= min(area[other], my_area) ** by_size
            if by_shape:
                x0, y0, x1, y1 = boxes[other]
                width = (x1 if x1 > right else right) - (x0 if x0 < left else left)
                height = (y1 if y1 > bottom else bottom) - (y0 if y0 < top else top)
                distance += by_shape * width * height
            found.append(distance)
        return found


class ByHistograms:
    """Likeness as in Selective Search: better for few, large superpixels.

    Uijlings et al., "Selective Search for Object Recognition", IJCV 2013, section 3.2:
    small regions, and regions that fill their common box, count as alike with weight 1;
    intersections of the histograms of colour and texture have weights. To these four we
    add the mean contour between them, in means of all borders, which divides.
    """

    def __init__(
        self,
        base: Superpixels,
        colour: float = 0.0,
        texture: float = 0.0,
        contour: float = 0.0,
    ) -> None:
        self.by_contour = contour
        self.total = base.area.sum()
        self.next = len(base)
        mean = (base.contour / base.length).mean() if len(base.edges) else 1.0
        self.contour = base.contour / max(mean, 1e-6)
        self.area, self.boxes = _doubled(base.area), _doubled(base.boxes)
        # Intersections of weighted histograms are weighted intersections.
        none = np.zeros((len(base), 0))
        colours = colour * base.colours if colour else none
        slopes = texture * base.slopes if texture else none
        self.histogram = _doubled(np.concatenate([colours, slopes], 1))

    def merge(self, first: int, second: int) -> None:
        """Add the union of two regions."""
        new, self.next = self.next, self.next + 1
        a, b = self.area[first], self.area[second]
        self.area[new] = a + b
        self.boxes[new, :2] = np.minimum(self.boxes[first, :2], self.boxes[second, :2])
        self.boxes[new, 2:] = np.maximum(self.boxes[first, 2:], self.boxes[second, 2:])
        mixed = a * self.histogram[first] + b * self.histogram[second]
        self.histogram[new] = mixed / (a + b)

    def to(self, region: int, others: Borders) -> list[float]:
        """Return the distances of a region to neighbours."""
        index = np.array(list(others))
        low = np.minimum(self.boxes[region, :2], self.boxes[index, :2])
        high = np.maximum(self.boxes[region, 2:], self.boxes[index, 2:])
        alike = 2 - (high - low).prod(1) / self.total
        alike += np.minimum(self.histogram[region], self.histogram[index]).sum(1)
        between = np.array([contour / length for length, contour in others.values()])
        distances: list[float] = (self.by_contour * between - alike).tolist()
        return distances


def _doubled(table: Float[np.ndarray, "R ..."]) -> Float[np.ndarray, "K ..."]:
    """Return the superpixels' rows and room for the R − 1 regions they grow into."""
    return np.concatenate([table, np.zeros_like(table[1:])])
