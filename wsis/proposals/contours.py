"""How likely each pixel lies on an object's contour."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import ndimage
from skimage.color import rgb2lab

from wsis.contracts import Image, Ledger

_STRONGEST = 50.0
"""Just noticeable differences per pixel from which a contour counts as certain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabContours:
    """The colour gradient in CIE Lab: no learning, no labels.

    Args:
        sigma: of the Gaussian whose derivatives are taken, in pixels; positive.

    Raises:
        ValueError: if ``sigma`` is not positive.
    """

    sigma: float = 1.5

    def __post_init__(self) -> None:
        if self.sigma <= 0:
            raise ValueError(f"sigma must be positive, got {self.sigma}")

    @property
    def ledger(self) -> Ledger:
        """Empty: nobody labelled anything."""
        return frozenset()

    def __call__(self, image: Image) -> Float[np.ndarray, "H W"]:
        """Length of the gradient as a share of a certain contour's, at most 1."""
        return (lab_gradient(rgb2lab(image), self.sigma) / _STRONGEST).clip(0, 1)


def lab_gradient(
    lab: Float[np.ndarray, "H W 3"], sigma: float = 1.5
) -> Float[np.ndarray, "H W"]:
    """Length of the colour gradient in CIE Lab: just noticeable differences per pixel.

    Args:
        lab: the image in CIE Lab, at the size at which contours are wanted.
        sigma: of the Gaussian whose derivatives are taken, in pixels; positive.
    """
    slopes = [derivative(lab, axis, sigma) for axis in (0, 1)]
    length: Float[np.ndarray, "H W"] = np.sqrt(np.square(slopes).sum((0, -1)))
    return length


def derivative(
    image: Float[np.ndarray, "H W D"], axis: int, sigma: float
) -> Float[np.ndarray, "H W D"]:
    """Gaussian derivative of every channel along ``axis``."""
    smooth = ndimage.gaussian_filter1d(image, sigma, axis=1 - axis)
    slope: Float[np.ndarray, "H W D"] = ndimage.gaussian_filter1d(
        smooth, sigma, axis=axis, order=1
    )
    return slope
