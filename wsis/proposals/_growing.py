"""Grow superpixels into a tree and note every pair of neighbours on the way."""

import heapq
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain, islice, repeat
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from wsis.proposals._superpixels import Superpixels
from wsis.proposals._unions import Unions, joined

Border = tuple[float, float]
"""The length of a common border and its summed contour."""


@runtime_checkable
class Distances(Protocol):
    """Distances between neighbours while regions grow."""

    contour: Float[np.ndarray, " E"]
    """Contour summed along each border between superpixels."""

    def merge(self, first: int, second: int) -> None:
        """Add the union of two regions, under the next number."""

    def between(
        self, one: int | list[int], others: list[int], borders: list[Border]
    ) -> list[float]:
        """Return the distances of a region to neighbours, or of pair after pair."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tree:
    """The nodes of a tree, and the pairs of nodes that were neighbours at any time.

    Nodes are numbered as they arise, the superpixels first; ``children`` are of those
    after the superpixels; pairs come in the order in which they met.
    """

    children: Int[np.ndarray, "K 2"]
    nodes: Unions
    pairs: Unions


Measure = Callable[[Superpixels], Distances]
"""Makes the distances between superpixels, and between what they grow into."""


def merges(base: Superpixels, measure: Measure) -> Int[np.ndarray, "K 2"]:
    """Merge the nearest neighbours until one region is left; return who merged.

    Regions are numbered as they arise, the superpixels first. Ties go by the numbers.
    """
    return _Growing(base, measure(base)).run()


def grow(base: Superpixels, measure: Measure) -> Tree:
    """Merge as ``merges`` does; return nodes and pairs.

    Every two regions that touched at any time are a pair; all pairs of neighbours in
    all cuts of the tree, as in MCG (Pont-Tuset et al., "Multiscale Combinatorial
    Grouping", PAMI 2017, section 6).
    """
    growing = _Growing(base, measure(base))
    children = growing.run()
    count = len(base) + len(children)
    until = np.full(count, count)
    until[children] = np.arange(len(base), count)[:, None]
    nodes = Unions(
        parts=np.arange(count)[:, None],
        area=np.array(growing.area),
        perimeter=np.array(growing.perimeter),
        strength=np.array(growing.strength),
        frame=np.array(growing.frame),
        inside=np.array(growing.inside),
        until=until,
    )
    first, second = growing.pairs()
    numbers = chain.from_iterable(growing.shared)
    shared = np.fromiter(numbers, float, 2 * len(first)).reshape(-1, 2)
    return Tree(
        children=children,
        nodes=nodes,
        pairs=joined(nodes, first, nodes, second, *shared.T),
    )


def membership(children: Int[np.ndarray, "K 2"]) -> Bool[np.ndarray, "N R"]:
    """Return the nodes of a tree as sets of superpixels."""
    count = len(children) + 1
    sets = np.zeros((count + len(children), count), dtype=bool)
    np.fill_diagonal(sets, val=True)
    for node, (first, second) in enumerate(children.tolist(), count):
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
        self.count = count = len(base)
        self.area: list[float] = base.area.tolist()
        self.frame: list[float] = base.frame.tolist()
        self.inside = [0.0] * count
        sides = base.edges.ravel()
        self.perimeter, self.strength = (
            # Of nothing, the sums would be integers.
            np.bincount(sides, values.repeat(2), count).astype(float).tolist()
            for values in (base.length, distances.contour)
        )
        # The borders of each pair in the order in which they met; of each living
        # region; and the neighbours that each new region had when it arose.
        self.shared: list[Border] = list(
            zip(base.length.tolist(), distances.contour.tolist(), strict=True)
        )
        self.borders: dict[int, dict[int, Border]] = {i: {} for i in range(count)}
        self.edges = base.edges
        self.met: list[list[int]] = []
        first, second = base.edges.T.tolist()
        for one, other, border in zip(first, second, self.shared, strict=True):
            self.borders[one][other] = self.borders[other][one] = border
        apart = distances.between(first, second, self.shared)
        # The nearest last; of equals, that of the least number.
        self.waiting: list[list[tuple[float, int]]] = [[] for _ in range(count)]
        for edge in np.lexsort((second, apart))[::-1].tolist():
            self.waiting[first[edge]].append((apart[edge], second[edge]))
        self.heap: list[tuple[float, int, int]] = []
        for region in range(count):
            self.offer(region)

    def run(self) -> Int[np.ndarray, "K 2"]:
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
        return np.array(merges, dtype=int).reshape(-1, 2)

    def pairs(self) -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"]]:
        """Return the lower and higher numbers of neighbours, as they met."""
        sizes = [len(others) for others in self.met]
        new = self.count + np.arange(len(self.met)).repeat(sizes)
        there = np.fromiter(chain.from_iterable(self.met), int, len(new))
        first, second = self.edges.T
        return np.concatenate([first, there]), np.concatenate([second, new])

    def meet(self, region: int, others: dict[int, Border]) -> None:
        """Note the neighbours of the next region."""
        numbers, borders = list(others), list(others.values())
        self.met.append(numbers)
        self.shared += borders
        distances = self.distances.between(region, numbers, borders)
        self.waiting.append(sorted(zip(distances, numbers, strict=True), reverse=True))
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
        new, borders = len(self.area), self.borders
        mine, theirs = borders.pop(first), borders.pop(second)
        length, contour = mine.pop(second)
        del theirs[first]
        self.distances.merge(first, second)
        area, frame = self.area, self.frame
        perimeter, strength, inside = self.perimeter, self.strength, self.inside
        area.append(area[first] + area[second])
        frame.append(frame[first] + frame[second])
        perimeter.append(perimeter[first] + perimeter[second] - 2 * length)
        strength.append(strength[first] + strength[second] - 2 * contour)
        inside.append(max(inside[first], inside[second], contour / length))
        if len(mine) < len(theirs):
            mine, theirs, first, second = theirs, mine, second, first
        own = len(mine)
        for other, border in theirs.items():
            around = borders[other]
            del around[second]
            if other in mine:
                length, contour = border
                more, further = mine[other]
                mine[other] = length + more, contour + further
            else:
                mine[other] = around[new] = border
        for other, border in islice(mine.items(), own):
            around = borders[other]
            del around[first]
            around[new] = border
        borders[new] = mine
        self.meet(new, mine)


class ByContours:
    """The mean contour between two regions · min(areas)^size, in plain numbers."""

    def __init__(self, base: Superpixels, size: float = 0.0) -> None:
        self.size = size
        self.contour = _by_way_of_mean(base)
        self.area: list[float] = base.area.tolist()
        # The least area to a power is the least power.
        self.held = [area**size for area in self.area]

    def merge(self, first: int, second: int) -> None:
        """Add the union of two regions."""
        both = self.area[first] + self.area[second]
        self.area.append(both)
        self.held.append(both**self.size)

    def between(
        self, one: int | list[int], others: list[int], borders: list[Border]
    ) -> list[float]:
        """Return the distances of a region to neighbours, or of pair after pair."""
        pairs = zip(borders, _at(self.held, others), _own(self.held, one), strict=False)
        return [
            contour / length * (a if a < b else b) for (length, contour), b, a in pairs
        ]


class ByMeans:
    """Contours, mean colours and shapes, in plain numbers: fast for many superpixels.

    The distance is contour · c + colour · d + shape · box / image, where c is the mean
    contour between the two, d the distance of their mean colours in hundreds of Lab
    units, and box that of both: what Selective Search calls fill (Uijlings et al., IJCV
    2013, section 3.2).
    """

    def __init__(
        self,
        base: Superpixels,
        contour: float = 1.0,
        colour: float = 0.0,
        shape: float = 0.0,
    ) -> None:
        self.weights = contour, colour, shape / float(base.area.sum())
        self.contour = _by_way_of_mean(base)
        self.area: list[float] = base.area.tolist()
        self.colour = [tuple(c) for c in (base.colour / 100).tolist()]
        self.boxes = [tuple(box) for box in base.boxes.tolist()]

    def merge(self, first: int, second: int) -> None:
        """Add the union of two regions."""
        a, b = self.area[first], self.area[second]
        both = a + b
        self.area.append(both)
        (l0, a0, b0), (l1, a1, b1) = self.colour[first], self.colour[second]
        mixed = a * l0 + b * l1, a * a0 + b * a1, a * b0 + b * b1
        self.colour.append((mixed[0] / both, mixed[1] / both, mixed[2] / both))
        x0, y0, x1, y1 = self.boxes[first]
        left, top, right, bottom = self.boxes[second]
        self.boxes.append(
            (
                x0 if x0 < left else left,
                y0 if y0 < top else top,
                x1 if x1 > right else right,
                y1 if y1 > bottom else bottom,
            )
        )

    def between(
        self, one: int | list[int], others: list[int], borders: list[Border]
    ) -> list[float]:
        """Return the distances of a region to neighbours, or of pair after pair.

        This is the innermost loop: one pass, and no function for the extremes of two.
        """
        by_contour, by_colour, by_shape = self.weights
        colour, boxes, apart = self.colour, self.boxes, math.dist
        mine = zip(_own(colour, one), _own(boxes, one), strict=False)
        theirs = zip(_at(colour, others), _at(boxes, others), strict=True)
        return [
            by_contour * contour / length
            + by_colour * apart(other, own)
            + by_shape
            * ((x1 if x1 > right else right) - (x0 if x0 < left else left))
            * ((y1 if y1 > bottom else bottom) - (y0 if y0 < top else top))
            for (
                (length, contour),
                (other, (x0, y0, x1, y1)),
                (own, (left, top, right, bottom)),
            ) in zip(borders, theirs, mine, strict=False)
        ]


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
        self.area = _doubled(base.area)
        # Intersections of weighted histograms are weighted intersections, minima like
        # a common box whose right and bottom are negative.
        weighed = [(colour, "colours"), (texture, "slopes")]
        histograms = [w * getattr(base, name) for w, name in weighed if w]
        boxes = base.boxes * (1, 1, -1, -1)
        self.looks = _doubled(np.concatenate([boxes, *histograms], 1))

    def merge(self, first: int, second: int) -> None:
        """Add the union of two regions."""
        new, self.next = self.next, self.next + 1
        a, b = self.area[first], self.area[second]
        self.area[new] = a + b
        one, other = self.looks[first], self.looks[second]
        self.looks[new] = (a * one + b * other) / (a + b)
        np.minimum(one[:4], other[:4], out=self.looks[new, :4])

    def between(
        self, one: int | list[int], others: list[int], borders: list[Border]
    ) -> list[float]:
        """Return the distances of a region to neighbours, or of pair after pair."""
        both = np.minimum(self.looks[one], self.looks[np.array(others, dtype=int)])
        # Of both sides the negative.
        sides = both[:, :2] + both[:, 2:4]
        alike = 2 - sides[:, 0] * sides[:, 1] / self.total
        alike += both[:, 4:].sum(1)
        if not self.by_contour:
            return list((-alike).tolist())
        between = np.array([contour / length for length, contour in borders])
        return list((self.by_contour * between - alike).tolist())


def _by_way_of_mean(base: Superpixels) -> Float[np.ndarray, " E"]:
    """Return each border's contour by way of its mean, which moves the last bit."""
    return np.asarray(base.length * (base.contour / base.length))


def _own(values: list[Any], one: int | list[int]) -> Iterable[Any]:
    return repeat(values[one]) if isinstance(one, int) else _at(values, one)


def _at(values: list[Any], places: list[int]) -> Iterable[Any]:
    return map(values.__getitem__, places)


def _doubled(table: Float[np.ndarray, "R ..."]) -> Float[np.ndarray, "K ..."]:
    """Return the superpixels' rows and room for the R − 1 regions they grow into."""
    return np.concatenate([table, np.zeros_like(table[1:])])
