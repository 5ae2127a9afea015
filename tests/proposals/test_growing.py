from dataclasses import replace

import numpy as np
import pytest

from wsis.proposals.grouping import neighbourhood
from wsis.proposals.growing import Criterion, Neighbourhood, grow, membership
from wsis.proposals.unions import triplets


def row(*contours: float, colour: tuple[float, ...] | None = None) -> Neighbourhood:
    """Squares of 4 x 4 pixels side by side, with these contours between them."""
    count = len(contours) + 1
    grey = colour or (0.0,) * count
    return Neighbourhood(
        area=np.full(count, 16.0),
        colour=np.stack([grey, np.zeros(count), np.zeros(count)], 1),
        boxes=np.array([[4.0 * i, 0, 4 * i + 4, 4] for i in range(count)]),
        frame=np.array([12.0, *[8.0] * (count - 2), 12.0])[:count],
        edges=np.stack([np.arange(count - 1), np.arange(1, count)], 1),
        length=np.full(count - 1, 4.0),
        contour=np.array(contours),
    )


def spelled(sets: np.ndarray) -> list[str]:
    return ["".join("abcde"[i] for i in np.flatnonzero(row)) for row in sets]


def test_the_weakest_contour_goes_first():
    base = row(0.5, 0.1, 0.9)

    tree = grow(base, Criterion())

    nodes = membership(tree)
    assert spelled(nodes) == ["a", "b", "c", "d", "bc", "abc", "abcd"]
    assert tree.nodes.until.tolist() == [5, 4, 4, 6, 5, 6, 7]
    assert np.allclose(tree.nodes.inside, [0, 0, 0, 0, 0.1, 0.5, 0.9])
    first, second = tree.pairs.parts.T
    unions = spelled(nodes[first] | nodes[second])
    # First those of the superpixels, then the new node's, which are nodes again.
    assert unions == ["ab", "bc", "cd", "abc", "bcd", "abcd"]


def test_borders_of_unions_are_what_is_left_of_their_parts():
    tree = grow(row(0.5, 0.1, 0.9), Criterion())

    nodes, pairs, bc, bcd = tree.nodes, tree.pairs, 4, 4
    assert (nodes.perimeter[bc], pairs.perimeter[bcd]) == (8, 4)
    assert nodes.strength[bc] == pytest.approx(4 * (0.5 + 0.9))
    assert pairs.strength[bcd] == pytest.approx(4 * 0.5)
    assert (nodes.frame[bc], pairs.frame[bcd]) == (16, 28)
    assert (pairs.area[bcd], pairs.inside[bcd]) == (48, 0.9)
    assert pairs.until[bcd] == 5


@pytest.mark.parametrize(
    ("criterion", "first"),
    [
        (Criterion(contour=0.0, colour=1.0), "bc"),
        (Criterion(contour=1.0, colour=0.1), "ab"),
    ],
)
def test_colours_count_beside_contours(criterion, first):
    tree = grow(row(0.1, 0.3, colour=(0.0, 90.0, 95.0)), criterion)

    assert spelled(membership(tree))[3] == first


def test_what_fills_its_box_little_or_has_grown_is_held_back():
    # By contours alone a grows along the row: ab, abc, abcd.
    base = row(0.1, 0.11, 0.12)

    assert spelled(membership(grow(base, Criterion())))[4:6] == ["ab", "abc"]
    held = grow(base, Criterion(shape=1.0))
    assert spelled(membership(held))[4:6] == ["ab", "cd"]


def test_small_regions_merge_before_large_ones():
    base = replace(row(0.1, 0.15), area=np.array([64.0, 64, 4]))

    assert spelled(membership(grow(base, Criterion())))[3] == "ab"
    assert spelled(membership(grow(base, Criterion(size=0.25))))[3] == "bc"


def test_borders_agree_with_counting_pixels():
    random = np.random.default_rng(0)
    labels = random.permutation(12)[np.arange(12).reshape(3, 4)]
    labels = labels.repeat(3, 0).repeat(5, 1)
    contour = random.random(labels.shape)

    tree = grow(neighbourhood(labels, random.random((9, 20, 3)), contour), Criterion())

    nodes = membership(tree)
    thirds = triplets(tree.nodes, tree.pairs, tree.pairs)
    assert len(thirds) > 0
    for unions in (tree.nodes, tree.pairs, thirds):
        sets = np.logical_or.reduce([nodes[part] for part in unions.parts.T])
        for k, members in enumerate(sets):
            mask = members[labels]
            length, strength = outline(mask, contour)
            assert unions.area[k] == mask.sum()
            assert unions.perimeter[k] == length
            assert unions.strength[k] == pytest.approx(strength)


def outline(mask: np.ndarray, contour: np.ndarray) -> tuple[float, float]:
    """Length of a mask's border within the image, and the contour summed along it."""
    length = strength = 0.0
    for a, b in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        border = mask[a] != mask[b]
        length += border.sum()
        strength += ((contour[a] + contour[b]) / 2)[border].sum()
    return length, strength


def test_one_superpixel_is_a_tree():
    tree = grow(row(), Criterion())

    assert (len(tree.nodes), tree.nodes.until.tolist()) == (1, [1])
    assert len(tree.pairs) == 0
