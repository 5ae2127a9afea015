import numpy as np
import pytest
from skimage.color import rgb2lab

from wsis.proposals.contours import lab_gradient
from wsis.proposals.superpixels import superpixels


@pytest.fixture
def three() -> np.ndarray:
    """A light square on the border of a dark and a grey half."""
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, 30:] = 90
    image[10:26, 20:36] = 250
    return rgb2lab(image)


def test_finds_the_regions_and_numbers_them_by_size(three):
    found = superpixels(three, lab_gradient(three, 1.0), 3)

    assert len(found) == 3
    assert (np.diff(found.area) >= 0).all()
    assert found.labels[18, 28] == 0
    assert found.area.sum() == 40 * 60
    assert np.abs(found.boxes[0] - [20, 10, 36, 26]).max() <= 1


def test_describes_colours_and_slopes_as_shares(three):
    found = superpixels(three, lab_gradient(three, 1.0), 3)

    assert np.allclose(found.colour.sum(1), 1)
    assert np.allclose(found.texture.sum(1), 1)
    # Lightness tells them apart.
    lightness = found.colour[:, :25].argmax(1)
    assert len(set(lightness.tolist())) == 3


def test_borders_are_counted_in_pixels(three):
    found = superpixels(three, lab_gradient(three, 1.0), 3)

    length = np.zeros((3, 3))
    contrast = np.zeros(3)
    for (a, b), pixels, total in zip(
        found.edges.tolist(), found.length, found.contrast, strict=True
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
    plain = superpixels(np.full((*size, 3), 50.0), np.zeros(size), 100)

    assert plain.labels.shape == size
    assert plain.area.sum() == size[0] * size[1]
    assert np.isfinite(plain.contrast).all()
