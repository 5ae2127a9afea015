"""Outlines of masks as polygons, along the edges of pixels."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from pycocotools import mask as coco
from scipy import ndimage
from scipy.spatial.distance import cdist
from skimage.measure import approximate_polygon, find_contours

from wsis.contracts import Rle

Ring = Float[np.ndarray, "_ 2"]
"""A closed outline: x and y of each corner, without the first one again."""


def polygons(mask: Rle, *, tolerance: float = 0.0) -> list[Ring]:
    """Return an outline for every piece of a mask, the largest first.

    Pixel (x, y) covers the square from (x, y) to (x + 1, y + 1), as in COCO, so that
    pycocotools draws the same mask again. Pieces touch at corners at most. A hole is
    part of its piece's outline, which reaches it by a cut of no width and comes back.

    Args:
        mask: in COCO's encoding.
        tolerance: corners that change the outline by less than so many pixels are left
            out; 0 keeps the mask exact.
    """
    x, y, width, height = (int(one) for one in coco.toBbox(dict(mask)))
    inside = coco.decode(dict(mask))[y : y + height, x : x + width]
    pieces, count = ndimage.label(inside)
    found = []
    for number in range(1, count + 1):
        piece = np.pad((pieces == number).astype(np.uint8), 1)
        rings = [_corners(line) for line in find_contours(piece, 0.5)]
        rings.sort(key=_area, reverse=True)
        rings = [_simpler(ring, tolerance) for ring in rings]
        outline = joined(rings) + np.array([x - 0.5, y - 0.5])
        found.append((_area(rings[0]), outline))
    found.sort(key=lambda one: -one[0])
    return [ring for _, ring in found]


def joined(rings: Sequence[Ring]) -> Ring:
    """Return outlines as one, each tied to those before it by a cut of no width."""
    whole, *rest = rings
    for ring in rest:
        away = cdist(whole, ring, "sqeuclidean")
        i, j = np.unravel_index(away.argmin(), away.shape)
        detour = np.concatenate([ring[j:], ring[: j + 1]])
        whole = np.concatenate([whole[: i + 1], detour, whole[i:]])
    return whole


def _corners(line: Float[np.ndarray, "_ 2"]) -> Ring:
    """Return the corners of pixels that a line through the middles of edges turns at.

    A middle lies half way between two rows, on a level edge, or between two columns.
    """
    here, after = line[:-1], line[1:]
    level = here[:, 0] % 1 != 0
    turns = level != (after[:, 0] % 1 != 0)
    row = np.where(level, here[:, 0], after[:, 0])
    column = np.where(level, after[:, 1], here[:, 1])
    corners: Ring = np.stack([column, row], 1)[turns]
    return corners


def _simpler(ring: Ring, tolerance: float) -> Ring:
    """Return an outline with fewer corners, or itself where nothing would be left."""
    if tolerance <= 0:
        return ring
    fewer: Ring = approximate_polygon(np.append(ring, ring[:1], 0), tolerance)[:-1]
    return fewer if len(fewer) > 2 and _area(fewer) > 0 else ring


def _area(ring: Ring) -> float:
    x, y = ring.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
