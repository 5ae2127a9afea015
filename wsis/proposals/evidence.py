"""Evidence from pixels: numbers that tell how whole each proposal looks."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from skimage.color import rgb2lab
from torch import Tensor

from wsis._support.checks import at_least
from wsis.contracts import Contours, Image, Proposals
from wsis.geometry.frame import sampled, shrunk
from wsis.proposals._superpixels import Superpixels
from wsis.proposals.contours import Contoured, seen

_WEAK = 0.1
"""Mean contour below which a border between regions counts as weak: a tenth of a
certain contour. Set before the first measurement, not varied."""

_ROWS = 64
"""Proposals described at once: tables by borders stay in the processor's cache."""

NAMES = (
    *("area", "fill", "aspect", "frame", "compactness", "outline"),
    *("around", "inside", "within", "strongest", "ratio", "weak"),
    *(
        f"{word} {channel}"
        for word in ("mean", "spread", "beside", "contrast")
        for channel in "Lab"
    ),
    *("difference", "objectness"),
)
"""The numbers of a proposal, in order.

- Shape: log share of the photo; share of its box; log of height by width; share of the
  outline on the photo's border; 4π · area / outline²; log of the outline by that of
  the photo.
- Contour: mean along the outline; mean over the pixels inside; mean along the borders
  between regions inside, and the strongest of these; log ratio of the first to the
  third; share of the outline that is weak.
- Colour in Lab, by channel: mean, deviation, mean of the regions that touch the
  proposal, distance of the two means; then the distance over all channels.
- The proposal's objectness.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelEvidence(Contoured):
    """Describes proposals by size, shape, contours and colours; learns nothing.

    Args:
        contours: find them: a part of the kind ``contours``, by name or as an object.
        side: longer side in pixels at which the work is done, at least 32.

    Raises:
        ValueError: if a setting is out of range.
        UnknownPartError: if there are no such contours.
    """

    version = 1

    contours: Contours | str = "lab"
    side: int = 400

    def __post_init__(self) -> None:
        at_least("side", self.side, 32)
        self._contours()

    def __call__(self, image: Image, proposals: Proposals) -> Float[Tensor, "N D"]:
        """Return 26 numbers a proposal, in the order of ``NAMES``.

        Where a proposal is smaller than a pixel at work, all but objectness are 0.
        """
        small = shrunk(image, self.side)
        lab = rgb2lab(small)
        contour = seen(self._contours(), small, lab)
        labels = sampled(proposals.regions.numpy(), contour.shape)
        # A region smaller than a pixel at work has none.
        present = np.bincount(labels.ravel()) > 0
        left, labels = np.flatnonzero(present), (np.cumsum(present) - 1)[labels]
        base = Superpixels.of(labels, lab, contour)
        members = proposals.members.numpy()[:, left]
        some = members.any(1)
        found = np.zeros((len(members), len(NAMES)), dtype=np.float32)
        inside = np.bincount(labels.ravel(), contour.ravel())
        described = np.flatnonzero(some)
        for start in range(0, len(described), _ROWS):
            rows = described[start : start + _ROWS]
            columns = _columns(base, inside, members[rows])
            for i, name in enumerate(NAMES[:-1]):
                found[rows, i] = columns[name]
        found[:, -1] = proposals.objectness
        return torch.from_numpy(found)


def _columns(
    base: Superpixels,
    inside: Float[np.ndarray, " R"],
    members: Bool[np.ndarray, "N R"],
) -> dict[str, Float[np.ndarray, " N"]]:
    """Return the numbers by name, but for objectness.

    ``inside`` is the contour summed over the pixels of each region.
    """
    height, width = base.labels.shape
    member = members.astype(np.float32)
    area = np.maximum(member @ base.area, 1)
    one, other = (members.take(ends, 1) for ends in base.edges.T)
    within = one & other
    strength = base.contour / base.length
    borders = [base.length, base.contour, base.length * (strength < _WEAK)]
    length, around, weak = ((one ^ other) @ np.stack(borders, 1)).T
    length_within, inner = (within @ np.stack(borders[:2], 1)).T
    around, weak = around / np.maximum(length, 1), weak / np.maximum(length, 1)
    inner = inner / np.maximum(length_within, 1)
    frame = member @ base.frame
    x0, y0, x1, y1 = _boxes(base, members)
    mean = member @ (base.area[:, None] * base.colour) / area[:, None]
    square = member @ (base.area[:, None] * base.colour**2) / area[:, None]
    beside, free = _beside(base, members)
    contrast = np.where(free[:, None], beside - mean, 0)
    found = {
        "area": np.log(area / base.labels.size),
        "fill": area / ((x1 - x0) * (y1 - y0)),
        "aspect": np.log((y1 - y0) / (x1 - x0)),
        "frame": frame / np.maximum(length + frame, 1),
        "compactness": 4 * np.pi * area / np.maximum(length + frame, 1) ** 2,
        "outline": np.log((length + frame + 1) / (2 * (height + width))),
        "around": around,
        "inside": member @ inside / area,
        "within": inner,
        "strongest": np.where(within, strength, 0).max(1, initial=0),
        "ratio": np.log((around + _WEAK) / (inner + _WEAK)),
        "weak": weak,
        "difference": np.sqrt(np.square(contrast).sum(1)),
    }
    for word, values in {
        "mean": mean,
        "spread": np.sqrt(np.maximum(square - mean**2, 0)),
        "beside": np.where(free[:, None], beside, mean),
        "contrast": np.abs(contrast),
    }.items():
        found |= {f"{word} {one}": v for one, v in zip("Lab", values.T, strict=True)}
    return found


def _boxes(
    base: Superpixels, members: Bool[np.ndarray, "N R"]
) -> tuple[Float[np.ndarray, " N"], ...]:
    """Return x0, y0, x1 and y1 of each proposal."""
    x0, y0, x1, y1 = base.boxes.T
    low = [np.where(members, side, np.inf).min(1) for side in (x0, y0)]
    high = [np.where(members, side, -np.inf).max(1) for side in (x1, y1)]
    return *low, *high


def _beside(
    base: Superpixels, members: Bool[np.ndarray, "N R"]
) -> tuple[Float[np.ndarray, "N 3"], Bool[np.ndarray, " N"]]:
    """Return the mean colour of the regions that touch each proposal, and if any do."""
    near = ((members.astype(np.float32) @ base.touching > 0) & ~members) * base.area
    total = near.sum(1)
    return near @ base.colour / np.maximum(total, 1)[:, None], total > 0
