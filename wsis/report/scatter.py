"""A figure against a swept setting, as inline SVG in the page's style."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from wsis.report.charts import BOTTOM, HEIGHT, LEFT, WIDTH

BINS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One setting in a picture.

    Args:
        x: the swept value.
        y: the figure.
        name: shown when pointed at.
        mark: a colour's number: 0 any setting, 1 the choice, 2 the default.
    """

    x: float
    y: float
    name: str
    mark: int = 0


def scatter(dots: Sequence[Dot], title: str, *, log: bool = False) -> str:
    """Dots, and a line through their means in five equal parts of the range.

    Args:
        dots: of all settings; without any the result is empty.
        title: what is drawn; read aloud by screen readers.
        log: whether x is, all of it being positive then.
    """
    if not dots:
        return ""
    places = [math.log10(dot.x) if log else dot.x for dot in dots]
    x0, y0 = min(places), min(dot.y for dot in dots)
    wide = max(places) - x0 or 1.0
    high = max(dot.y for dot in dots) - y0 or 1.0

    def at(place: float, y: float) -> tuple[float, float]:
        return (
            LEFT + (place - x0) / wide * (WIDTH - LEFT - 24) + 6,
            HEIGHT - BOTTOM - 6 - (y - y0) / high * (HEIGHT - BOTTOM - 20),
        )

    parts = []
    for share in (0, 0.5, 1):
        left, y = at(x0, y0 + share * high)
        parts.append(
            f'<line class="grid" x1="{left:.1f}" x2="{WIDTH - 12}" y1="{y:.1f}" '
            f'y2="{y:.1f}"/><text x="{LEFT - 6}" y="{y + 4:.1f}" '
            f'text-anchor="end">{y0 + share * high:.3g}</text>'
        )
        x, _ = at(x0 + share * wide, y0)
        value = 10 ** (x0 + share * wide) if log else x0 + share * wide
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{value:.3g}'
            "</text>"
        )
    means = binned(places, [dot.y for dot in dots])
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*mean) for mean in means))
    parts.append(f'<polyline class="line c8" points="{path}"/>')
    # The marked ones last, so that nothing lies over them.
    for dot, place in sorted(
        zip(dots, places, strict=True), key=lambda one: one[0].mark
    ):
        x, y = at(place, dot.y)
        parts.append(
            f'<circle class="dot c{dot.mark}" cx="{x:.1f}" cy="{y:.1f}" '
            f'r="{5 if dot.mark else 3.5}"><title>{escape(dot.name)}: {dot.x:g}, '
            f"{dot.y:.4g}</title></circle>"
        )
    return (
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg></figure>'
    )


def binned(
    places: Sequence[float], values: Sequence[float], bins: int = BINS
) -> list[tuple[float, float]]:
    """Means of x and y in equal parts of the range; empty parts are left out."""
    low = min(places)
    wide = (max(places) - low) or 1.0
    parts: list[list[tuple[float, float]]] = [[] for _ in range(bins)]
    for place, value in zip(places, values, strict=True):
        number = min(bins - 1, int((place - low) / wide * bins))
        parts[number].append((place, value))
    return [
        (sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part))
        for part in parts
        if part
    ]
