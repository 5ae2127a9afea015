from functools import partial

import numpy as np
import pytest

from wsis.proposals._growing import (
    ByContours,
    ByHistograms,
    ByMeans,
    grow,
    membership,
    merges,
)
from wsis.proposals._superpixels import Superpixels, cut
from wsis.proposals._unions import triplets
from wsis.proposals.contours import lab_gradient


def row(
    *contours: float,
    colour: tuple[float, ...] | None = None,
    widths: tuple[int, ...] | None = None,
) -> Superpixels:
    """Superpixels of 4 pixels' height side by side, these contours between them."""
    count = len(contours) + 1
    labels = np.arange(count)[None].repeat(4, 0).repeat(widths or [4] * count, 1)
    lab = np.zeros((*labels.shape, 3))
    lab[..., 0] = np.array(colour or (0.0,) * count)[labels]
    return Superpixels(
        labels=labels,
        lab=lab,
        edges=np.stack([np.arange(count - 1), np.arange(1, count)], 1),
        length=np.full(count - 1, 4.0),
        contour=4.0 * np.array(contours),
    )


def spelled(sets: np.ndarray) -> list[str]:
    return ["".join("abcdef"[i] for i in np.flatnonzero(row)) for row in sets]


def test_the_weakest_contour_goes_first():
    base = row(0.5, 0.1, 0.9)

    tree = grow(base, ByMeans)

    nodes = membership(tree.children)
    assert spelled(nodes) == ["a", "b", "c", "d", "bc", "abc", "abcd"]
    assert tree.nodes.until.tolist() == [5, 4, 4, 6, 5, 6, 7]
    assert np.allclose(tree.nodes.inside, [0, 0, 0, 0, 0.1, 0.5, 0.9])
    first, second = tree.pairs.parts.T
    unions = spelled(nodes[first] | nodes[second])
    # First those of the superpixels, then the new node's, which are nodes again.
    assert unions == ["ab", "bc", "cd", "abc", "bcd", "abcd"]


def test_borders_of_unions_are_what_is_left_of_their_parts():
    tree = grow(row(0.5, 0.1, 0.9), ByMeans)

    nodes, pairs, bc, bcd = tree.nodes, tree.pairs, 4, 4
    assert (nodes.perimeter[bc], pairs.perimeter[bcd]) == (8, 4)
    assert nodes.strength[bc] == pytest.approx(4 * (0.5 + 0.9))
    assert pairs.strength[bcd] == pytest.approx(4 * 0.5)
    assert (nodes.frame[bc], pairs.frame[bcd]) == (16, 28)
    assert (pairs.area[bcd], pairs.inside[bcd]) == (48, 0.9)
    assert pairs.until[bcd] == 5


@pytest.mark.parametrize(
    ("measure", "first"),
    [
        (partial(ByMeans, contour=0.0, colour=1.0), "bc"),
        (partial(ByMeans, contour=1.0, colour=0.1), "ab"),
    ],
)
def test_colours_count_beside_contours(measure, first):
    tree = grow(row(0.1, 0.3, colour=(0.0, 90.0, 95.0)), measure)

    assert spelled(membership(tree.children))[3] == first


def test_what_fills_its_box_little_or_has_grown_is_held_back():
    # By contours alone a grows along the row: ab, abc, abcd.
    base = row(0.1, 0.11, 0.12)

    assert spelled(membership(grow(base, ByMeans).children))[4:6] == ["ab", "abc"]
    held = grow(base, partial(ByMeans, shape=1.0))
    assert spelled(membership(held.children))[4:6] == ["ab", "cd"]


def test_small_regions_merge_before_large_ones():
    base = row(0.1, 0.15, widths=(16, 16, 1))

    assert spelled(membership(grow(base, ByMeans).children))[3] == "ab"
    favoured = grow(base, partial(ByContours, size=0.25))
    assert spelled(membership(favoured.children))[3] == "bc"


def test_borders_agree_with_counting_pixels():
    random = np.random.default_rng(0)
    labels = random.permutation(12)[np.arange(12).reshape(3, 4)]
    labels = labels.repeat(3, 0).repeat(5, 1)
    contour = random.random(labels.shape)

    tree = grow(Superpixels.of(labels, random.random((9, 20, 3)), contour), ByMeans)

    nodes = membership(tree.children)
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
    tree = grow(row(), ByMeans)

    assert (len(tree.nodes), tree.nodes.until.tolist()) == (1, [1])
    assert len(tree.pairs) == 0


def merged(base: Superpixels, measure) -> np.ndarray:
    """The nodes of the tree, those merged last first."""
    return membership(merges(base, measure))[::-1]


def test_like_colours_merge_first():
    nodes = merged(
        row(1, 1, 1, colour=(0, 50, 50, 99)), partial(ByHistograms, colour=1.0)
    )

    assert spelled(nodes)[2] == "bc"
    assert spelled(nodes)[-4:] == ["d", "c", "b", "a"]
    assert spelled(nodes)[0] == "abcd"


def test_weak_contours_merge_first():
    nodes = merged(row(2.0, 2.0, 0.5), partial(ByHistograms, contour=1.0))

    assert spelled(nodes)[2] == "cd"


def test_without_weights_small_ones_merge_first_and_ties_go_by_number():
    nodes = merged(row(1, 1, 1, colour=(0, 30, 60, 90)), ByHistograms)

    assert spelled(nodes)[:3] == ["abcd", "cd", "ab"]


def test_one_superpixel_is_the_whole_tree_by_histograms_too():
    assert spelled(merged(row(), ByHistograms)) == ["a"]


@pytest.mark.parametrize(
    "measure",
    [
        ByHistograms,
        partial(ByHistograms, colour=1.0),
        partial(ByHistograms, texture=1.0, contour=0.5),
    ],
)
def test_nodes_are_a_tree_of_connected_regions(measure):
    lab = np.random.default_rng(0).random((30, 30, 3)) * 100
    contour = lab_gradient(lab, 2.0)
    base = Superpixels.of(cut(contour, 30), lab, contour)

    nodes = merged(base, measure)

    assert nodes.shape == (2 * len(base) - 1, len(base))
    assert nodes[0].all()
    # Each merged node is the union of two that were merged before it.
    unions = {tuple(a | b) for a in nodes for b in nodes if not (a & b).any()}
    assert {tuple(node) for node in nodes[: len(base) - 1]} <= unions
    for node in nodes:
        inside = set(np.flatnonzero(node).tolist())
        reached, fresh = set(), {min(inside)}
        while fresh:
            reached |= fresh
            touching = {tuple(e) for e in base.edges.tolist()}
            near = {b for a, b in touching if a in fresh}
            near |= {a for a, b in touching if b in fresh}
            fresh = (near & inside) - reached
        assert reached == inside
