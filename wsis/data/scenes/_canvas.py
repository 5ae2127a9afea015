"""Shapes as signed distances, and layers that paint them without jagged edges."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Plane = Float[np.ndarray, "h w"]
"""One number a pixel; distances are negative inside a shape, in the layer's units."""

Paint = Float[np.ndarray, "3"]
"""RGB in 0…1."""

Colour = Float[np.ndarray, "... 3"]
"""RGB in 0…1, one for all pixels or one each."""

Number = int | float
Point = tuple[Number, Number]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A window of a picture that shapes are painted on.

    Args:
        where: its rows and columns in the picture.
        x: position of every pixel's centre in the layer's own units, to the right.
        y: the same, downwards.
        pixel: size of a pixel in those units.
        colour: of the paint, changed in place.
        cover: share of each pixel that is painted, changed in place.
    """

    where: tuple[slice, slice]
    x: Plane
    y: Plane
    pixel: Number
    colour: Float[np.ndarray, "h w 3"]
    cover: Plane

    @classmethod
    def around(
        cls,
        centre: Point,
        size: tuple[int, int],
        *,
        scale: Number,
        angle: Number = 0.0,
        mirrored: bool = False,
        reach: Number = 1.1,
    ) -> "Layer":
        """Return an empty layer around a point of a picture.

        Args:
            centre: (x, y) of the layer's origin in pixels, inside the picture.
            size: (H, W) of the picture.
            scale: pixels of one unit.
            angle: turns the paint clockwise, in radians.
            mirrored: left and right change places.
            reach: units from the origin to the layer's end, unless the picture ends.
        """
        (column, row), far = centre, reach * scale
        top, left = max(0, int(row - far)), max(0, int(column - far))
        bottom = min(size[0], math.ceil(row + far))
        right = min(size[1], math.ceil(column + far))
        dy, dx = np.mgrid[top:bottom, left:right].astype(np.float32) + 0.5
        x, y = _turn((dx - column) / scale, (dy - row) / scale, angle)
        return cls(
            where=np.s_[top:bottom, left:right],
            x=-x if mirrored else x,
            y=y,
            pixel=1 / scale,
            colour=np.zeros((*x.shape, 3), np.float32),
            cover=np.zeros_like(x),
        )

    def paste(self, picture: Float[np.ndarray, "H W 3"]) -> None:
        """Lay the layer over a picture, which is changed in place."""
        part = picture[self.where]
        part += (self.colour - part) * self.cover[..., None]

    def inside(self, distance: Plane) -> Plane:
        """Return the share of each pixel that lies inside a shape."""
        share: Plane = np.clip(0.5 - distance / self.pixel, 0, 1)
        return share

    def mix(self, outer: Colour, inner: Colour, distance: Plane) -> Colour:
        """Return ``inner`` inside a shape, ``outer`` elsewhere."""
        share = self.inside(distance)[..., None]
        mixed: Colour = outer + (inner - outer) * share
        return mixed

    def fill(self, distance: Plane, colour: Colour, *, round: Number = 0.15) -> None:
        """Paint a shape, darker within ``round`` of its edge, over the layer."""
        share = self.inside(distance)
        rows, columns = np.flatnonzero(share.any(1)), np.flatnonzero(share.any(0))
        if not len(rows):
            return
        # Most shapes are small; only their own rows and columns are computed.
        part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        share, distance, y = share[part], distance[part], self.y[part]
        rim = np.clip(1 + distance / round, 0, 1)
        light = 1.05 - 0.3 * rim**2 - 0.12 * np.clip(y, -1, 1)
        inner = colour if colour.ndim == 1 else colour[part]
        shaded = np.clip(inner * light[..., None], 0, 1)
        self.colour[part] += (shaded - self.colour[part]) * share[..., None]
        self.cover[part] += share * (1 - self.cover[part])

    def ellipse(
        self, x: Number, y: Number, width: Number, height: Number, angle: Number = 0.0
    ) -> Plane:
        """Return about the distance to an ellipse of half axes, turned clockwise."""
        across, down = _turn(self.x - float(x), self.y - float(y), angle)
        across, down = across / float(width), down / float(height)
        return (np.hypot(across, down) - 1) * float(min(width, height))

    def bar(self, start: Point, end: Point, radius: Number) -> Plane:
        """Return the distance to a line with round ends."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        across, down = self.x - start[0], self.y - start[1]
        along = np.clip((across * dx + down * dy) / (dx * dx + dy * dy), 0, 1)
        return np.hypot(across - along * dx, down - along * dy) - radius

    def polygon(self, *corners: Point) -> Plane:
        """Return the distance to a convex polygon; past a corner, to the far side."""
        ends = list(zip(corners, corners[1:] + corners[:1], strict=True))
        turn = math.copysign(1, sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in ends))
        sides = []
        for (x0, y0), (x1, y1) in ends:
            length = turn * math.hypot(x1 - x0, y1 - y0)
            out = (y1 - y0) / length, (x0 - x1) / length
            sides.append((self.x - x0) * out[0] + (self.y - y0) * out[1])
        distance: Plane = np.max(sides, axis=0)
        return distance

    def waves(self, along: Plane, period: Number) -> Plane:
        """Return about the distance to every other stripe of a pattern."""
        return np.sin(along * (2 * np.pi / period)) * (period / (2 * np.pi))

    def spots(self, period: Number, radius: Number) -> Plane:
        """Return the distance to spots on a staggered grid."""
        row = np.round(self.y / period)
        shifted = self.x / period + 0.5 * (row % 2)
        off = np.hypot(shifted - np.round(shifted), self.y / period - row)
        return off * period - radius


def _turn(x: Plane, y: Plane, angle: Number) -> tuple[Plane, Plane]:
    cos, sin = math.cos(angle), math.sin(angle)
    return x * cos + y * sin, y * cos - x * sin


def rgb(text: str) -> Paint:
    """Return the colour of six hexadecimal digits."""
    return np.array([int(text[i : i + 2], 16) for i in (0, 2, 4)], np.float32) / 255
