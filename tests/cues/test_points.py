import pytest
import torch

from tests.builders import points, rectangles, tagged
from wsis.contracts import Supervision
from wsis.cues.points import PointCues
from wsis.geometry.overlap import overlaps

PROPOSALS = rectangles((0, 0, 4, 8), (0, 0, 5, 8), (6, 0, 9, 8))
MAP = torch.zeros(3, 4, 5)


def label(image):
    labeller = PointCues().fit([], torch.zeros(0, 2).bool(), torch.Generator())
    return labeller(image, MAP, PROPOSALS, overlaps(PROPOSALS))


def test_given_points_take_the_place_of_peaks():
    image = tagged(True, True, points=points((1, 1, 2), (7, 7, 1)))

    assert label(image).tolist() == [[0, 0, 1], [0, 0, 1], [0, 2, 0]]


def test_images_that_nobody_pointed_at_are_left_without_labels():
    assert not label(tagged(True, True)).any()
    assert not label(tagged(True, True, points=points())).any()


def test_a_point_outside_names_its_photo():
    with pytest.raises(ValueError, match=r"black\.png: .*10 × 8 pixels"):
        label(tagged(True, True, points=points((3, 8, 1))))


def test_points_are_stated():
    assert PointCues().ledger == frozenset({Supervision.TAGS, Supervision.POINTS})


@pytest.mark.parametrize("wrong", [{"agreement": 1.0}, {"near": 0.0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PointCues(**wrong)
