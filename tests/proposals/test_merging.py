import numpy as np
import pytest

from wsis.proposals.contours import lab_gradient
from wsis.proposals.merging import Similarity, members
from wsis.proposals.superpixels import Superpixels, superpixels


def row(*lightness: int, contrast: tuple[float, ...] | None = None) -> Superpixels:
    """Square superpixels side by side, each of one of five grey values."""
    count = len(lightness)
    return Superpixels(
        labels=np.arange(count)[None].repeat(4, 0).repeat(4, 1),
        area=np.full(count, 16.0),
        boxes=np.array([[4.0 * i, 0, 4 * i + 4, 4] for i in range(count)]),
        colour=np.eye(5)[list(lightness)],
        texture=np.ones((count, 1)),
        edges=np.arange(count - 1)[:, None] + [0, 1],
        length=np.full(count - 1, 4.0),
        contrast=4.0 * np.array(contrast or [1.0] * (count - 1)),
    )


def named(nodes: np.ndarray) -> list[str]:
    return ["".join("abcdef"[i] for i in np.flatnonzero(node)) for node in nodes]


def test_like_colours_merge_first():
    nodes = members(row(0, 1, 1, 2), Similarity(colour=1.0))

    assert named(nodes)[2] == "bc"
    assert named(nodes)[-4:] == ["d", "c", "b", "a"]
    assert named(nodes)[0] == "abcd"


def test_weak_contours_merge_first():
    contrast = (2.0, 2.0, 0.5)

    nodes = members(row(0, 0, 0, 0, contrast=contrast), Similarity(contour=1.0))

    assert named(nodes)[2] == "cd"


def test_without_weights_small_ones_merge_first_and_ties_go_by_number():
    nodes = members(row(0, 1, 2, 3), Similarity())

    assert named(nodes)[:3] == ["abcd", "cd", "ab"]


def test_one_superpixel_is_the_whole_tree():
    assert named(members(row(0), Similarity())) == ["a"]


@pytest.mark.parametrize(
    "similarity",
    [Similarity(), Similarity(colour=1.0), Similarity(texture=1.0, contour=0.5)],
)
def test_nodes_are_a_tree_of_connected_regions(similarity):
    lab = np.random.default_rng(0).random((30, 30, 3)) * 100
    base = superpixels(lab, lab_gradient(lab, 2.0), 30)

    nodes = members(base, similarity)

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
