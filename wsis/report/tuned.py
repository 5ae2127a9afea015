"""The page of a tuning: the choice, every setting, curves, and the masks' verdict."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wsis._support.files import atomic_write
from wsis.report.scatter import Dot, scatter
from wsis.report.templating import filled

VERDICT = "mAP50"


def write_tuned(results: Mapping[str, Any], path: Path) -> None:
    """Writes the content of ``tune.json`` as a self-contained page, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(render_tuned(results), encoding="utf-8")


def render_tuned(results: Mapping[str, Any]) -> str:
    """The page itself; everything in it is escaped."""
    return filled(
        "tune.html",
        results=results,
        verdict=results["verdict"],
        charts=_charts(results),
    )


def _charts(results: Mapping[str, Any]) -> list[str]:
    """Of each axis the criterion and, where masks judged, their figure."""
    found = []
    for text in results["sweep"]:
        axis, log = text.partition("=")[0], text.endswith(":log")
        for name in (results["by"], VERDICT):
            dots = []
            for row in results["settings"]:
                x = row["values"][axis]
                figures = {**row["criteria"], **(row["metrics"] or {})}
                y = figures.get(name)
                if x is None or y is None or (log and x <= 0):
                    continue
                chosen = row["label"] == results["chosen"]["label"]
                mark = 1 if chosen else 2 if row["label"] == "default" else 0
                dots.append(Dot(x=x, y=y, name=row["label"], mark=mark))
            found.append(scatter(dots, f"{name} by {axis}", log=log))
    return [chart for chart in found if chart]
