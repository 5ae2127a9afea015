"""From an image to the size at which regions are sought, and back."""

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image as Pillow

from wsis.contracts import Image


def shrunk(image: Image, side: int) -> UInt8[np.ndarray, "h w 3"]:
    """The image, its longer side at most ``side``."""
    height, width = image.shape[:2]
    ratio = min(1.0, side / max(height, width))
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    return np.asarray(Pillow.fromarray(image).resize(size, Pillow.Resampling.BICUBIC))


def enlarged(
    labels: Int[np.ndarray, "h w"], size: tuple[int, int]
) -> Int[np.ndarray, "H W"]:
    """Each pixel takes the label under its centre."""
    rows, columns = (
        (2 * np.arange(long) + 1) * short // (2 * long)
        for long, short in zip(size, labels.shape, strict=True)
    )
    large: Int[np.ndarray, "H W"] = labels[rows][:, columns]
    return large
