"""Peaks of class response maps.

Zhou et al., "Weakly Supervised Instance Segmentation using Class Peak Response",
https://arxiv.org/abs/1804.00880: the local maxima of a class's response map lie on its
objects, so that they tell how many there are and where.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from wsis.contracts import Points


def local_maxima(maps: Float[Tensor, "C h w"]) -> Bool[Tensor, "C h w"]:
    """Cells that are the highest of the 3 × 3 around them and not below the median.

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
    """Each class's score: the mean response at its peaks (peak stimulation).

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
    upsample: int = 8,
) -> tuple[Points, Float[Tensor, " P"]]:
    """The peaks of present classes above a threshold, and their responses, ascending.

    Args:
        maps: responses of every class.
        present: the classes looked at, 1…C.
        size: (H, W) of the image that the maps cover.
        threshold: a peak's response is higher.
        upsample: the maps are enlarged bilinearly by it first. Reference code (PRM):
            8, corners aligned. Ours: 8, cell centres aligned, as all maps here are.

    Returns:
        Places in the image's pixels; ties in order of class, then of reading.
    """
    fine = functional.interpolate(
        maps[present - 1][None], scale_factor=float(upsample), mode="bilinear"
    )[0]
    found = (local_maxima(fine) & (fine > threshold)).nonzero()
    response = fine[tuple(found.T)]
    order = response.argsort(stable=True)
    which, row, column = found[order].T
    ratio = torch.tensor([size[1] / fine.shape[2], size[0] / fine.shape[1]])
    xy = (torch.stack([column, row], 1) + 0.5) * ratio
    return Points(xy=xy, label=present[which]), response[order]
