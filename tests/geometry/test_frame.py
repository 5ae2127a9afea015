import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import random_masks, random_proposals
from wsis._support.files import digest
from wsis.geometry import frame as frames
from wsis.geometry.frame import (
    LONGEST,
    Framed,
    enlarged,
    frame,
    framed,
    photo_key,
    sampled,
    sampled_mask,
)
from wsis.geometry.masks import dense, encode


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_a_photo_within_the_bound_is_its_own_frame():
    photo = noise(7, LONGEST)

    assert frame((7, LONGEST)) == (7, LONGEST)
    assert framed(photo) is photo
    assert photo_key(photo) == digest(photo)
    assert Framed.of(photo).pixels is photo


def test_a_larger_photo_is_shrunk_and_known_by_all_its_pixels():
    photo = noise(30, LONGEST + 1)
    other = photo.copy()
    other[0, 0, 0] ^= 1
    once = Framed.of(photo)

    assert frame((9000, 12000)) == (LONGEST * 3 // 4, LONGEST)
    assert frame((3, 12000)) == (1, LONGEST)
    assert framed(photo).shape == (30, LONGEST, 3)
    assert photo_key(photo) == f"{digest(photo)}-{LONGEST}" != photo_key(other)
    assert (once.key, once.size) == (photo_key(photo), (30, LONGEST + 1))
    assert (once() == framed(photo)).all()
    assert once() is not once.pixels


def test_each_pixel_takes_the_value_under_its_centre():
    # Centres of five pixels over two lie at 0.2, 0.6, 1.0, 1.4 and 1.8.
    assert sampled(np.array([[1, 2]]), (1, 5)).tolist() == [[1, 1, 2, 2, 2]]
    assert sampled(np.array([[1, 2, 3, 4, 5]]), (1, 2)).tolist() == [[2, 4]]


sides = st.integers(1, 30)


@given(sides, sides, sides, sides, st.integers(0, 2**31 - 1))
def test_masks_by_run_lengths_are_those_of_the_pixels(h, w, height, width, seed):
    masks = random_masks(3, (h, w), seed)
    pixels = np.stack([sampled(mask.numpy(), (height, width)) for mask in masks])

    found = [sampled_mask(one, (height, width)) for one in encode(masks)]

    assert found == encode(torch.from_numpy(pixels))


def test_an_empty_and_a_full_mask_stay_so():
    masks = encode(torch.tensor([[[False] * 3] * 2, [[True] * 3] * 2]))

    empty, full = (sampled_mask(one, (5, 7)) for one in masks)

    assert empty == encode(torch.zeros(1, 5, 7, dtype=torch.bool))[0]
    assert full == encode(torch.ones(1, 5, 7, dtype=torch.bool))[0]


def test_proposals_in_a_frame_are_enlarged_to_the_photo(monkeypatch):
    monkeypatch.setattr(frames, "LONGEST", 12)
    proposals = random_proposals(5, (9, 12))

    large = enlarged(proposals, (18, 24))

    every = torch.arange(5)
    expected = dense(proposals, every).repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert dense(large, every).equal(expected)
    assert enlarged(proposals, (9, 12)) is proposals
    # Proposals of neither size are an error of whoever compares them.
    assert enlarged(proposals, (40, 24)) is proposals


@pytest.mark.parametrize("seed", range(3))
def test_masks_that_go_there_and_back_are_the_same(seed):
    masks = encode(random_masks(4, (9, 12), seed))

    for mask in masks:
        assert sampled_mask(sampled_mask(mask, (27, 36)), (9, 12)) == mask
