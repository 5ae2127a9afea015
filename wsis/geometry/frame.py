"""The frame: the bounded size at which large photos are worked on, and the way back.

A photo whose longer side has more than ``LONGEST`` pixels is shrunk to that length once
it is read. Proposals, features, cues and scores are made of the shrunk photo; masks
return to the photo's own size by one rule: each pixel takes the value of the frame's
pixel under its centre. Smaller photos are their own frame, and nothing changes there.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int, Shaped, UInt8
from PIL import Image as Pillow

from wsis._support.files import digest
from wsis.contracts import Image, Proposals, Rle
from wsis.geometry.masks import encode_runs, fitted, run_ends

LONGEST = 1280
"""Pixels of a frame's longer side: twice those at which sources work by default, and
more than the photos of VOC and COCO have. Keys of caches and stores have it."""

Size = tuple[int, int]


def frame(size: Size) -> Size:
    """Return the (H, W) of the frame of a photo of ``size``."""
    return fitted(size, min(LONGEST, max(size)))


def framed(image: Image) -> UInt8[np.ndarray, "_ _ 3"]:
    """Return a photo in its frame: itself, or shrunk as by ``shrunk``."""
    return image if max(image.shape[:2]) <= LONGEST else shrunk(image, LONGEST)


def photo_key(image: Image) -> str:
    """Return the name by which caches and stores know a photo: its pixels' digest.

    That of a photo larger than its frame ends in a dash and the frame's longer side.
    """
    return key_of(digest(image), (image.shape[0], image.shape[1]))


def key_of(pixels: str, size: Size) -> str:
    """Return the ``photo_key`` of a photo of (H, W) by the digest of its pixels."""
    return f"{pixels}-{LONGEST}" if max(size) > LONGEST else pixels


@dataclass(frozen=True, slots=True, eq=False)
class Framed:
    """A photo that was read once, of which its frame alone stays in memory.

    Args:
        key: of the photo, as ``photo_key`` returns it.
        size: (H, W) of the photo.
        pixels: of its frame.
    """

    key: str
    size: Size
    pixels: Image

    @classmethod
    def of(cls, image: Image) -> "Framed":
        """Return the frame of a photo, with what the whole photo is known by."""
        size = image.shape[0], image.shape[1]
        return cls(photo_key(image), size, framed(image))

    def __call__(self) -> Image:
        """Return a copy of the frame's pixels, as a ``load`` does."""
        return self.pixels.copy()


def shrunk(image: Image, side: int) -> UInt8[np.ndarray, "h w 3"]:
    """Return the image (bicubic, antialiased), its longer side at most ``side``."""
    size = image.shape[0], image.shape[1]
    height, width = fitted(size, min(side, max(size)))
    photo = Pillow.fromarray(image)
    return np.asarray(photo.resize((width, height), Pillow.Resampling.BICUBIC))


def sampled(pixels: Shaped[np.ndarray, "h w"], size: Size) -> Shaped[np.ndarray, "H W"]:
    """Return a map in another size; each pixel takes the value under its centre."""
    rows, columns = map(_under, size, pixels.shape)
    return np.asarray(pixels[rows][:, columns])


def enlarged(proposals: Proposals, size: Size) -> Proposals:
    """Return proposals that lie in the frame of a photo at the photo's ``size``.

    Those of another size than the frame's stay as they are.
    """
    if proposals.size == size or proposals.size != frame(size):
        return proposals
    regions = sampled(proposals.regions.cpu().numpy(), size)
    device = proposals.regions.device
    return replace(proposals, regions=torch.from_numpy(regions).to(device))


def sampled_mask(mask: Rle, size: Size) -> Rle:
    """Return a mask at another size (H, W), by run lengths; it is not unfolded.

    Each pixel takes the value under its centre, as in ``sampled``.
    """
    height, width = int(mask["size"][0]), int(mask["size"][1])
    if (height, width) == size:
        return mask
    begin, end = run_ends(mask).reshape(-1, 2).T
    # Runs that go on in the next column are one in each.
    across = (end - 1) // height - begin // height + 1
    column = np.repeat(begin // height - np.cumsum(across) + across, across)
    column += np.arange(len(column))
    first = np.maximum(np.repeat(begin, across) - column * height, 0)
    last = np.minimum(np.repeat(end, across) - column * height, height)
    # The first row whose centre lies in or below each row, or below the last.
    edge = -((height - 2 * size[0] * np.arange(height + 1)) // (2 * height))
    first, last = edge[first], edge[last]
    # Each column's runs for every new column whose centre lies in it.
    count = np.bincount(column, minlength=width)
    over = _under(size[1], width)
    runs = count[over]
    skipped = (np.cumsum(count) - count)[over] - (np.cumsum(runs) - runs)
    run = np.arange(runs.sum()) + np.repeat(skipped, runs)
    top = np.repeat(np.arange(size[1]) * size[0], runs)
    begin, end = top + first[run], top + last[run]
    ends = np.stack([begin, end], 1)[begin < end].ravel()
    # A run that ends where the next begins goes on.
    meeting = np.flatnonzero(ends[1:] == ends[:-1])
    return encode_runs(np.delete(ends, np.concatenate([meeting, meeting + 1])), size)


def _under(new: int, old: int) -> Int[np.ndarray, " _"]:
    """Return which of ``old`` pixels lies under the centre of each of ``new`` ones."""
    place: Int[np.ndarray, " _"] = (2 * np.arange(new) + 1) * old // (2 * new)
    return place
