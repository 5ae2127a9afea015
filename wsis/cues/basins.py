"""Parts a response map where it dips between peaks: one basin a peak."""

import numpy as np
import torch
from jaxtyping import Float, Int
from skimage.measure import label as numbered
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed
from torch import Tensor


def basins(
    response: Float[Tensor, "h w"], threshold: float, prominence: float
) -> Int[Tensor, "h w"]:
    """The basin, 1, 2, …, of every lit cell; 0 elsewhere.

    Peaks are kept whose way to a higher one leads through a dip of at least
    ``prominence`` (h-maxima); from them a watershed floods what is lit, so that each
    cell goes to the peak that it climbs to.

    Args:
        response: of one class.
        threshold: what is higher is lit.
        prominence: more than 0, in the units of the response.
    """
    heights = response.double().numpy()
    lowered = reconstruction(heights - prominence, heights)
    peaks = numbered(local_maxima(lowered, allow_borders=True), connectivity=2)
    found = watershed(-heights, peaks, mask=heights > threshold)
    return torch.from_numpy(found.astype(np.int64))
