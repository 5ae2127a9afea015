from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from tests.builders import random_masks, random_proposals, rectangles, strips
from wsis.geometry import overlap as module
from wsis.geometry.masks import boxes, empty, from_masks, rles
from wsis.geometry.overlap import (
    Shared,
    box_overlaps,
    cross_iou,
    cross_shared,
    overlaps,
    rle_shared,
)


def counted(masks: torch.Tensor, others: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """IoU and containment, pixel by pixel, rounded to float32 once."""
    iou = np.zeros((len(masks), len(others)), np.float32)
    containment = iou.copy()
    for i, a in enumerate(masks.numpy()):
        for j, b in enumerate(others.numpy()):
            iou[i, j] = (a & b).sum() / (a | b).sum()
            containment[i, j] = (a & b).sum() / b.sum()
    return iou, containment


def shapes() -> torch.Tensor:
    """Full, nested twice, a copy, a pixel, apart, and crossing masks."""
    masks = torch.zeros(7, 9, 11, dtype=torch.bool)
    masks[0] = True
    masks[1, 1:8, 1:8] = True
    masks[2, 2:5, 2:5] = True
    masks[3, 2:5, 2:5] = True
    masks[4, 3, 3] = True
    masks[5, :, 9:] = True
    masks[6, 4, :] = True
    return masks


def test_nested_and_disjoint_strips():
    found = overlaps(strips((0, 4), (0, 5), (6, 10)))

    assert found.area.tolist() == [4, 5, 4]
    assert torch.equal(found.iou, torch.tensor([[1, 0.8, 0], [0.8, 1, 0], [0, 0, 1]]))
    # The first lies inside the second, of which it is four fifths.
    assert found.containment[1, 0] == 1
    assert found.containment[0, 1] == torch.tensor(0.8)


def test_every_relation_is_that_of_the_pixels():
    found = overlaps(from_masks(shapes()))

    iou, containment = counted(shapes(), shapes())
    assert np.array_equal(found.iou.numpy(), iou)
    assert np.array_equal(found.containment.numpy(), containment)
    assert found.iou[2, 3] == 1


@settings(max_examples=60)
@given(
    st.integers(1, 12),
    st.tuples(st.integers(1, 40), st.integers(1, 70)),
    st.integers(0, 2**31 - 1),
)
@example(12, (40, 70), 0)
def test_matches_the_plain_loop_to_the_last_digit(count, size, seed):
    masks = random_masks(count, size, seed)

    found = overlaps(from_masks(masks))

    iou, containment = counted(masks, masks)
    assert np.array_equal(found.iou.numpy(), iou)
    assert np.array_equal(found.containment.numpy(), containment)
    assert found.area.tolist() == masks.sum((1, 2)).tolist()


def test_images_beyond_the_exact_range_of_float32():
    width = 2**24 + 2
    found = overlaps(strips((0, width), (0, width - 1), (0, 3), width=width))

    expected = np.float32(3 / (width - 1))
    assert found.iou[2, 1] == expected
    assert found.containment[2, 1] == expected
    assert found.iou[0, 1] == np.float32((width - 1) / width)


def test_reduced_precision_elsewhere_changes_nothing():
    proposals = rectangles((0, 0, 701, 997), (0, 0, 701, 996), size=(997, 701))
    exact = overlaps(proposals).iou

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu"):
            found = overlaps(proposals).iou
    finally:
        torch.set_float32_matmul_precision(before)

    assert torch.equal(found, exact)
    assert exact[0, 1] == np.float32(996 / 997)


def test_regions_in_pieces_change_nothing(monkeypatch):
    proposals = random_proposals(9, (40, 70))
    whole = overlaps(proposals).iou
    monkeypatch.setattr(module, "_NEAR", 3)

    assert torch.equal(overlaps(proposals).iou, whole)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(*[st.integers(0, 9), st.integers(1, 9)] * 2), min_size=1, max_size=8
    )
)
def test_boxes_of_whole_pixels_overlap_as_masks_do(spans):
    corners = [(x, y, x + w, y + h) for x, w, y, h in spans]
    found = box_overlaps(torch.tensor(corners).float())

    expected = overlaps(rectangles(*corners, size=(20, 20)))
    assert torch.equal(found.iou, expected.iou)
    assert torch.equal(found.containment, expected.containment)
    assert torch.equal(found.area, expected.area)


def test_refuses_empty_boxes():
    with pytest.raises(ValueError, match="box 1 is"):
        box_overlaps(torch.tensor([[0.0, 0, 2, 2], [3, 1, 3, 5]]))


@settings(max_examples=40)
@given(st.integers(1, 9), st.integers(0, 5), st.integers(0, 2**31 - 1))
def test_cross_iou_is_that_of_pycocotools(count, others, seed):
    proposals = random_proposals(count, (9, 7), seed)
    masks = random_masks(others, (9, 7), seed + 1)

    found = cross_iou(proposals, masks)

    assert found.shape == (count, others)
    if others:
        encoded = coco.encode(np.asfortranarray(masks.permute(1, 2, 0).byte().numpy()))
        mine = rles(proposals, torch.arange(count))
        assert np.array_equal(found.numpy(), coco.iou(mine, encoded, [0] * others))
        assert torch.equal(cross_iou(proposals, encoded), found)


def test_an_empty_mask_is_overlapped_by_none():
    found = cross_iou(strips((0, 4)), torch.zeros(1, 1, 10, dtype=torch.bool))

    assert found.tolist() == [[0]]


def test_refuses_masks_of_another_size():
    with pytest.raises(ValueError, match=r"\(1, 10\), got \(1, 9\)"):
        cross_iou(strips((0, 4)), torch.ones(1, 1, 9, dtype=torch.bool))


def test_boxes_hold_their_masks():
    proposals = random_proposals(9, (9, 7))

    mine, around = overlaps(proposals), box_overlaps(boxes(proposals))

    assert (around.area >= mine.area).all()


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 130])
def test_shared_pixels_are_kept_once_a_pair_and_tell_all(count, monkeypatch):
    masks = random_masks(count, (6, 7), 0)
    proposals = from_masks(masks) if count else empty((6, 7))

    shared = Shared.of(proposals)

    assert len(shared) == count
    # Half of all pairs, and what blocks of 64 rows keep twice; caches hold them so.
    ends = [min(start + 64, count) for start in range(0, count, 64)]
    assert len(shared.pixels) == sum((e - i * 64) * e for i, e in enumerate(ends))
    iou, containment = counted(masks, masks)
    found = shared.overlaps("cpu")
    assert np.array_equal(found.iou.numpy(), iou)
    assert np.array_equal(found.containment.numpy(), containment)
    assert found.area.tolist() == masks.sum((1, 2)).tolist()


def test_areas_whose_sum_float32_has_not_give_the_exact_iou():
    """Beyond 2²³ pixels each: a + b would be rounded before the rest is subtracted."""
    whole, part = 2**24 - 1, 2**24 - 2
    shared = Shared(
        torch.tensor([whole, part - 1, part - 1, part], dtype=torch.int32),
        torch.tensor([whole, part], dtype=torch.int32),
    )

    found = shared.overlaps()

    assert found.iou[0, 1] == np.float32((part - 1) / (whole + 1))
    assert found.containment[0, 1] == np.float32((part - 1) / part)
    assert found.area.dtype == found.iou.dtype == torch.float32


@pytest.mark.parametrize(
    ("pixels", "precision", "expected"),
    [
        (100, "highest", torch.float32),
        (2**24, "highest", torch.float32),
        (2**24 + 1, "highest", torch.float64),
        (100, "high", torch.float64),
        (100, "medium", torch.float64),
    ],
)
def test_products_are_in_the_smallest_numbers_that_are_exact(
    pixels, precision, expected
):
    proposals = empty((1, pixels))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        assert module._number(proposals) == expected
    finally:
        torch.set_float32_matmul_precision(before)


def neighbourhoods(regions):
    return [some.tolist() for some in module._neighbourhoods(regions)]


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_regions_come_by_the_tile_of_their_last_pixel(dtype):
    """Tiles of 32 pixels, row by row; of one tile by number."""
    regions = torch.zeros(70, 100, dtype=dtype)
    places = [
        *((69, 99), (31, 95), (0, 32), (5, 31), (32, 31), (31, 96), (64, 0)),
        *((63, 63), (0, 64), (31, 31)),
    ]
    for number, (y, x) in enumerate(places, start=1):
        regions[y, x] = number
    # Region 11 has pixels in two tiles and counts for the last.
    regions[0, 0] = regions[40, 40] = 11

    assert neighbourhoods(regions) == [[4, 10, 3, 2, 9, 6, 5, 8, 11, 7, 0, 1]]


def test_regions_are_taken_a_thousand_at_a_time():
    regions = torch.arange(40 * 40).view(40, 40)

    assert [len(some) for some in neighbourhoods(regions)] == [1024, 576]


def test_doubled_boxes_overlap_in_single_precision():
    boxes = torch.tensor([[0, 0, 2, 2], [1, 1, 4, 3]]).double()

    found = box_overlaps(boxes)

    assert {found.iou.dtype, found.containment.dtype, found.area.dtype} == {
        torch.float32
    }
    assert found.area.tolist() == [4, 6]
    assert found.iou[0, 1] == np.float32(1 / 9)


def test_encoded_masks_share_whole_pixels():
    """A share of 1/49, times 49, is not 1 before it is rounded."""
    masks = from_masks(torch.ones(1, 7, 7, dtype=torch.bool))
    pixel = torch.zeros(2, 7, 7, dtype=torch.bool)
    pixel[0, 3, 4] = pixel[1, :, 1:5] = True
    one = rles(masks, torch.tensor([0]))
    two = rles(from_masks(pixel), torch.arange(2))

    assert rle_shared(one, two, np.array([49.0])).tolist() == [[1, 28]]
    assert rle_shared(two, one, np.array([1.0, 28])).tolist() == [[1], [28]]
    assert rle_shared(two, two, np.array([1.0, 28])).tolist() == [[1, 1], [1, 28]]
    for masks, others, shape in (
        (one, [], (1, 0)),
        ([], two, (0, 2)),
        ([], [], (0, 0)),
    ):
        found = rle_shared(masks, others, np.ones(len(masks)))
        assert found.shape == shape


def test_members_become_numbers_some_regions_at_a_time(monkeypatch):
    proposals = random_proposals(3, (9, 7))
    masks = random_masks(2, (9, 7), 5)
    whole = cross_shared(proposals, masks)
    steps, split = [], torch.Tensor.split

    def spied(self, size, dim=0):
        steps.append(size)
        return split(self, size, dim)

    monkeypatch.setattr(torch.Tensor, "split", spied)
    cross_shared(proposals, masks)
    # Double numbers of these take 256 MiB.
    assert steps == [2**25 // 3] * 2
    steps.clear()
    for count, entries, step in ((3, 6, 2), (3, 7, 2), (3, 1, 1), (1, 6, 6), (0, 6, 6)):
        monkeypatch.setattr(module, "_ENTRIES", entries)
        some = replace(
            proposals,
            members=proposals.members[:count],
            objectness=proposals.objectness[:count],
        )
        found = cross_shared(some, masks)
        assert steps == [step, step]
        assert found[0].equal(whole[0][:count])
        assert found[1].equal(whole[1][:count])
        assert found[2].equal(whole[2])
        steps.clear()


def test_iou_takes_the_place_of_the_union(monkeypatch):
    """Fresh memory for a thousand proposals costs more than the arithmetic."""
    places, div = [], torch.div

    def spied(one, other, *, out):
        places.append(out is other)
        return div(one, other, out=out)

    monkeypatch.setattr(torch, "div", spied)
    overlaps(random_proposals(3))

    assert places == [True]
