"""Curves, bars and dots as inline SVG; colours and text follow the page's style."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM = 560, 230, 52, 30

BINS = 5
"""Parts of a range that ``scatter`` draws means of."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One setting in a picture; ``mark`` 1 is the choice, 2 the default, 0 any."""

    x: float
    y: float
    name: str
    mark: int = 0


def curves(series: Mapping[str, Sequence[Point]], title: str, unit: str) -> str:
    """Draw a line a series over epochs, with a legend; empty without points."""
    points = [point for line in series.values() for point in line]
    if not points:
        return ""
    x0, x1 = min(x for x, _ in points), max(x for x, _ in points)
    y0, y1 = min(0.0, *(y for _, y in points)), max(y for _, y in points)
    axes = _Axes(x0, y0, max(x1 - x0, 1.0), max(y1 - y0, 1e-9))
    parts = axes.grid((x, f"{x:g}") for x in dict.fromkeys((x0, (x0 + x1) // 2, x1)))
    for i, (name, line) in enumerate(series.items()):
        placed = [axes.place(x, y) for x, y in line]
        dots = "".join(
            f'<circle class="dot c{i % 7}" cx="{x:.1f}" cy="{y:.1f}" r="3">'
            f"<title>{escape(name)}: {value:.3g} {escape(unit)}</title></circle>"
            for (x, y), (_, value) in zip(placed, line, strict=True)
        )
        parts.append(f"{_line(placed, i % 7)}{dots}")
    names = [name for name, line in series.items() if line]
    return _figure(title, f"{title}, {unit}, by epoch", parts, names)


def bars(table: Mapping[str, Mapping[str, float]], title: str, unit: str) -> str:
    """Draw a row of coloured pieces for each entry, with a legend; empty without any.

    All rows have pieces of the same names.
    """
    longest = max((sum(row.values()) for row in table.values()), default=0.0)
    if longest <= 0:
        return ""
    parts = []
    for k, (name, row) in enumerate(table.items()):
        x, y = 0.0, 40 * k
        parts.append(f'<text x="0" y="{y + 14}">{escape(name)}</text>')
        for i, (piece, value) in enumerate(row.items()):
            wide = value / longest * WIDTH
            parts.append(
                f'<rect class="piece c{i % 9}" x="{x:.1f}" y="{y + 19}" '
                f'width="{wide:.1f}" height="14"><title>{escape(name)}: '
                f"{escape(piece)} {value:.1f} {escape(unit)}</title></rect>"
            )
            x += wide
    names = list(next(iter(table.values())))
    return _figure(title, f"{title}, {unit}", parts, names, 40 * len(table))


def scatter(dots: Sequence[Dot], title: str, *, log: bool = False) -> str:
    """Draw dots and a line through their means in equal parts; empty without dots.

    With ``log`` equal factors of x, which is positive, are equal distances.
    """
    if not dots:
        return ""

    def at(dot: Dot) -> float:
        return math.log10(dot.x) if log else dot.x

    places = [at(dot) for dot in dots]
    x0, y0 = min(places), min(dot.y for dot in dots)
    wide, high = max(places) - x0, max(dot.y for dot in dots) - y0
    axes = _Axes(x0, y0, wide or 1.0, high or 1.0, 6)
    ends = [x0 + share * axes.wide for share in (0, 0.5, 1)]
    parts = axes.grid((x, f"{10**x if log else x:.3g}") for x in ends)
    means = binned(places, [dot.y for dot in dots])
    parts.append(_line([axes.place(x, y) for x, y in means], 8))
    # Marked dots come last, so that nothing lies over them.
    for dot in sorted(dots, key=lambda dot: dot.mark):
        x, y = axes.place(at(dot), dot.y)
        parts.append(
            f'<circle class="dot c{dot.mark}" cx="{x:.1f}" cy="{y:.1f}" '
            f'r="{5 if dot.mark else 3.5}"><title>{escape(dot.name)}: {dot.x:g}, '
            f"{dot.y:.4g}</title></circle>"
        )
    return _figure(title, title, parts)


def binned(
    places: Sequence[float], values: Sequence[float], bins: int = BINS
) -> list[Point]:
    """Return means of x and y in equal parts of the range; empty parts are left out."""
    low = min(places)
    wide = (max(places) - low) or 1.0
    parts: list[list[Point]] = [[] for _ in range(bins)]
    for place, value in zip(places, values, strict=True):
        parts[min(bins - 1, int((place - low) / wide * bins))].append((place, value))
    return [
        (sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part))
        for part in parts
        if part
    ]


@dataclass(frozen=True, slots=True)
class _Axes:
    """The range of a chart's values and their places; ``inset`` keeps dots inside."""

    x0: float
    y0: float
    wide: float
    high: float
    inset: int = 0

    def place(self, x: float, y: float) -> Point:
        right, up = (x - self.x0) / self.wide, (y - self.y0) / self.high
        return (
            LEFT + self.inset + right * (WIDTH - LEFT - 12 - 2 * self.inset),
            HEIGHT - BOTTOM - self.inset - up * (HEIGHT - BOTTOM - 14 - self.inset),
        )

    def grid(self, ticks: Iterable[tuple[float, str]]) -> list[str]:
        """Return three lines with their values of y, and the texts under x."""
        parts = []
        for share in (0, 0.5, 1):
            value = self.y0 + share * self.high
            _, y = self.place(self.x0, value)
            parts.append(
                f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 12}" y1="{y:.1f}" '
                f'y2="{y:.1f}"/><text x="{LEFT - 6}" y="{y + 4:.1f}" '
                f'text-anchor="end">{value:.3g}</text>'
            )
        for x, text in ticks:
            at, _ = self.place(x, self.y0)
            parts.append(
                f'<text x="{at:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{text}'
                "</text>"
            )
        return parts


def _line(points: Iterable[Point], colour: int) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="line c{colour}" points="{path}"/>'


def _figure(
    title: str,
    caption: str,
    parts: Sequence[str],
    names: Sequence[str] = (),
    height: int = HEIGHT,
) -> str:
    items = "".join(
        f'<li><span class="key c{i % 9}" aria-hidden="true"></span>{escape(name)}</li>'
        for i, name in enumerate(names)
    )
    legend = f'<ul class="legend">{items}</ul>' if names else ""
    return (
        f'<figure class="chart" title="{escape(title)}"><figcaption>{escape(caption)}'
        f'</figcaption><svg viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>{legend}</figure>'
    )
