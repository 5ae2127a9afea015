import numpy as np
import pytest

from wsis.proposals.scaling import enlarged, shrunk


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [((40, 80), 40, (20, 40)), ((80, 30), 100, (80, 30)), ((300, 1), 30, (30, 1))],
)
def test_the_longer_side_is_at_most_the_given_one(size, side, expected):
    assert shrunk(np.zeros((*size, 3), np.uint8), side).shape == (*expected, 3)


def test_an_image_that_is_small_stays_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)

    assert (shrunk(image, 7) == image).all()


def test_each_pixel_takes_the_label_under_its_centre():
    labels = np.array([[0, 1], [2, 3]])

    large = enlarged(labels, (4, 3))

    # The middle one of three columns has its centre on the border, hence the right.
    assert large.tolist() == [[0, 1, 1], [0, 1, 1], [2, 3, 3], [2, 3, 3]]


def test_labels_stay_where_they_are_without_a_change_of_size():
    labels = np.arange(12).reshape(3, 4)

    assert (enlarged(labels, (3, 4)) == labels).all()
