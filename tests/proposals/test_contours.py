import numpy as np
import pytest
from skimage.color import rgb2lab

from wsis.proposals.contours import LabContours, derivative, lab_gradient


def step(height: float) -> np.ndarray:
    """Dark on the left, lighter by ``height`` from column 20 on."""
    lab = np.zeros((30, 40, 3))
    lab[:, 20:, 0] = height
    return lab


def test_contours_are_where_colours_change():
    contour = lab_gradient(step(50), sigma=1.0)

    assert contour.shape == (30, 40)
    assert set(contour.argmax(1)) <= {19, 20}
    assert np.allclose(contour[:, :10], 0)


def test_strength_is_proportional_to_the_change():
    assert np.allclose(lab_gradient(step(50)), 5 * lab_gradient(step(10)))


def test_direction_does_not_matter():
    lab = np.random.default_rng(0).random((12, 15, 3))

    assert np.allclose(lab_gradient(lab.transpose(1, 0, 2)), lab_gradient(lab).T)


def test_derivative_of_a_slope_is_its_steepness():
    slope = np.arange(40.0)[None, None].repeat(30, 1) * 3

    assert np.allclose(derivative(slope, 1, 1.0)[..., 8:-8], 3, atol=1e-3)
    assert np.allclose(derivative(slope, 0, 1.0), 0)


def test_lab_contours_are_the_gradients_share_of_a_certain_one():
    image = np.zeros((30, 40, 3), np.uint8)
    image[:, 20:] = 60

    weak = LabContours()(image)

    assert np.allclose(weak, lab_gradient(rgb2lab(image)) / 50)
    image[:, :20], image[:, 20:] = (0, 0, 255), (255, 255, 0)
    assert LabContours(sigma=0.5)(image).max() == 1
    assert LabContours().ledger == frozenset()


def test_lab_contours_refuse_a_negative_sigma():
    with pytest.raises(ValueError, match="sigma must be positive, got -1"):
        LabContours(sigma=-1.0)
