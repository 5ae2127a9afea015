import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco
from scipy import ndimage

from wsis.geometry.masks import encode
from wsis.geometry.polygons import joined, polygons


def mask(*rows):
    return encode(torch.tensor([[one == "#" for one in row] for row in rows])[None])[0]


def drawn(rings, size):
    """The mask that pycocotools draws of outlines."""
    return coco.decode(
        coco.merge(coco.frPyObjects([ring.flatten().tolist() for ring in rings], *size))
    )


def test_an_outline_has_the_corners_of_pixels():
    [ring] = polygons(mask("....", ".##.", ".#..", "...."))

    assert sorted(map(tuple, ring)) == [(1, 1), (1, 3), (2, 2), (2, 3), (3, 1), (3, 2)]


def test_pieces_come_one_by_one_and_holes_stay():
    shape = mask("###...", "#.#..#", "###.#.", "......")

    rings = polygons(shape)

    assert [len(ring) for ring in rings] == [4 + 4 + 2, 4, 4]
    for some in (rings, [joined(rings)]):
        assert (drawn(some, (4, 6)) == coco.decode(shape)).all()


@settings(max_examples=40)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2), st.integers(0, 999))
def test_pycocotools_draws_the_same_mask_again(height, width, smooth, seed):
    noise = np.random.default_rng(seed).random((height, width))
    noise = ndimage.gaussian_filter(noise, smooth)
    dense = (noise >= np.median(noise)).astype(np.uint8)
    rings = polygons(coco.encode(np.asfortranarray(dense)))

    assert (drawn(rings, dense.shape) == dense).all()
    assert (drawn([joined(rings)], dense.shape) == dense).all()


def test_a_tolerance_leaves_corners_out_but_no_piece():
    rows, columns = np.mgrid[:80, :80]
    disc = (rows - 40) ** 2 + (columns - 40) ** 2 < 30**2
    disc[2, 2] = True
    shape = coco.encode(np.asfortranarray(disc.astype(np.uint8)))

    exact, fewer = polygons(shape), polygons(shape, tolerance=1.0)

    assert len(exact) == len(fewer) == 2
    assert len(fewer[0]) < len(exact[0]) / 3
    again = drawn(fewer, disc.shape).astype(bool)
    assert (again & disc).sum() / (again | disc).sum() == pytest.approx(1, abs=0.03)
    assert again[2, 2]


def test_nothing_has_no_outline():
    assert polygons(mask("...", "...")) == []
