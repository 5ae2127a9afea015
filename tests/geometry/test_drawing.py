import numpy as np
import pytest
from pycocotools import mask as rle
from skimage.color import deltaE_ciede2000, rgb2lab

from tests.builders import points
from tests.evaluation.drawing import found
from wsis.geometry.drawing import (
    PALETTE,
    boundaries,
    legible,
    overlay,
    pointed,
    resized,
)


def square(start, stop, size=(60, 80)):
    mask = np.zeros(size, np.uint8, order="F")
    mask[start:stop, start:stop] = 1
    return rle.encode(mask)


def grey(height=60, width=80):
    return np.full((height, width, 3), 100, np.uint8)


def test_a_mask_is_tinted_and_outlined_and_the_rest_left_alone():
    drawn = overlay(grey(), [square(10, 30)])

    tint = 0.55 * 100 + 0.45 * np.array(PALETTE[0])
    assert drawn[20, 20].tolist() == tint.round().tolist()
    assert drawn[10, 20].tolist() == list(PALETTE[0])
    assert (drawn[:, 40:] == 100).all()
    assert (drawn[40:] == 100).all()


def test_the_first_mask_lies_on_top():
    drawn = overlay(grey(), [square(10, 30), square(5, 50)])

    assert drawn[10, 20].tolist() == list(PALETTE[0])
    assert drawn[5, 20].tolist() == list(PALETTE[1])


def test_what_a_mask_grew_from_is_a_white_line_over_all():
    drawn = overlay(grey(), [square(10, 40)], inner=[square(20, 30)])

    assert drawn[20, 25].tolist() == [255, 255, 255]
    assert drawn[21, 25].tolist() == [0, 0, 0]
    assert (drawn[25, 25] == overlay(grey(), [square(10, 40)])[25, 25]).all()
    with pytest.raises(ValueError, match="of the photo's size"):
        overlay(grey(), [], inner=[square(1, 3, size=(6, 6))])


def test_captions_stand_at_their_masks_and_do_not_cover_each_other():
    masks = [square(24, 50), square(24, 49)]
    plain = overlay(grey(), masks, opacity=0.0)
    written = overlay(grey(), masks, ["cat 0.9", "dog 0.8"], opacity=0.0)

    rows, columns = np.nonzero((plain != written).any(2))
    assert rows.min() >= 4
    assert rows.max() < 50
    assert columns.min() == 24
    assert (written[:24] == PALETTE[0]).all(2).sum() > 100
    assert (written[24:] == PALETTE[1]).all(2).sum() > 100


def test_captions_stay_inside_a_photo_too_small_for_them():
    tiny = grey(6, 6)
    drawn = overlay(tiny, [square(0, 6, size=(6, 6))], ["a very long caption"])

    assert drawn.shape == tiny.shape


def test_the_result_is_resized_with_its_masks():
    drawn = overlay(grey(), [square(10, 30)], side=160)

    assert drawn.shape == (120, 160, 3)
    assert drawn[20, 40].tolist() == list(PALETTE[0])
    assert (drawn[:, 62:] == 100).all()
    assert resized(grey(), 8).shape == (6, 8, 3)
    assert resized(grey(1, 100), 10).shape == (1, 10, 3)


def test_an_empty_mask_and_no_masks_leave_the_photo_as_it_is():
    empty = rle.encode(np.zeros((60, 80), np.uint8, order="F"))

    assert (overlay(grey(), []) == 100).all()
    assert (overlay(grey(), [empty]) == 100).all()


def test_boundaries_run_where_regions_meet():
    regions = np.zeros((4, 6), np.int64)
    regions[:, 3:] = 1
    drawn = boundaries(grey(4, 6), regions)

    assert ((drawn == 255).all(2) == (np.arange(6) == 2)[None].repeat(4, 0)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: overlay(grey(), [square(0, 5, size=(6, 6))]), "mask 0 is of size"),
        (lambda: overlay(grey(), [square(0, 5)], ["a", "b"]), "of 1 masks, got 2"),
        (lambda: overlay(grey(), [], opacity=2.0), "opacity must be"),
        (lambda: resized(grey(), 0), "side must be positive"),
        (lambda: boundaries(grey(), np.zeros((2, 2), int)), "photo's size"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_points_are_dots_in_their_classes_colours_where_they_are():
    photo = grey()

    drawn = pointed(photo, points((20.0, 30.0, 1), (60.0, 10.0, 2)))

    assert drawn[30, 20].tolist() == list(PALETTE[1])
    assert drawn[10, 60].tolist() == list(PALETTE[2])
    assert drawn[30, 24].tolist() == [0, 0, 0]
    assert drawn[10, 64].tolist() == [255, 255, 255]
    assert (drawn[45:] == 100).all()
    assert (photo == 100).all()


def test_points_keep_their_place_on_smaller_pictures():
    drawn = pointed(grey(), points((60.0, 40.0, 1)), side=40)

    assert drawn[20, 30].tolist() == list(PALETTE[1])
    assert pointed(grey(), points(), side=40).shape == (30, 40, 3)


@pytest.mark.parametrize(
    ("scores", "count"),
    [
        ([], 0),
        ([0.04, 0.02, 0.012, 0.0119], 3),
        ([0.9, 0.1], 1),
        ([0.5] * 9, 5),
        ([0.0, 0.0], 2),
    ],
)
def test_legible_predictions_are_near_the_best_and_few(scores, count):
    assert legible(found(*((score, 1, 0, 4) for score in scores))) == count


# Viénot et al., "Digital video colourmaps for checking the legibility of displays by
# dichromats", 1999: linear RGB as it is seen without the cones for red, or for green.
BLIND = (
    ((0.11238, 0.88762, 0), (0.11238, 0.88762, 0), (0.00401, -0.00401, 1)),
    ((0.29275, 0.70725, 0), (0.29275, 0.70725, 0), (-0.02234, 0.02234, 1)),
)


@pytest.mark.parametrize("seen", [np.eye(3), *map(np.array, BLIND)])
def test_twenty_colours_are_told_apart_by_the_colour_blind(seen):
    linear = (np.array(PALETTE) / 255) ** 2.2 @ seen.T
    lab = rgb2lab(linear.clip(0, 1) ** (1 / 2.2))
    apart = deltaE_ciede2000(lab[:, None], lab[None]) + 100 * np.eye(len(lab))

    assert len(PALETTE) == 20
    assert apart.min() > 10
