"""Contours from colours: how likely each pixel lies on an object's contour."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import ndimage
from skimage.color import rgb2lab

from wsis._support.checks import positive
from wsis.contracts import Image, Ledger

_STRONGEST = 50.0
"""Just noticeable differences a pixel that count as a certain contour: the unit of the
weights in grouping.py, chosen with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabContours:
    """The colour gradient in CIE Lab: no learning, no labels.

    Args:
        sigma: of the Gaussian whose derivatives are taken, in pixels; positive.

    Raises:
        ValueError: if ``sigma`` is not positive.
    """

    version = 1

    sigma: float = 1.5

    def __post_init__(self) -> None:
        positive("sigma", self.sigma)

    @property
    def ledger(self) -> Ledger:
        """Empty: nobody labelled anything."""
        return frozenset()

    def __call__(self, image: Image) -> Float[np.ndarray, "H W"]:
        """Return the gradient's length as a share of a certain contour's, at most 1."""
        return self.of_lab(rgb2lab(image))

    def of_lab(self, lab: Float[np.ndarray, "H W 3"]) -> Float[np.ndarray, "H W"]:
        """Return what the call does, of the image in CIE Lab."""
        return (lab_gradient(lab, self.sigma) / _STRONGEST).clip(0, 1)


def lab_gradient(
    lab: Float[np.ndarray, "H W 3"], sigma: float = 1.5
) -> Float[np.ndarray, "H W"]:
    """Return the length of the colour gradient in just noticeable differences a pixel.

    Args:
        lab: the image in CIE Lab, at the size at which contours are wanted.
        sigma: of the Gaussian whose derivatives are taken, in pixels; positive.
    """
    slopes = [derivative(lab, axis, sigma) for axis in (0, 1)]
    return np.asarray(np.sqrt(np.square(slopes).sum((0, -1))))


def derivative(
    image: Float[np.ndarray, "H W D"], axis: int, sigma: float
) -> Float[np.ndarray, "H W D"]:
    """Return the Gaussian derivative of every channel along ``axis``."""
    smooth = ndimage.gaussian_filter1d(image, sigma, axis=1 - axis)
    slope = ndimage.gaussian_filter1d(smooth, sigma, axis=axis, order=1)
    return np.asarray(slope)
