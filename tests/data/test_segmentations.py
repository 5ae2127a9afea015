import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as rle

from wsis.data.segmentations import check_segmentation, to_rle

SIZE = (4, 6)


def encoded(mask):
    return rle.encode(np.asfortranarray(mask, np.uint8))


def runs(mask):
    """Run lengths of a mask, counted one pixel at a time, background first."""
    counts, value = [0], 0
    for pixel in mask.T.flatten().tolist():
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return counts


def test_polygons_cover_what_they_enclose():
    two_boxes = [[0, 0, 2, 0, 2, 4, 0, 4], [4, 0, 6, 0, 6, 2, 4, 2]]

    check_segmentation(two_boxes, SIZE)

    expected = np.zeros(SIZE, np.uint8)
    expected[:, :2] = expected[:2, 4:] = 1
    assert np.array_equal(rle.decode(to_rle(two_boxes, SIZE)), expected)


@settings(max_examples=60)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(
        lambda size: arrays(bool, size)
    )
)
def test_all_ways_to_write_run_lengths_give_the_mask(mask):
    text = encoded(mask)
    ways = (
        {"size": list(mask.shape), "counts": text["counts"]},
        {"size": list(mask.shape), "counts": text["counts"].decode()},
        {"size": list(mask.shape), "counts": runs(mask)},
    )

    for way in ways:
        check_segmentation(way, mask.shape)
        assert np.array_equal(rle.decode(to_rle(way, mask.shape)), mask)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        (None, "expected polygons or run lengths"),
        ({"counts": [24]}, "expected polygons or run lengths"),
        ([], "at least one polygon"),
        ([[0, 0, 6, 4]], "at least three points"),
        ([[0, 0, 6, 4, 1, 1, 1]], "at least three points"),
        ([[0, 0, 6, 4, 1, float("nan")]], "at least three points"),
        ([[0, 0, 6, 4, 1, 1e30]], "at least three points"),
        ([[0, 0, 6, 4, 1, "2"]], "at least three points"),
        ([0, 0, 6, 0, 6, 4], "at least three points"),
        ({"size": [6, 4], "counts": [24]}, r"of size \[4, 6\], got \[6, 4\]"),
        ({"size": 24, "counts": [24]}, r"of size \[4, 6\], got 24"),
        ({"size": [4, 6], "counts": [20]}, "add up to 4 x 6 pixels, got 20"),
        ({"size": [4, 6], "counts": [-1, 25]}, "run lengths as counts"),
        ({"size": [4, 6], "counts": []}, "run lengths as counts"),
        ({"size": [4, 6], "counts": 24}, "run lengths as counts"),
        ({"size": [4, 6], "counts": ""}, "run lengths as counts"),
        ({"size": [4, 6], "counts": "é"}, "run lengths as counts"),
        ({"size": [4, 6], "counts": "oooooooooooo1"}, "run lengths as counts"),
        ({"size": [4, 6], "counts": "11"}, "add up to 4 x 6 pixels, got 2"),
    ],
)
def test_what_is_no_mask_is_refused(segmentation, message):
    with pytest.raises(ValueError, match=message):
        check_segmentation(segmentation, SIZE)
