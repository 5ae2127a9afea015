"""Peaks of class response maps, and the basins around them.

Zhou et al., "Weakly Supervised Instance Segmentation using Class Peak Response",
https://arxiv.org/abs/1804.00880: the local maxima of a class's response map lie on its
objects, so that they tell how many there are and where.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from skimage import measure, morphology
from skimage.segmentation import watershed
from torch import Tensor
from torch.nn import functional

from wsis.contracts import Points


def local_maxima(maps: Float[Tensor, "C h w"]) -> Bool[Tensor, "C h w"]:
    """Mark cells that are the highest of 3 × 3 and not below the map's median.

    Among equal neighbours the first in reading order is the maximum; the median is the
    lower one of the map's cells.
    """
    cells = maps.shape[1] * maps.shape[2]
    _, place = functional.max_pool2d(
        maps[None], 3, stride=1, padding=1, return_indices=True
    )
    own = torch.arange(cells, device=maps.device).view(maps.shape[1:])
    median = maps.flatten(1).median(1).values
    return (place[0] == own) & (maps >= median[:, None, None])


def stimulated(maps: Float[Tensor, "C h w"]) -> Float[Tensor, " C"]:
    """Return each class's mean response at its peaks (peak stimulation).

    Only the peaks receive a gradient.
    """
    peaks = local_maxima(maps.detach())
    return maps.where(peaks, 0).sum((1, 2)) / peaks.sum((1, 2))


def find_peaks(
    maps: Float[Tensor, "C h w"],
    present: Int[Tensor, " K"],
    size: tuple[int, int],
    *,
    threshold: float,
    counts: Int[Tensor, " K"] | None = None,
    upsample: int = 8,
) -> tuple[Points, Float[Tensor, " P"]]:
    """Return the peaks of present classes and their responses, ascending.

    Args:
        maps: responses of every class.
        present: the classes to look at, 1…C.
        size: (H, W) of the image that the maps cover.
        threshold: lower peaks are left out.
        counts: objects of each present class, 0 where nobody counted. A class that was
            counted has as many peaks, the highest, whatever the threshold.
        upsample: the maps are enlarged bilinearly by it first. Reference code (PRM):
            8, corners aligned. Ours: 8, cell centres aligned, as all maps here are.

    Returns:
        Places in the image's pixels; ties in order of class, then of reading.
    """
    fine = functional.interpolate(
        maps[present - 1][None], scale_factor=float(upsample), mode="bilinear"
    )[0]
    peaks, high = local_maxima(fine), fine > threshold
    if counts is not None:
        high |= counts[:, None, None] > 0
    found = (peaks & high).nonzero()
    response = fine[tuple(found.T)]
    order = response.argsort(stable=True)
    if counts is not None:
        order = order[_highest(found[order, 0], counts)]
    which, row, column = found[order].T
    ratio = torch.tensor([size[1] / fine.shape[2], size[0] / fine.shape[1]])
    xy = (torch.stack([column, row], 1) + 0.5) * ratio
    return Points(xy=xy, label=present[which]), response[order]


def _highest(which: Int[Tensor, " P"], counts: Int[Tensor, " K"]) -> Bool[Tensor, " P"]:
    """Mark the last peaks of every class, as many as were counted; else all."""
    own = which[:, None] == torch.arange(len(counts))  # (P, K)
    later = own.flip(0).cumsum(0).flip(0).gather(1, which[:, None])[:, 0]
    return (counts[which] == 0) | (later <= counts[which])


def basins(
    response: Float[Tensor, "h w"], threshold: float, prominence: float
) -> Int[Tensor, "h w"]:
    """Split a response map where it dips between peaks: basins 1, 2, …; 0 elsewhere.

    Peaks count whose way to a higher one leads through a dip of at least
    ``prominence`` (h-maxima); from them a watershed floods what is lit, so that each
    cell goes to the peak that it climbs to.

    Args:
        response: of one class.
        threshold: higher cells are lit.
        prominence: more than 0, in the units of the response.
    """
    heights = response.double().numpy()
    lowered = morphology.reconstruction(heights - prominence, heights)
    tops = morphology.local_maxima(lowered, allow_borders=True)
    peaks = measure.label(tops, connectivity=2)
    found = watershed(-heights, peaks, mask=heights > threshold)
    return torch.from_numpy(found.astype(np.int64))
