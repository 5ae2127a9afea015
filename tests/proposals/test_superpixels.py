import numpy as np
import pytest
from skimage.color import rgb2lab

from wsis.geometry.frame import sampled, shrunk
from wsis.proposals._growing import ByHistograms
from wsis.proposals._superpixels import Superpixels, cut
from wsis.proposals.contours import lab_gradient


@pytest.fixture
def found() -> Superpixels:
    """A light square on the border of a dark and a grey half."""
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, 30:] = 90
    image[10:26, 20:36] = 250
    lab = rgb2lab(image)
    contour = lab_gradient(lab, 1.0)
    return Superpixels.of(cut(contour, 3), lab, contour)


def test_finds_the_regions_and_numbers_them_by_size(found):
    assert len(found) == 3
    assert (np.diff(found.area) >= 0).all()
    assert found.labels[18, 28] == 0
    assert found.area.sum() == 40 * 60
    assert np.abs(found.boxes[0] - [20, 10, 36, 26]).max() <= 1


def test_describes_colours_and_slopes_as_shares(found):
    assert np.allclose(found.colours.sum(1), 1)
    assert np.allclose(found.slopes.sum(1), 1)
    # Lightness tells them apart.
    lightness = found.colours[:, :25].argmax(1)
    assert len(set(lightness.tolist())) == 3


def test_borders_are_counted_in_pixels(found):
    length = np.zeros((3, 3))
    contrast = np.zeros(3)
    # In means of all borders, as region_tree takes them.
    summed = ByHistograms(found).contour
    for (a, b), pixels, total in zip(
        found.edges.tolist(), found.length, summed, strict=True
    ):
        length[a, b] = length[b, a] = pixels
        contrast[a + b - 1] = total / pixels
    right, down = (
        [(found.labels[:, :-1], found.labels[:, 1:])],
        [(found.labels[:-1], found.labels[1:])],
    )
    for first, second in right + down:
        for a, b in zip(first.ravel(), second.ravel(), strict=True):
            length[a, b] -= a != b
            length[b, a] -= a != b
    assert not length.any()
    assert contrast.mean() == pytest.approx(1)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2), (5, 40)])
def test_small_and_plain_images(size):
    labels = cut(np.zeros(size), 100)
    plain = Superpixels.of(labels, np.full((*size, 3), 50.0), np.zeros(size))

    assert plain.labels.shape == size
    assert plain.area.sum() == size[0] * size[1]
    assert np.isfinite(ByHistograms(plain).contour).all()


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

    large = sampled(labels, (4, 3))

    # The middle one of three columns has its centre on the border, hence the right.
    assert large.tolist() == [[0, 1, 1], [0, 1, 1], [2, 3, 3], [2, 3, 3]]


def test_labels_stay_where_they_are_without_a_change_of_size():
    labels = np.arange(12).reshape(3, 4)

    assert (sampled(labels, (3, 4)) == labels).all()
