"""Draw masks, outlines and points on photos."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int, UInt8
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from pycocotools import mask as coco
from scipy import ndimage

from wsis.contracts import Image, Points, Rle
from wsis.geometry.frame import frame, framed, sampled_mask
from wsis.geometry.masks import fitted
from wsis.geometry.predictions import Predictions

Colour = tuple[int, int, int]

# Seven of Okabe and Ito, "Color Universal Design", https://jfly.uni-koeln.de/color/:
# the colour-blind tell them apart. Black is left out, as photos are often dark. Each of
# the others is the farthest from all before it (CIEDE2000), to who sees all colours or
# lacks red or green; no two are much nearer than the nearest two of the seven.
PALETTE: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (150, 0, 30),
    (165, 240, 210),
    (120, 45, 90),
    (0, 0, 240),
    (180, 240, 255),
    (0, 105, 75),
    (0, 210, 135),
    (60, 135, 255),
    (150, 90, 120),
    (210, 0, 75),
    (60, 60, 150),
    (60, 75, 255),
    (105, 195, 165),
)

SHOWN = 5
"""Most predictions that are drawn on one photo."""

SHARE = 0.3
"""Share of a photo's highest score, below which predictions are not drawn."""


def legible(predictions: Predictions) -> int:
    """Return how many of the first predictions a drawing shows.

    Scores tell what is more likely on one photo rather than how likely it is. So a
    drawing shows those with at least ``SHARE`` of the photo's best score, ``SHOWN`` at
    most.
    """
    score = predictions.score[:SHOWN]
    return int((score >= SHARE * score[:1]).sum())


def overlay(
    image: Image,
    masks: Sequence[Rle],
    captions: Sequence[str] = (),
    *,
    side: int | None = None,
    opacity: float = 0.45,
    inner: Sequence[Rle] = (),
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the photo with each mask tinted, outlined and captioned.

    Masks come best first; the first one lies on top. The colours of ``PALETTE`` take
    turns. A caption stands on its mask's box, or lower where another one is in the way;
    without any room it is left out.

    Args:
        image: the photo, or the frame of a large one.
        masks: of the photo's size, or its frame's.
        captions: one for each mask, or none at all.
        side: longer side of the result in pixels; None keeps the photo's, or its
            frame's if it is large.
        opacity: of the tint, in [0, 1].
        inner: masks drawn over all others as a white line with a dark rim, such as the
            seeds that the others were grown from.

    Raises:
        ValueError: if a mask is not of the photo's size, captions are not as many as
            masks, or ``opacity`` or ``side`` is out of range.
    """
    if captions and len(captions) != len(masks):
        raise ValueError(
            f"expected a caption for each of {len(masks)} masks, got {len(captions)}"
        )
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity must be in [0, 1], got {opacity}")
    whole = image.shape[0], image.shape[1]
    for i, mask in enumerate([*masks, *inner]):
        own = int(mask["size"][0]), int(mask["size"][1])
        if own not in (whole, frame(whole)) and frame(own) != whole:
            raise ValueError(
                f"expected masks of the photo's size {whole}, mask {i} is of size {own}"
            )
    small = framed(image) if side is None else resized(image, side)
    canvas = small.astype(np.float32)
    thickness = max(1, max(small.shape) // 300)
    size = small.shape[0], small.shape[1]
    dense, seeds = ([_dense(m, size) for m in some] for some in (masks, inner))
    for i, mask in reversed(list(enumerate(dense))):
        colour = np.array(PALETTE[i % len(PALETTE)], np.float32)
        canvas[mask] = (1 - opacity) * canvas[mask] + opacity * colour
        canvas[_outline(mask, thickness)] = colour
    for seed in seeds:
        canvas[_outline(seed, 2 * thickness)] = 0
        canvas[_outline(seed, thickness)] = 255
    drawn = Pillow.fromarray(canvas.round().astype(np.uint8))
    _write(drawn, dense, captions)
    return np.asarray(drawn)


def pointed(
    image: Image, points: Points, *, side: int | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the photo with a dot on every point, in the colour of its class.

    Dots have a dark rim; the last point, which cues trust most, has a light one and
    lies on top.

    Args:
        image: the photo.
        points: in the photo's pixels.
        side: longer side of the result in pixels; None keeps the photo's.
    """
    small = resized(image, side)
    drawn = Pillow.fromarray(small.copy())
    pen, radius = ImageDraw.Draw(drawn), max(3, max(small.shape) // 70)
    ratio = small.shape[1] / image.shape[1]
    places = (points.xy * ratio).tolist()
    for i, label in enumerate(points.label.tolist()):
        (x, y), rim = places[i], 255 * (i == len(points) - 1)
        fill = PALETTE[label % len(PALETTE)]
        for size, colour in ((radius + 2, (rim, rim, rim)), (radius, fill)):
            pen.ellipse((x - size, y - size, x + size, y + size), fill=colour)
    return np.asarray(drawn)


def boundaries(image: Image, regions: Int[np.ndarray, "h w"]) -> Image:
    """Return the photo with a white line wherever two regions meet.

    Raises:
        ValueError: if ``regions`` are not of the photo's size.
    """
    if regions.shape != image.shape[:2]:
        raise ValueError(
            f"expected regions of the photo's size {image.shape[:2]}, got "
            f"{regions.shape}"
        )
    drawn = image.copy()
    drawn[:, :-1][regions[:, :-1] != regions[:, 1:]] = 255
    drawn[:-1][regions[:-1] != regions[1:]] = 255
    return drawn


def sheet(
    tiles: Sequence[UInt8[np.ndarray, "_ _ 3"]], columns: int
) -> UInt8[np.ndarray, "h w 3"]:
    """Return pictures in rows of ``columns``, each at the top left of its place.

    Raises:
        ValueError: if there are no pictures.
    """
    if not tiles or columns < 1:
        raise ValueError(f"expected pictures and columns, got {len(tiles)}, {columns}")
    height = max(tile.shape[0] for tile in tiles) + 4
    width = max(tile.shape[1] for tile in tiles) + 4
    rows = -(-len(tiles) // columns)
    shape = rows * height - 4, min(columns, len(tiles)) * width - 4, 3
    page = np.full(shape, 255, np.uint8)
    for i, tile in enumerate(tiles):
        y, x = i // columns * height, i % columns * width
        page[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return page


def resized(image: Image, side: int | None) -> UInt8[np.ndarray, "h w 3"]:
    """Return the photo with a longer side of ``side`` pixels; None keeps it.

    Raises:
        ValueError: if ``side`` is not positive.
    """
    if side is None:
        return image
    if side < 1:
        raise ValueError(f"side must be positive, got {side}")
    height, width = fitted(image.shape[:2], side)
    photo = Pillow.fromarray(image)
    return np.asarray(photo.resize((width, height), Pillow.Resampling.LANCZOS))


def _dense(mask: Rle, size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    return np.asarray(coco.decode(dict(sampled_mask(mask, size))).astype(bool))


def _outline(mask: Bool[np.ndarray, "h w"], thickness: int) -> Bool[np.ndarray, "h w"]:
    return np.asarray(mask & ~ndimage.binary_erosion(mask, iterations=thickness))


def _write(
    drawn: Pillow.Image,
    masks: Sequence[Bool[np.ndarray, "h w"]],
    captions: Sequence[str],
) -> None:
    """Write each caption on its mask's box, or below the captions before it."""
    pen = ImageDraw.Draw(drawn)
    font = ImageFont.load_default(size=max(10, max(drawn.size) // 40))
    taken: list[tuple[float, float, float, float]] = []
    for i, caption in enumerate(captions):
        rows, columns = np.nonzero(masks[i])
        left, top, right, bottom = pen.textbbox((0, 0), caption, font=font)
        width, height = right - left + 4, bottom - top + 4
        x = min(columns.min(initial=drawn.width), drawn.width - width)
        y = min(rows.min(initial=drawn.height), drawn.height) - height
        x, y = max(float(x), 0.0), max(float(y), 0.0)
        while any(
            x < x1 and x0 < x + width and y < y1 and y0 < y + height
            for x0, y0, x1, y1 in taken
        ):
            y += height
        if y + height > drawn.height:
            continue  # No room left: no caption is better than an unreadable one.
        taken.append((x, y, x + width, y + height))
        colour = PALETTE[i % len(PALETTE)]
        pen.rectangle(taken[-1], fill=colour)
        ink = (255, 255, 255) if sum(colour) < 330 else (0, 0, 0)
        pen.text((x + 2 - left, y + 2 - top), caption, font=font, fill=ink)
