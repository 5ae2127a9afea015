"""Curves and bars as inline SVG; colours and text follow the page's style."""

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM = 560, 230, 52, 30

Point = tuple[float, float]


def curves(
    series: Mapping[str, Sequence[Point]], title: str, unit: str, *, floor: float = 0.0
) -> str:
    """A line a series over whole numbers (epochs), with a legend; empty without points.

    Args:
        series: points (x, y) of each line, in order of x.
        title: what is drawn; read aloud by screen readers.
        unit: of y.
        floor: lowest y of the axis; values below move it down.
    """
    points = [point for line in series.values() for point in line]
    if not points:
        return ""
    x0, x1 = min(x for x, _ in points), max(x for x, _ in points)
    y0, y1 = min(floor, *(y for _, y in points)), max(y for _, y in points)
    wide, high = max(x1 - x0, 1.0), max(y1 - y0, 1e-9)

    def place(x: float, y: float) -> Point:
        return (
            LEFT + (x - x0) / wide * (WIDTH - LEFT - 12),
            HEIGHT - BOTTOM - (y - y0) / high * (HEIGHT - BOTTOM - 14),
        )

    parts = []
    for share in (0, 0.5, 1):
        value = y0 + share * high
        _, y = place(x0, value)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 12}" y1="{y:.1f}" '
            f'y2="{y:.1f}"/><text x="{LEFT - 6}" y="{y + 4:.1f}" '
            f'text-anchor="end">{value:.3g}</text>'
        )
    for x in dict.fromkeys((x0, (x0 + x1) // 2, x1)):
        at, _ = place(x, y0)
        parts.append(
            f'<text x="{at:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{x:g}</text>'
        )
    for i, (name, line) in enumerate(series.items()):
        placed = [place(x, y) for x, y in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        dots = "".join(
            f'<circle class="dot c{i % 7}" cx="{x:.1f}" cy="{y:.1f}" r="3">'
            f"<title>{escape(name)}: {value:.3g} {escape(unit)}</title></circle>"
            for (x, y), (_, value) in zip(placed, line, strict=True)
        )
        parts.append(f'<polyline class="line c{i % 7}" points="{path}"/>{dots}')
    return _figure(
        title,
        f"{title}, {unit}, by epoch",
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>',
        [name for name, line in series.items() if line],
    )


def bars(table: Mapping[str, Mapping[str, float]], title: str, unit: str) -> str:
    """A row of coloured pieces for each entry, with a legend; empty without values.

    Args:
        table: of each row the pieces' names and values, the same names in each.
        title: what is drawn; read aloud by screen readers.
        unit: of the values.
    """
    longest = max((sum(row.values()) for row in table.values()), default=0.0)
    if longest <= 0:
        return ""
    height = 40 * len(table)
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
    return _figure(
        title,
        f"{title}, {unit}",
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>',
        names,
    )


def _figure(title: str, caption: str, svg: str, names: Sequence[str]) -> str:
    legend = "".join(
        f'<li><span class="key c{i % 9}" aria-hidden="true"></span>{escape(name)}</li>'
        for i, name in enumerate(names)
    )
    return (
        f'<figure class="chart" title="{escape(title)}"><figcaption>{escape(caption)}'
        f'</figcaption>{svg}<ul class="legend">{legend}</ul></figure>'
    )
