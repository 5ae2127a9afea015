"""Shapes as signed distances, and layers that paint them without jagged edges."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Plane = Float[np.ndarray, "h w"]
"""One number a pixel; distances are negative inside a shape, in the layer's units."""

Colour = Float[np.ndarray, "*hw 3"]
"""RGB in 0…1, one for all pixels or one each."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Pixels that shapes are painted on, and how much of each pixel they cover.

    Args:
        x: position of every pixel's centre in the layer's own units, to the right.
        y: the same, downwards.
        pixel: size of a pixel in those units.
        colour: what is painted, changed in place.
        cover: share of each pixel that is covered, changed in place.
    """

    x: Plane
    y: Plane
    pixel: float
    colour: Float[np.ndarray, "h w 3"]
    cover: Plane

    @classmethod
    def new(
        cls,
        size: tuple[int, int],
        centre: tuple[float, float],
        *,
        scale: float,
        angle: float = 0.0,
        mirrored: bool = False,
    ) -> "Layer":
        """An empty layer with its own place, size and turn.

        Args:
            size: (H, W) in pixels.
            centre: (x, y) in pixels of the layer's origin.
            scale: pixels of one unit.
            angle: by which what is painted is turned clockwise, in radians.
            mirrored: left and right change places.
        """
        row, column = np.mgrid[: size[0], : size[1]].astype(np.float32) + 0.5
        x, y = _turn((column - centre[0]) / scale, (row - centre[1]) / scale, angle)
        colour = np.zeros((*size, 3), np.float32)
        return cls(-x if mirrored else x, y, 1 / scale, colour, np.zeros_like(x))

    def inside(self, distance: Plane) -> Plane:
        """The share of each pixel that lies inside a shape."""
        return np.clip(0.5 - distance / self.pixel, 0, 1)

    def mix(self, outer: Colour, inner: Colour, distance: Plane) -> Colour:
        """``inner`` inside a shape, ``outer`` elsewhere."""
        share = self.inside(distance)[..., None]
        return outer * (1 - share) + inner * share

    def fill(self, distance: Plane, colour: Colour, *, round: float = 0.15) -> None:
        """Paints a shape over what is there; towards its edge it gets darker.

        Args:
            distance: of the shape.
            colour: of the shape.
            round: how far from the edge the shade begins.
        """
        share = self.inside(distance)
        rows, columns = np.flatnonzero(share.any(1)), np.flatnonzero(share.any(0))
        if not len(rows):
            return
        # Most shapes are small; what lies outside of them is left alone.
        part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        share, distance, y = share[part], distance[part], self.y[part]
        rim = np.clip(1 + distance / round, 0, 1)
        light = 1.05 - 0.3 * rim**2 - 0.12 * np.clip(y, -1, 1)
        inner = colour if colour.ndim == 1 else colour[part]
        shaded = np.clip(inner * light[..., None], 0, 1)
        self.colour[part] += (shaded - self.colour[part]) * share[..., None]
        self.cover[part] += share * (1 - self.cover[part])

    def ellipse(
        self, x: float, y: float, width: float, height: float, angle: float = 0.0
    ) -> Plane:
        """About the distance to an ellipse with these half axes, turned clockwise."""
        across, down = _turn(self.x - float(x), self.y - float(y), angle)
        across, down = across / float(width), down / float(height)
        return (np.hypot(across, down) - 1) * float(min(width, height))

    def bar(
        self, start: tuple[float, float], end: tuple[float, float], radius: float
    ) -> Plane:
        """The distance to a line with round ends."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        across, down = self.x - start[0], self.y - start[1]
        along = np.clip((across * dx + down * dy) / (dx * dx + dy * dy), 0, 1)
        return np.hypot(across - along * dx, down - along * dy) - radius

    def polygon(self, *corners: tuple[float, float]) -> Plane:
        """The distance to a convex polygon; beyond a corner, to the farther side."""
        ends = list(zip(corners, corners[1:] + corners[:1], strict=True))
        turn = math.copysign(1, sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in ends))
        sides = []
        for (x0, y0), (x1, y1) in ends:
            length = turn * math.hypot(x1 - x0, y1 - y0)
            out = (y1 - y0) / length, (x0 - x1) / length
            sides.append((self.x - x0) * out[0] + (self.y - y0) * out[1])
        distance: Plane = np.max(sides, axis=0)
        return distance

    def waves(self, along: Plane, period: float) -> Plane:
        """About the distance to every other stripe of a pattern."""
        return np.sin(along * (2 * np.pi / period)) * (period / (2 * np.pi))

    def spots(self, period: float, radius: float) -> Plane:
        """The distance to spots on a staggered grid."""
        row = np.round(self.y / period)
        shifted = self.x / period + 0.5 * (row % 2)
        return (
            np.hypot(shifted - np.round(shifted), self.y / period - row) * period - radius
        )


def _turn(x: Plane, y: Plane, angle: float) -> tuple[Plane, Plane]:
    cos, sin = math.cos(angle), math.sin(angle)
    return x * cos + y * sin, y * cos - x * sin
