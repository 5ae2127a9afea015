"""What stands behind the figures: a textured ground with clutter on it."""

import numpy as np
from jaxtyping import Float
from PIL import Image as Pillow

from wsis.data.canvas import Layer, Plane
from wsis.data.figures import NEUTRALS, Paint, rgb

GROUNDS = tuple(
    map(rgb, ("6f9a3f", "4f8a5a", "4a86b8", "6aa6c8", "c98d4a", "8a6fae", "3f7f86"))
)


def noise(size: tuple[int, int], cell: float, generator: np.random.Generator) -> Plane:
    """Smooth noise in about −1…1 whose features are about ``cell`` pixels wide."""
    grid = [max(2, round(side / cell) + 1) for side in size]
    values = generator.uniform(-1, 1, grid).astype(np.float32)
    smooth = Pillow.fromarray(values).resize(size[::-1], Pillow.Resampling.BICUBIC)
    return np.asarray(smooth)


def ground(
    size: tuple[int, int], base: Paint, generator: np.random.Generator
) -> Float[np.ndarray, "H W 3"]:
    """A ground of colour ``base`` with light, stains and clutter, RGB in 0…1.

    The clutter is bars and plain blobs; some have the figures' neutral colours.
    """
    side = min(size)
    light = sum(
        share * noise(size, side * cell, generator)
        for cell, share in ((0.6, 0.1), (0.12, 0.07), (0.025, 0.05))
    )
    other = rgb_near(base, generator, 0.12)
    stain = np.clip(noise(size, side * 0.3, generator), 0, 1)[..., None]
    picture = base * (1 - stain) + other * stain + np.asarray(light)[..., None]
    for _ in range(generator.integers(4, 10)):
        _blob(picture, base, generator)
    for _ in range(generator.integers(6, 16)):
        _blades(picture, base, generator)
    return picture


def rgb_near(colour: Paint, generator: np.random.Generator, reach: float) -> Paint:
    """A colour whose every channel is within ``reach`` of ``colour``'s."""
    moved = colour + generator.uniform(-reach, reach, 3).astype(np.float32)
    return np.clip(moved, 0, 1)


def paste(
    picture: Float[np.ndarray, "H W 3"], layer: Layer, corner: tuple[int, int]
) -> tuple[slice, slice]:
    """Lays a layer over a picture, changed in place; returns where.

    Args:
        picture: below.
        layer: above; must lie inside.
        corner: its upper left pixel's row and column.
    """
    height, width = layer.cover.shape
    part = np.s_[corner[0] : corner[0] + height, corner[1] : corner[1] + width]
    below = picture[part]
    picture[part] = below + (layer.colour - below) * layer.cover[..., None]
    return part
