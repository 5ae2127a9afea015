"""Masks as COCO writes them, checked and turned into run-length encoding."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int
from pycocotools import mask as rle

from wsis._support.checks import few
from wsis.contracts import Rle
from wsis.geometry.masks import run_lengths

_FAR = 2**20
"""Coordinates beyond this are damaged; pycocotools' memory grows with them."""


def check_segmentation(segmentation: Any, size: tuple[int, int]) -> None:
    """Refuse a segmentation that is no mask of an image, without drawing it.

    pycocotools would read beyond its memory where run lengths do not add up, and take a
    polygon of four numbers for a box.

    Args:
        segmentation: polygons, or run lengths as numbers or text.
        size: (H, W) of the image.

    Raises:
        ValueError: if it is none; says why.
    """
    if isinstance(segmentation, list):
        if not segmentation:
            raise ValueError("expected at least one polygon, got none")
        if wrong := [one for one in segmentation if not _is_polygon(one)]:
            raise ValueError(
                "expected polygons of at least three points, x and y in turn, "
                f"got {str(wrong[0])[:60]}"
            )
    elif isinstance(segmentation, Mapping) and {"size", "counts"} <= set(segmentation):
        if segmentation["size"] != list(size):
            raise ValueError(
                f"expected a mask of size {list(size)}, got {segmentation['size']}"
            )
        runs = _runs(segmentation["counts"])
        if runs.min() < 0 or runs.sum() != size[0] * size[1]:
            raise ValueError(
                f"expected run lengths that add up to {size[0]} x {size[1]} pixels, "
                f"got {runs.sum()}"
            )
    else:
        raise ValueError(
            "expected polygons or run lengths (size and counts), "
            f"got {str(segmentation)[:60]}"
        )


def usable(segmentation: Any, size: tuple[int, int]) -> tuple[Any, str]:
    """Return what can be used of an object's mask, or None, and what is wrong, if so.

    Args:
        segmentation: as ``check_segmentation`` takes it.
        size: (H, W) of the image.
    """
    whole, wrong = segmentation, ""
    try:
        check_segmentation(segmentation, size)
    except ValueError as error:
        wrong = str(error)
        if not isinstance(segmentation, list):
            return None, wrong
        whole = [part for part in segmentation if _is_polygon(part)]
    nothing = emptiness(whole, size)
    return (None, wrong or nothing) if nothing else (whole, wrong)


def emptiness(segmentation: Any, size: tuple[int, int]) -> str:
    """Return why a checked segmentation covers no pixel of an image; else empty."""
    if isinstance(segmentation, list):
        return _nothing(segmentation, size)
    runs = _runs(segmentation["counts"])
    return "" if runs[1::2].any() else "expected pixels, the mask has none"


@dataclass(slots=True)
class Outlines:
    """The polygons of a file, looked at one by one, and doubts about all of them."""

    beyond: list["_Outline"] = field(default_factory=list)
    astray: list[str] = field(default_factory=list)
    farthest: float = 0.0
    _first: list[str] = field(default_factory=list)
    _count: int = 0
    _cornered: bool = True
    _swapped: bool = True

    def add(
        self,
        segmentation: Any,
        where: str,
        on: str,
        size: tuple[int, int],
        hint: str = "",
        box: Any = None,
    ) -> None:
        """Look at a checked segmentation, if it is polygons.

        Args:
            segmentation: as ``check_segmentation`` takes it.
            where: its place in the file.
            on: the name of its photo.
            size: (H, W) of the photo.
            hint: what to try if the sides of the photo are exchanged.
            box: the object's own, x, y, width and height, if the file has one.
        """
        if not isinstance(segmentation, list):
            return
        one = _Outline(where, on, size, _reach(segmentation), hint or _SWAPPED)
        if one.is_beyond():
            self.beyond.append(one)
        elif _is_box(box) and _overlap(one.reach, box) < _ALIKE:
            self.astray.append(f"{one}, its box {box}")
            self._swapped &= _overlap(one.turned, box) >= _ALIKE
        self._count += 1
        if len(self._first) <= 3:
            self._first.append(str(one))
        self._cornered &= min(one.reach) >= 0 and is_large(size)
        self.farthest = max(self.farthest, *one.reach)

    @property
    def in_a_corner(self) -> bool:
        """Tell whether pixels would hardly be so small, but percent just so large."""
        large = PERCENT / 2 < self.farthest <= PERCENT
        return self._cornered and large

    def doubt(self) -> str:
        """Say what looks wrong, and how that comes about; nothing if all is well."""
        if self.beyond:
            hint = "are width and height those of the photos?"
            if not any(one.is_beyond(turned=True) for one in self.beyond):
                hints = {one.hint for one in self.beyond}
                hint = hints.pop() if len(hints) == 1 else _SWAPPED
            return (
                f"{len(self.beyond)} outlines reach beyond their photo, and are cut "
                f"off there; {hint} {few([*map(str, self.beyond)], '; ')}"
            )
        if self.astray:
            hint = "are x and y swapped?" if self._swapped else "the outlines count;"
            return (
                f"{len(self.astray)} of {self._count} outlines lie elsewhere than the "
                f"boxes of their objects (bbox); {hint} {few(self.astray, '; ')}"
            )
        if self.in_a_corner:
            return (
                f"all {self._count} outlines lie in their photos' first {PERCENT} "
                "pixels; are x and y percent of the photos' sides? Then multiply x by "
                f"width / 100, y by height / 100: {few(self._first, '; ')}"
            )
        return ""


_SWAPPED = "are x and y swapped, or width and height?"


class _Outline(NamedTuple):
    """Polygons on a photo; they reach from left and top to right and low."""

    where: str
    on: str
    size: tuple[int, int]
    reach: tuple[float, float, float, float]
    hint: str

    @property
    def turned(self) -> tuple[float, float, float, float]:
        """The reach with x and y exchanged."""
        left, top, right, low = self.reach
        return top, left, low, right

    def is_beyond(self, *, turned: bool = False) -> bool:
        """Tell whether a part lies outside the photo, or outside the turned photo."""
        left, top, right, low = self.reach
        height, width = self.size[::-1] if turned else self.size
        return left < -1 or top < -1 or right > width + 1 or low > height + 1

    def __str__(self) -> str:
        left, top, right, low = self.reach
        return (
            f"{self.where} (x from {left:g} to {right:g}, y from {top:g} to {low:g}, "
            f"on {self.on} of {self.size[1]} x {self.size[0]} pixels)"
        )


PERCENT = 100
"""The largest x or y of a place in percent."""


def is_large(size: tuple[int, int]) -> bool:
    """Tell whether the first 100 x 100 pixels are a small part of a photo."""
    return size[0] * size[1] > 10 * PERCENT**2 and min(size) > PERCENT


_ALIKE = 0.5
"""The least IoU of an outline's box and its object's; padded boxes have more."""


def _is_box(box: Any) -> bool:
    is_list = isinstance(box, list) and len(box) == 4
    return is_list and all(isinstance(x, int | float) for x in box) and min(box[2:]) > 0


def _overlap(reach: tuple[float, float, float, float], box: list[Any]) -> float:
    """Return the IoU of what an outline reaches and a box."""
    left, top, right, low = reach
    x, y, width, height = box
    across = min(right, x + width) - max(left, x)
    down = min(low, y + height) - max(top, y)
    both = max(across, 0.0) * max(down, 0.0)
    return float(both / ((right - left) * (low - top) + width * height - both))


def _reach(polygons: list[Any]) -> tuple[float, float, float, float]:
    xs = [x for part in polygons for x in part[::2]]
    ys = [y for part in polygons for y in part[1::2]]
    return float(min(xs)), float(min(ys)), float(max(xs)), float(max(ys))


def to_rle(segmentation: Any, size: tuple[int, int]) -> Rle:
    """Return the mask of a checked segmentation on an image of ``size`` (H, W)."""
    if isinstance(segmentation, list):
        merged: Rle = rle.merge(rle.frPyObjects(segmentation, *size))
        return merged
    counts = segmentation["counts"]
    if isinstance(counts, list):
        packed: Rle = rle.frPyObjects(dict(segmentation), *size)
        return packed
    text = counts.encode("ascii") if isinstance(counts, str) else counts
    return {"size": list(size), "counts": text}


def _is_polygon(polygon: Any) -> bool:
    return (
        isinstance(polygon, list)
        and len(polygon) >= 6
        and len(polygon) % 2 == 0
        and all(isinstance(x, int | float) and abs(x) < _FAR for x in polygon)
    )


def _nothing(polygons: list[Any], size: tuple[int, int]) -> str:
    """Say why polygons enclose nothing of an image; empty where they do."""
    height, width = size
    lines = 0
    inside = [False, False]
    for polygon in polygons:
        points = np.array(polygon, float).reshape(-1, 2)
        low, high = points.min(0), points.max(0)
        away = points - points[0]
        x, y = away[np.abs(away).sum(1).argmax()]
        if np.allclose(away[:, 0] * y, away[:, 1] * x, atol=1e-6):
            lines += 1
            continue
        inside[0] |= bool((low < (width, height)).all() and (high > 0).all())
        inside[1] |= bool(np.abs(points).max() > 1)
    if lines == len(polygons):
        return "expected an outline around pixels, got a line or a point"
    if not inside[0]:
        left, top, right, bottom = _reach(polygons)
        return (
            f"expected an outline on the photo of {width} x {height} pixels, got one "
            f"from ({left:g}, {top:g}) to ({right:g}, {bottom:g})"
        )
    if not inside[1] and max(size) > 2:
        return "expected an outline in pixels, got one within 0…1: are these fractions?"
    return ""


def _runs(counts: Any) -> Int[np.ndarray, " K"]:
    """Return run lengths that are written as numbers, or as COCO's text."""
    if isinstance(counts, list):
        if counts and all(isinstance(n, int) and 0 <= n < 2**32 for n in counts):
            return np.array(counts, np.int64)
    elif isinstance(counts, str | bytes):
        text = counts.encode(errors="replace") if isinstance(counts, str) else counts
        digits = np.frombuffer(text, np.uint8).astype(np.int64) - 48
        if len(digits) and digits.min() >= 0 and digits.max() < 64 and digits[-1] < 32:
            ends = np.flatnonzero(digits & 32 == 0)
            if np.diff(ends, prepend=-1).max() <= 7:
                return run_lengths(digits)
    raise ValueError(f"expected run lengths as counts, got {str(counts)[:60]}")
