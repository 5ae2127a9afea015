"""How likely each pixel lies on an object's contour."""

import numpy as np
from jaxtyping import Float
from scipy import ndimage
from skimage.color import rgb2lab

from wsis.contracts import Image


def lab_gradient(image: Image, sigma: float = 1.0) -> Float[np.ndarray, "H W"]:
    """Length of the colour gradient in CIE Lab, in units of just noticeable difference.

    Args:
        image: at the size at which contours are wanted.
        sigma: of the Gaussian whose derivatives are taken, in pixels; positive.
    """
    lab = rgb2lab(image)
    slopes = [
        ndimage.gaussian_filter1d(
            ndimage.gaussian_filter1d(lab, sigma, axis=1 - axis), sigma, axis, order=1
        )
        for axis in (0, 1)
    ]
    return np.sqrt(np.square(slopes).sum((0, -1))).astype(np.float32)
