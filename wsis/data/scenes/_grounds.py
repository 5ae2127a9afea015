"""The background of the figures: a textured ground with clutter on it."""

import math

import numpy as np
from jaxtyping import Float
from PIL import Image as Pillow

from wsis.data.scenes._canvas import Layer, Number, Paint, Plane, rgb
from wsis.data.scenes._figures import NEUTRALS

GROUNDS = tuple(
    map(rgb, ("6f9a3f", "4f8a5a", "4a86b8", "78aed0", "c98d4a", "8a6fae", "3f7f86"))
)
"""Colours of the grounds."""


def ground(
    size: tuple[int, int], base: Paint, generator: np.random.Generator
) -> Float[np.ndarray, "H W 3"]:
    """Return a ground of (H, W) pixels with stains and clutter, RGB in about 0…1.

    The clutter is blades in the ground's colours and plain blobs, some of them as
    neutral as the figures' plain rests.
    """
    side = min(size)
    stain = np.clip(noise(size, side * 0.3, generator), 0, 1)[..., None]
    picture: Float[np.ndarray, "H W 3"] = (
        base + (near(base, 0.15, generator) - base) * stain
    )
    for cell, share in ((0.6, 0.1), (0.12, 0.06), (0.03, 0.05)):
        picture += share * noise(size, side * cell, generator)[..., None]
    for clutter, fewest, most, sizes, turn in (
        (_blob, 3, 9, (0.06, 0.2), math.pi),
        (_blades, 8, 20, (0.04, 0.12), 0),
    ):
        for _ in range(generator.integers(fewest, most)):
            scale = side * generator.uniform(*sizes)
            angle = generator.uniform(0, turn) if turn else 0.0
            centre = generator.uniform(0, size[1]), generator.uniform(0, size[0])
            layer = Layer.around(centre, size, scale=scale, angle=angle)
            clutter(layer, base, generator)
            layer.paste(picture)
    return picture


def noise(size: tuple[int, int], cell: Number, generator: np.random.Generator) -> Plane:
    """Return smooth noise in about −1…1 with features of about ``cell`` pixels."""
    grid = [max(2, round(side / cell) + 1) for side in size]
    values = generator.uniform(-1, 1, grid).astype(np.float32)
    smooth = Pillow.fromarray(values).resize(size[::-1], Pillow.Resampling.BICUBIC)
    return np.asarray(smooth)


def near(colour: Paint, reach: Number, generator: np.random.Generator) -> Paint:
    """Return a colour whose channels are within ``reach`` of those of ``colour``."""
    moved = colour + generator.uniform(-reach, reach, 3).astype(np.float32)
    moved.clip(0, 1, out=moved)
    return moved


def _blob(layer: Layer, base: Paint, generator: np.random.Generator) -> None:
    neutral = NEUTRALS[generator.integers(len(NEUTRALS))]
    colour = neutral if generator.random() < 0.5 else near(base, 0.3, generator)
    layer.fill(layer.ellipse(0, 0, 1, generator.uniform(0.4, 0.9)), colour, round=0.5)


def _blades(layer: Layer, base: Paint, generator: np.random.Generator) -> None:
    for _ in range(3):
        tip = generator.uniform(-0.7, 0.7), generator.uniform(-1, -0.5)
        colour = near(base * 0.8, 0.12, generator)
        layer.fill(layer.bar((0, 0.8), tip, generator.uniform(0.04, 0.12)), colour)
