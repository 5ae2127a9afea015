from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proposals.test_growing import row, spelled
from wsis.proposals._growing import ByMeans, Tree, grow, membership
from wsis.proposals._superpixels import Superpixels
from wsis.proposals._unions import Unions, new_pairs, promising, triplets


def words(tree: Tree, unions: Unions) -> list[str]:
    nodes = membership(tree.children)
    return spelled(np.logical_or.reduce([nodes[part] for part in unions.parts.T]))


def test_pairs_that_merge_are_nodes_and_no_new_pairs():
    tree = grow(row(0.5, 0.1, 0.9), ByMeans)

    # Grown are bc, abc and abcd.
    assert words(tree, new_pairs(tree.nodes, tree.pairs)) == ["ab", "cd", "bcd"]


def test_triplets_are_three_in_touch_that_lived_at_one_time():
    # Grown are cd, bcd, bcde and all.
    tree = grow(row(0.9, 0.5, 0.1, 0.6), ByMeans)
    found = triplets(tree.nodes, tree.pairs, new_pairs(tree.nodes, tree.pairs))

    # abc, but not bcd or cde: c and d merge; then a|b|cd|e: b and cd merge.
    assert words(tree, found) == ["abc"]
    assert (found.area[0], found.perimeter[0], found.frame[0]) == (48, 4, 28)
    assert found.inside[0] == 0.9
    assert found.until[0] == 5


def test_promising_pairs_have_strong_contours_around_and_weak_ones_inside():
    tree = grow(row(0.9, 0.1, 0.8, 0.2), ByMeans)
    pairs = promising(tree.pairs, 2)

    # Of a|b c|d e: bc has strong contours on both sides and a weak one inside.
    assert set(pairs.parts[0].tolist()) == {1, 2}
    assert len(pairs) == 2
    assert len(promising(tree.pairs, 0)) == 0


def test_without_pairs_there_are_no_triplets():
    for tree in (grow(row(), ByMeans), grow(row(0.5), ByMeans)):
        assert len(triplets(tree.nodes, tree.pairs, tree.pairs[:0])) == 0


@given(st.integers(0, 10_000))
@settings(max_examples=15)
def test_triplets_agree_with_trying_all(seed):
    random = np.random.default_rng(seed)
    labels = random.permutation(9).reshape(3, 3).repeat(2, 0).repeat(2, 1)
    tree = grow(
        Superpixels.of(labels, random.random((6, 6, 3)), random.random((6, 6))),
        ByMeans,
    )

    found = triplets(tree.nodes, tree.pairs, tree.pairs)

    met = {frozenset(pair) for pair in tree.pairs.parts.tolist()}
    expected = set()
    for three in combinations(range(len(tree.nodes)), 3):
        touching = sum(frozenset(two) in met for two in combinations(three, 2))
        first, second, _ = sorted(tree.nodes.until[list(three)])
        if touching >= 2 and max(three) < first and first != second:
            expected.add(frozenset(three))
    assert {frozenset(parts) for parts in found.parts.tolist()} == expected
    assert len(found) == len(expected)
