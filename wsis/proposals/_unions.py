"""Unions of a tree's nodes that were neighbours, and how whole they look."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

# Chosen by coverage on 25 training photos of coco-mini (benchmarks/proposals.md, "What
# each ingredient brought", Ranking); neither was varied alone since.
_INSIDE = 0.5
"""What a contour inside a union counts, beside one around it."""

_LARGE = 0.03
"""Contour strength that e times the area makes up for."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Unions:
    """K unions of P nodes each; a single node is a union too.

    ``perimeter`` is the length of the border to others and ``strength`` the contour
    summed along it; ``frame`` are pixels on the image's own border, ``inside`` is the
    strongest mean contour that runs through a union. ``until`` is the node into which
    the first of its parts to go is merged; the number of nodes for the last node.
    """

    parts: Int[np.ndarray, "K P"]
    area: Float[np.ndarray, " K"]
    perimeter: Float[np.ndarray, " K"]
    strength: Float[np.ndarray, " K"]
    frame: Float[np.ndarray, " K"]
    inside: Float[np.ndarray, " K"]
    until: Int[np.ndarray, " K"]

    def __len__(self) -> int:
        return len(self.area)

    def __getitem__(self, rows: "Int[np.ndarray, ' _'] | slice") -> "Unions":
        return Unions(**{name: getattr(self, name)[rows] for name in _FIELDS})


_FIELDS = tuple(Unions.__dataclass_fields__)


def joined(
    some: Unions,
    first: Int[np.ndarray, " K"],
    others: Unions,
    second: Int[np.ndarray, " K"],
    length: Float[np.ndarray, " K"],
    contour: Float[np.ndarray, " K"],
    through: Float[np.ndarray, " K"] | None = None,
) -> Unions:
    """Return the union of each ``some[first]`` with its neighbour ``others[second]``.

    They share a border of ``length``, with ``contour`` summed along it; ``through`` is
    the strongest mean contour along it, that of all of it if omitted.
    """
    a, b = some[first], others[second]
    through = contour / length if through is None else through
    return Unions(
        parts=np.concatenate([a.parts, b.parts], 1),
        area=a.area + b.area,
        perimeter=a.perimeter + b.perimeter - 2 * length,
        strength=a.strength + b.strength - 2 * contour,
        frame=a.frame + b.frame,
        inside=np.maximum.reduce([a.inside, b.inside, through]),
        until=np.minimum(a.until, b.until),
    )


def new_pairs(nodes: Unions, pairs: Unions) -> Unions:
    """Return the pairs whose parts do not merge with one another; others are nodes."""
    until = nodes.until[pairs.parts]
    return pairs[np.flatnonzero(until[:, 0] != until[:, 1])]


def triplets(nodes: Unions, pairs: Unions, chosen: Unions) -> Unions:
    """Return chosen pairs, each with a node that touched one while all three lived.

    Triplets whose first two parts to go merge with one another are nodes or pairs and
    are left out. Each set of nodes comes once, in the order of ``chosen``.
    """
    number = len(nodes)
    length = (nodes.perimeter[pairs.parts].sum(1) - pairs.perimeter) / 2
    contour = (nodes.strength[pairs.parts].sum(1) - pairs.strength) / 2
    # Pairs by either of their two nodes: those of node n are start[n] to start[n + 1].
    own = pairs.parts.T.ravel()
    # Small numbers are sorted by their digits, which is much faster.
    order = own.astype(np.min_scalar_type(number)).argsort(kind="stable")
    other = pairs.parts[:, ::-1].T.ravel()[order]
    pair = np.tile(np.arange(len(pairs)), 2)[order]
    start = np.searchsorted(own[order], np.arange(number + 1))

    ends = chosen.parts.T.ravel()
    size = start[ends + 1] - start[ends]
    which = np.tile(np.arange(len(chosen)), 2).repeat(size)
    place = np.arange(size.sum()) + (start[ends] - np.cumsum(size) + size).repeat(size)
    third, pair = other[place], pair[place]

    one, two = chosen.parts[which].T
    until = nodes.until
    soon, then, _ = _sorted(until[one], until[two], until[third])
    fine = (np.maximum(np.maximum(one, two), third) < soon) & (soon != then)
    fine &= (third != one) & (third != two)
    which, third, pair = which[fine], third[fine], pair[fine]

    # A third node that touches both of the pair is found twice.
    key, found = np.unique(which * number + third, return_inverse=True)
    shared, summed = (
        # Of nothing, the sums would be integers.
        np.bincount(found, values[pair], len(key)).astype(float)
        for values in (length, contour)
    )
    through = np.zeros(len(key))
    np.maximum.at(through, found, contour[pair] / length[pair])
    which, third = key // max(number, 1), key % max(number, 1)
    one, two = chosen.parts[which].T
    first, second, last = _sorted(one, two, third)
    name = (first * number + second) * number + last
    once = np.sort(np.unique(name, return_index=True)[1])
    which, third = which[once], third[once]
    borders = shared[once], summed[once], through[once]
    return joined(chosen, which, nodes, third, *borders)


def _sorted(
    a: Int[np.ndarray, " K"], b: Int[np.ndarray, " K"], c: Int[np.ndarray, " K"]
) -> tuple[Int[np.ndarray, " K"], Int[np.ndarray, " K"], Int[np.ndarray, " K"]]:
    """Return three columns with each row in order; faster than sorting rows."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    middle = np.maximum(low, np.minimum(high, c))
    return np.minimum(low, c), middle, np.maximum(high, c)


def promising(unions: Unions, count: int) -> Unions:
    """Return the ``count`` unions that look most like wholes, best first.

    They have the strongest mean contour around them, where the image's own border
    counts as none, and the weakest inside; larger ones are favoured a little.
    """
    whole = unions.strength / np.maximum(unions.perimeter + unions.frame, 1)
    whole += _LARGE * np.log(unions.area) - _INSIDE * unions.inside
    if len(whole) > count > 0:
        # The others need no order.
        least = np.partition(whole, -count)[-count]
        some = np.flatnonzero(whole >= least)
    else:
        some = np.arange(len(whole))
    return unions[some[(-whole[some]).argsort(kind="stable")[:count]]]
