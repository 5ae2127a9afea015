from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from tests.builders import random_masks, random_proposals, rectangles, strips
from wsis.contracts import Proposals, Supervision
from wsis.geometry import masks
from wsis.geometry.masks import (
    areas,
    boxes,
    compact,
    crops,
    dense,
    empty,
    encode,
    encode_runs,
    fitted,
    flip,
    from_masks,
    rles,
    run_ends,
    select,
    to_dense,
    together,
)

drawings = st.tuples(
    st.integers(1, 9),
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.integers(0, 2**31 - 1),
)


def everything(proposals: Proposals) -> torch.Tensor:
    return dense(proposals, torch.arange(len(proposals)))


def test_pixels_of_the_same_masks_become_a_region():
    proposals = strips((0, 4), (2, 6), (8, 9))

    assert proposals.regions.tolist() == [[0, 0, 1, 1, 2, 2, 3, 3, 4, 3]]
    assert proposals.members.int().tolist() == [
        [1, 1, 0, 0, 0],
        [0, 1, 1, 0, 0],
        [0, 0, 0, 0, 1],
    ]


def test_best_come_first_and_ties_stay_in_order():
    image = torch.eye(3, dtype=torch.bool)[:, None]
    score = torch.tensor([0.5, 0.9, 0.5])

    proposals = from_masks(image, objectness=score, source="mine")

    assert everything(proposals)[:, 0].int().tolist() == [
        [0, 1, 0],
        [1, 0, 0],
        [0, 0, 1],
    ]
    assert proposals.objectness.tolist() == [score[1], 0.5, 0.5]


def test_provenance_travels():
    ledger = frozenset({Supervision.BOUNDARIES})

    proposals = from_masks(random_masks(2, (3, 3), 0), source="mine", ledger=ledger)

    assert (proposals.source, proposals.ledger) == ("mine", ledger)


@settings(max_examples=60)
@given(
    st.integers(1, 140),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.integers(0, 2**31 - 1),
)
def test_no_pixel_changes_on_the_way(count, size, seed):
    drawing = random_masks(count, size, seed)

    proposals = from_masks(drawing)

    assert torch.equal(everything(proposals), drawing)
    columns = {tuple(column) for column in drawing.flatten(1).T.tolist()}
    assert proposals.members.shape[1] == len(columns)
    assert proposals.regions.unique().tolist() == list(range(len(columns)))


def test_masks_that_meet_in_the_hash_stay_apart(monkeypatch):
    drawing = random_masks(100, (9, 9), 0)
    expected = from_masks(drawing)
    monkeypatch.setattr(masks, "_ODD", np.uint64(0))

    proposals = from_masks(drawing)

    assert torch.equal(proposals.regions, expected.regions)
    assert torch.equal(proposals.members, expected.members)


def test_a_thousand_masks_of_a_photo_take_little_memory_a_pixel():
    drawing = torch.zeros(1000, 40, 50, dtype=torch.bool)
    for i, mask in enumerate(drawing):
        mask[i % 40 :, i // 40 :] = True

    proposals = from_masks(drawing)

    assert proposals.members.shape == (1000, 40 * 25)
    assert torch.equal(everything(proposals), drawing)


@pytest.mark.parametrize("count", [1, 70])
def test_reads_cocos_encoding(count):
    drawing = random_masks(count, (5, 8), 3)
    encoded = coco.encode(np.asfortranarray(drawing.permute(1, 2, 0).byte().numpy()))

    assert torch.equal(everything(from_masks(encoded)), drawing)
    assert torch.equal(to_dense(encoded), drawing)
    assert to_dense(drawing) is drawing


def test_names_the_empty_mask():
    drawing = torch.ones(80, 2, 2, dtype=torch.bool)
    drawing[70] = False

    with pytest.raises(ValueError, match="mask 70"):
        from_masks(drawing)


def test_refuses_no_masks():
    with pytest.raises(ValueError, match="at least one"):
        from_masks([])


def test_refuses_masks_of_different_sizes():
    tall, wide = (
        coco.encode(np.ones(size, dtype=np.uint8, order="F"))
        for size in ((3, 2), (2, 3))
    )

    with pytest.raises(ValueError, match=r"one size.*\(2, 3\), \(3, 2\)"):
        from_masks([tall, wide])


def test_boxes_are_exclusive_at_the_right_and_the_bottom():
    proposals = rectangles((2, 1, 7, 4), (0, 0, 10, 8), (9, 7, 10, 8))

    assert boxes(proposals).tolist() == [[2, 1, 7, 4], [0, 0, 10, 8], [9, 7, 10, 8]]
    assert areas(proposals).tolist() == [15, 80, 1]


@settings(max_examples=60)
@given(drawings)
def test_boxes_and_areas_are_those_of_the_pixels(drawing):
    proposals = random_proposals(*drawing)
    for box, area, mask in zip(
        boxes(proposals), areas(proposals), everything(proposals), strict=True
    ):
        y, x = mask.nonzero().T
        assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
        assert area == len(y)


def test_work_in_blocks_changes_nothing(monkeypatch):
    proposals = random_proposals(20, (9, 9))
    whole = boxes(proposals), areas(proposals)
    monkeypatch.setattr(masks, "_ENTRIES", 1)

    assert torch.equal(boxes(proposals), whole[0])
    assert torch.equal(areas(proposals), whole[1])


def test_a_crop_is_a_small_picture_of_the_mask():
    drawing = torch.zeros(1, 8, 10, dtype=torch.bool)
    drawing[0, 2:4, 1:9] = True
    drawing[0, 4:6, 1:5] = True

    assert crops(from_masks(drawing), 2).tolist() == [[[1, 1], [1, 0]]]


@settings(max_examples=60)
@given(drawings, st.integers(1, 9))
def test_a_crops_cell_is_the_pixel_under_its_centre(drawing, size):
    proposals = random_proposals(*drawing)
    found = crops(proposals, size)

    for crop, box, mask in zip(
        found, boxes(proposals).int().tolist(), everything(proposals), strict=True
    ):
        x0, y0, x1, y1 = box
        for row in range(size):
            for column in range(size):
                y = y0 + (2 * row + 1) * (y1 - y0) // (2 * size)
                x = x0 + (2 * column + 1) * (x1 - x0) // (2 * size)
                assert crop[row, column] == mask[y, x]


def test_refuses_crops_without_cells():
    with pytest.raises(ValueError, match="at least 1"):
        crops(strips((0, 4)), 0)


@settings(max_examples=30)
@given(drawings, st.randoms(use_true_random=False))
def test_rles_are_those_of_pycocotools(drawing, random):
    proposals = random_proposals(*drawing)
    index = torch.tensor(random.choices(range(len(proposals)), k=5))

    found = rles(proposals, index)

    pixels = dense(proposals, index).permute(1, 2, 0).byte().numpy()
    assert found == coco.encode(np.asfortranarray(pixels))


def test_select_and_flip():
    proposals = strips((0, 4), (6, 10), (0, 10))

    chosen = flip(select(proposals, torch.tensor([2, 0])))

    assert boxes(chosen)[:, ::2].tolist() == [[0, 10], [6, 10]]
    assert chosen.objectness.tolist() == [0, 1]


def test_two_sets_of_one_image_become_one_best_first():
    one, other = strips((0, 4), (2, 8)), strips((0, 4), (6, 10))
    one = replace(one, objectness=torch.tensor([0.9, 0.3]))
    other = replace(
        other,
        objectness=torch.tensor([0.9, 0.5]),
        ledger=frozenset({Supervision.BOUNDARIES}),
    )

    both = together(one, other)

    spans = boxes(both)[:, ::2].tolist()
    assert spans == [[0, 4], [0, 4], [6, 10], [2, 8]]
    assert areas(both).tolist() == [4, 4, 4, 6]
    assert both.objectness.tolist() == pytest.approx([0.9, 0.9, 0.5, 0.3])
    assert both.ledger == {Supervision.BOUNDARIES}
    assert both.regions.unique().tolist() == list(range(both.members.shape[1]))


def test_sets_of_two_images_stay_apart():
    with pytest.raises(ValueError, match=r"one image, got sizes \(1, 10\) and \(8, 1"):
        together(strips((0, 4)), rectangles((0, 0, 4, 4)))


def test_compact_joins_what_no_proposal_splits():
    proposals = select(strips((0, 4), (2, 6), (8, 9)), torch.tensor([0]))

    fewer = compact(proposals)

    assert fewer.regions.tolist() == [[0, 0, 0, 0, 1, 1, 1, 1, 1, 1]]
    assert fewer.members.tolist() == [[True, False]]


def test_compact_drops_regions_without_pixels():
    gap = Proposals(
        regions=torch.tensor([[2, 2, 0]]),
        members=torch.tensor([[False, True, True]]),
        objectness=torch.ones(1),
        source="test",
    )

    assert compact(gap).regions.tolist() == [[0, 0, 1]]
    assert compact(gap).members.tolist() == [[True, False]]


@settings(max_examples=30)
@given(drawings)
def test_compact_leaves_what_is_compact(drawing):
    proposals = random_proposals(*drawing)

    same = compact(proposals)

    assert torch.equal(same.regions, proposals.regions)
    assert torch.equal(same.members, proposals.members)


@pytest.mark.parametrize(
    ("pixels", "ends"),
    [
        ([0, 0, 1, 1, 0, 1], [2, 4, 5, 6]),
        ([1, 1, 0, 0, 0, 0], [0, 2]),
        ([1, 1, 1, 1, 1, 1], [0, 6]),
        ([0, 0, 0, 0, 0, 1], [5, 6]),
        ([0, 1, 0, 1, 0, 1], [1, 2, 3, 4, 5, 6]),
    ],
)
def test_runs_begin_and_end_at_pixels_by_column(pixels, ends):
    size = 2, 3
    mask = np.asfortranarray(np.array(pixels, np.uint8).reshape(3, 2).T)
    encoded = coco.encode(mask)

    assert encode_runs(np.array(ends), size) == encoded
    assert run_ends(encoded).tolist() == ends
    text = {**encoded, "counts": encoded["counts"].decode()}
    assert run_ends(text).tolist() == ends


@settings(max_examples=60)
@given(st.lists(st.integers(1, 100_000), min_size=2, max_size=12))
def test_runs_of_any_length_are_read_back(lengths):
    """Lengths of one to four digits, rising and falling by any amount."""
    ends = np.cumsum(lengths[: len(lengths) // 2 * 2])
    size = 1, int(ends[-1]) + lengths[-1]

    assert run_ends(encode_runs(ends, size)).tolist() == ends.tolist()


def test_dense_masks_are_encoded_as_pycocotools_does():
    drawing = random_masks(5, (7, 4), 2)

    pixels = np.asfortranarray(drawing.permute(1, 2, 0).byte().numpy())
    assert encode(drawing) == coco.encode(pixels)
    assert encode(drawing[:0]) == []


def test_no_proposals_are_one_region():
    ledger = frozenset({Supervision.BOUNDARIES})

    none = empty((2, 3), source="mine", ledger=ledger)

    assert none.regions.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert none.members.shape == (0, 1)
    assert none.objectness.shape == (0,)
    assert (none.source, none.ledger) == ("mine", ledger)
    assert (none.regions.dtype, none.members.dtype) == (torch.long, torch.bool)
    assert empty((2, 3)).source == "none"
    assert (boxes(none).shape, areas(none).shape) == ((0, 4), (0,))
    assert rles(none, torch.tensor([], dtype=torch.long)) == []
    assert compact(none).members.shape == (0, 1)


def test_masks_without_scores_have_none_and_a_name():
    proposals = from_masks(random_masks(3, (4, 5), 0))

    assert proposals.objectness.tolist() == [0, 0, 0]
    assert proposals.source == "masks"
    assert proposals.ledger == frozenset()


def test_single_precision_areas_and_boxes():
    proposals = random_proposals(4, (9, 7))

    assert areas(proposals).dtype == boxes(proposals).dtype == torch.float32
    assert crops(proposals, 2).dtype == torch.float32
    assert crops(proposals).shape == (4, 7, 7)
    short = replace(proposals, regions=proposals.regions.int())
    assert boxes(short).equal(boxes(proposals))
    assert crops(short, 3).equal(crops(proposals, 3))
    assert everything(short).equal(everything(proposals))
    assert rles(short, torch.tensor([2])) == rles(proposals, torch.tensor([2]))
    assert areas(short).equal(areas(proposals))


def test_rows_are_taken_some_at_a_time(monkeypatch):
    members = torch.zeros(5, 3, dtype=torch.bool)

    def rows(entries, some=members):
        monkeypatch.setattr(masks, "_ENTRIES", entries)
        return [len(block) for block in masks._rows(some)]

    assert rows(6) == [2, 2, 1]
    assert rows(8) == [2, 2, 1]
    assert rows(1) == [1] * 5
    assert rows(3, members[:, :1]) == [3, 2]
    assert rows(4, members[:, :0]) == [4, 1]
    assert rows(6, members[:0]) in ([], [0])


def test_encoded_masks_are_decoded_some_at_a_time(monkeypatch):
    drawing = random_masks(130, (3, 4), 1)
    encoded, taken = encode(drawing), []

    def counted(some):
        taken.append(len(some))
        return to_dense(some)

    monkeypatch.setattr(masks, "to_dense", counted)

    assert torch.equal(everything(from_masks(encoded)), drawing)
    assert taken == [64, 64, 2]


def test_compact_numbers_regions_by_their_first_pixel():
    proposals = Proposals(
        regions=torch.tensor([[3, 1, 3, 0], [2, 2, 1, 0]]),
        members=torch.tensor([[True, False, True, False], [False, True, True, False]]),
        objectness=torch.tensor([0.5, 0.25]),
        source="test",
    )

    found = compact(proposals)

    assert found.regions.tolist() == [[0, 1, 0, 2], [3, 3, 1, 2]]
    assert found.members.tolist() == [
        [False, False, True, True],
        [False, True, False, True],
    ]
    assert found.objectness.tolist() == [0.5, 0.25]


def test_names_all_that_is_wrong_with_crops_and_masks():
    proposals = strips((0, 4))

    with pytest.raises(ValueError, match=r"^size must be at least 1, got 0$"):
        crops(proposals, 0)
    assert crops(proposals, 1).tolist() == [[[1.0]]]
    drawing = torch.zeros(1, 2, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"^expected masks with pixels, mask 0 has"):
        from_masks(drawing)


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        ((480, 640), 320, (240, 320)),
        ((640, 480), 320, (320, 240)),
        ((10, 1000), 50, (1, 50)),
        ((1000, 10), 50, (50, 1)),
        ((3, 7), 10, (4, 10)),
    ],
)
def test_the_longer_side_becomes_so_long(size, side, expected):
    assert fitted(size, side) == expected
