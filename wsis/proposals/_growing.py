"""Grow superpixels into a tree and note every pair of neighbours on the way."""

import heapq
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain, repeat
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
    first, second = growing.pairs().T
    numbers = chain.from_iterable(growing.shared)
    shared = np.fromiter(numbers, float, 2 * len(first)).reshape(-1, 2)
    return Tree(
        children=children,
        nodes=nodes,
        pairs=joined(nodes, first, nodes, second, *shared.T),
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
    """Regions while they merge. Plain numbers: regions have few neighbours.

    Each pair belongs to one of its regions, the later one, or the first of two
    superpixels, which keeps its neighbours by distance. Only its nearest is in the
    heap, so that the many pairs of which one merges with another cost next to nothing.
    """

    def __init__(self, base: Superpixels, distances: Distances) -> None:
        self.distances = distances
        self.count = len(base)
        self.area: list[float] = base.area.tolist()
        self.frame: list[float] = base.frame.tolist()
        self.inside = [0.0] * len(base)
        self.perimeter = [0.0] * len(base)
        self.strength = [0.0] * len(base)
        # Of each living region.
        self.borders: dict[int, dict[int, tuple[float, float]]] = {
            i: {} for i in range(len(base))
        }
        # The neighbours that each region had when it arose, and their borders.
        self.met: list[list[int]] = []
        self.shared: list[tuple[float, float]] = []
        self.waiting: list[list[tuple[float, int]]] = []
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
                continue
            owner = first if second < self.count else second
            if owner in borders:
                self.offer(owner)
        return merges

    def pairs(self) -> Int[np.ndarray, "K 2"]:
        """Return the pairs of neighbours in the order in which they met."""
        sizes = [len(others) for others in self.met]
        one = np.arange(len(self.met)).repeat(sizes)
        other = np.fromiter(chain.from_iterable(self.met), int, len(one))
        return np.sort(np.stack([one, other], 1), 1)

    def meet(self, region: int, others: Borders) -> None:
        """Note the neighbours of the next region."""
        self.met.append(list(others))
        self.shared.extend(others.values())
        distances = self.distances.to(region, others) if others else []
        # The nearest last; of equals, that of the least number.
        ranked = sorted(zip(distances, others, strict=True), reverse=True)
        self.waiting.append(ranked)
        self.offer(region)

    def offer(self, region: int) -> None:
        """Put a region and the nearest neighbour that it has left into the heap."""
        waiting, borders = self.waiting[region], self.borders
        while waiting:
            distance, other = waiting.pop()
            if other in borders:
                pair = (other, region) if other < region else (region, other)
                heapq.heappush(self.heap, (distance, *pair))
                return

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
        both = mine | theirs
        for other in mine.keys() & theirs.keys():
            one, two = mine[other], theirs[other]
            both[other] = (one[0] + two[0], one[1] + two[1])
        borders = self.borders
        for other, border in both.items():
            around = borders[other]
            around.pop(first, None)
            around.pop(second, None)
            around[new] = border
        borders[new] = both
        self.meet(new, both)


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
        self.held = [area**size for area in self.area] if size else []
        self.colour = [tuple(c) for c in (base.colour / 100).tolist()] if colour else []
        self.boxes = [tuple(box) for box in base.boxes.tolist()] if shape else []

    def merge(self, first: int, second: int) -> None:
        """Add the union of two regions."""
        _, by_colour, by_size, by_shape = self.weights
        a, b = self.area[first], self.area[second]
        both = a + b
        self.area.append(both)
        if by_size:
            self.held.append(both**by_size)
        if by_colour:
            pairs = zip(self.colour[first], self.colour[second], strict=True)
            self.colour.append(tuple([(a * x + b * y) / both for x, y in pairs]))
        if by_shape:
            p, q = self.boxes[first], self.boxes[second]
            self.boxes.append((*map(min, p[:2], q[:2]), *map(max, p[2:], q[2:])))

    def to(self, region: int, others: Borders) -> list[float]:
        """Return the distances of a region to neighbours.

        This is the innermost loop: what is not weighed is not computed.
        """
        by_contour, by_colour, by_size, by_shape = self.weights
        found = [by_contour * contour / length for length, contour in others.values()]
        if by_colour:
            theirs = map(self.colour.__getitem__, others)
            apart = map(math.dist, theirs, repeat(self.colour[region]))
            found = [d + by_colour * a for d, a in zip(found, apart, strict=True)]
        if by_size:
            # The least area to a power is the least power.
            held, mine = self.held, self.held[region]
            found = [
                d * (one if (one := held[other]) < mine else mine)
                for d, other in zip(found, others, strict=True)
            ]
        if by_shape:
            left, top, right, bottom = self.boxes[region]
            found = [
                d
                + by_shape
                * ((x1 if x1 > right else right) - (x0 if x0 < left else left))
                * ((y1 if y1 > bottom else bottom) - (y0 if y0 < top else top))
                for d, (x0, y0, x1, y1) in zip(
                    found, map(self.boxes.__getitem__, others), strict=True
                )
            ]
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
