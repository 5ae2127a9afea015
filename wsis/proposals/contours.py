"""How likely each pixel lies on an object's contour."""

import numpy as np
from jaxtyping import Float
from scipy import ndimage


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
