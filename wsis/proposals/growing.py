"""Grows superpixels into a tree and notes every pair of neighbours on the way."""

import heapq
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from wsis.proposals.unions import Unions, joined


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neighbourhood:
    """Superpixels and their borders.

    Args:
        area: pixels.
        colour: mean CIE Lab colours.
        boxes: xyxy, right and bottom exclusive.
        frame: pixels on the image's own border.
        edges: touching superpixels, each pair once.
        length: of their common border, in pixels.
        contour: mean contour strength along it, in [0, 1].
    """

    area: Float[np.ndarray, " S"]
    colour: Float[np.ndarray, "S 3"]
    boxes: Float[np.ndarray, "S 4"]
    frame: Float[np.ndarray, " S"]
    edges: Int[np.ndarray, "E 2"]
    length: Float[np.ndarray, " E"]
    contour: Float[np.ndarray, " E"]

    def __len__(self) -> int:
        return len(self.area)


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """How far apart two neighbours are; the nearest merge first.

    (contour · c + colour · d) · min(areas)^size + shape · (gap + areas) / image, where
    c is the mean contour between them, d the distance of their mean colours in
    hundreds of Lab units, and gap what their common box has beside them, as in
    Selective Search (Uijlings et al., IJCV 2013, section 3.2).

    Args:
        contour: weight of the contour.
        colour: weight of the colours' distance.
        size: power of the smaller area in pixels; above 0, small regions merge early.
        shape: weight of areas and gap.
    """

    contour: float = 1.0
    colour: float = 0.0
    size: float = 0.0
    shape: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tree:
    """The nodes of a tree, and the pairs of nodes that were neighbours at any time.

    Nodes are numbered as they arise, the superpixels first.

    Args:
        children: of the nodes after the superpixels.
        nodes: each one its own and only part.
        pairs: two parts each, in the order in which they met.
    """

    children: Int[np.ndarray, "M 2"]
    nodes: Unions
    pairs: Unions


def grow(base: Neighbourhood, criterion: Criterion) -> Tree:
    """Merges the nearest neighbours until one region is left.

    Ties go by the regions' numbers. Every two regions that touched at any time are a
    pair; all pairs of neighbours in all cuts of the tree, as in MCG (Pont-Tuset et
    al., "Multiscale Combinatorial Grouping", PAMI 2017, section 6).
    """
    growing = _Growing(base, criterion)
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


def membership(tree: Tree) -> Bool[np.ndarray, "nodes S"]:
    """The nodes of a tree as sets of superpixels."""
    count = len(tree.nodes) - len(tree.children)
    sets = np.zeros((len(tree.nodes), count), dtype=bool)
    sets[np.arange(count), np.arange(count)] = True
    for node, (first, second) in enumerate(tree.children.tolist(), count):
        np.logical_or(sets[first], sets[second], out=sets[node])
    return sets


class _Growing:
    """Regions while they merge. Plain numbers: regions have few neighbours."""

    def __init__(self, base: Neighbourhood, criterion: Criterion) -> None:
        self.criterion = criterion
        self.total = float(base.area.sum())
        self.area: list[float] = base.area.tolist()
        self.colour: list[tuple[float, ...]] = [
            tuple(colour) for colour in (base.colour / 100).tolist()
        ]
        self.boxes: list[tuple[float, ...]] = [tuple(b) for b in base.boxes.tolist()]
        self.frame: list[float] = base.frame.tolist()
        self.inside = [0.0] * len(base)
        self.perimeter = [0.0] * len(base)
        self.strength = [0.0] * len(base)
        # Of each living region: its neighbours, border length and summed contour.
        self.borders: dict[int, dict[int, tuple[float, float]]] = {
            i: {} for i in range(len(base))
        }
        self.pairs: list[tuple[int, int, float, float]] = []
        self.heap: list[tuple[float, int, int]] = []
        for (a, b), length, contour in zip(
            base.edges.tolist(),
            base.length.tolist(),
            (base.length * base.contour).tolist(),
            strict=True,
        ):
            for one, other in ((a, b), (b, a)):
                self.borders[one][other] = (length, contour)
                self.perimeter[one] += length
                self.strength[one] += contour
            self.meet(max(a, b), {min(a, b): (length, contour)})

    def run(self) -> list[tuple[int, int]]:
        """The pairs that merge, in order."""
        merges = []
        heap, borders = self.heap, self.borders
        while heap:
            _, first, second = heapq.heappop(heap)
            if first in borders and second in borders:
                merges.append((first, second))
                self.merge(first, second)
        return merges

    def meet(self, new: int, others: dict[int, tuple[float, float]]) -> None:
        """Notes a region's neighbours; the innermost loop, so it repeats no look-up."""
        by_contour, by_colour = self.criterion.contour, self.criterion.colour
        by_size, by_shape = self.criterion.size, self.criterion.shape / self.total
        area, colour, boxes = self.area, self.colour, self.boxes
        my_area, my_colour = area[new], colour[new]
        left, top, right, bottom = boxes[new]
        heap, push, note = self.heap, heapq.heappush, self.pairs.append
        for other, (length, contour) in others.items():
            note((other, new, length, contour))
            distance = by_contour * contour / length
            if by_colour:
                distance += by_colour * math.dist(colour[other], my_colour)
            if by_size:
                distance *= min(area[other], my_area) ** by_size
            if by_shape:
                # The gap is the box less both areas, which count beside it.
                x0, y0, x1, y1 = boxes[other]
                width = (x1 if x1 > right else right) - (x0 if x0 < left else left)
                height = (y1 if y1 > bottom else bottom) - (y0 if y0 < top else top)
                distance += by_shape * width * height
            push(heap, (distance, other, new))

    def merge(self, first: int, second: int) -> None:
        """Joins two neighbours; the new region has the next number."""
        new = len(self.area)
        mine, theirs = self.borders.pop(first), self.borders.pop(second)
        length, contour = mine.pop(second)
        del theirs[first]
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
        for values, shared in (
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
