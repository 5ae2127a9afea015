"""The pages of a comparison and of a tuning, filled in from plain results."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from wsis.evaluation.kinds import FALSE, Kind
from wsis.geometry.drawing import SHARE, SHOWN
from wsis.report._charts import Dot, bars, curves, scatter
from wsis.report.gallery import Strip
from wsis.report.tables import (
    METRICS,
    SHARED,
    figure,
    gained,
    rounded,
    seeds_more,
    shared,
    table,
    unsure,
)

BOUNDS = ("oracle", "random")

COMPARISON, TUNING, FOUND = "report.html", "tune.html", "found.html"
"""Templates."""

VERDICT = "mAP50"
"""The figure that judges the settings of a tuning."""


def render(results: Mapping[str, Any], pictures: Sequence[Strip]) -> str:
    """Return the page of a comparison; everything in it is escaped.

    Args:
        results: the content of ``results.json``. ``verdict`` (intervals, and what
            differs from the first strategy), ``anatomy`` (by strategy, as
            ``Anatomy.results``), ``trace`` (by strategy, as ``Trace.results``) and
            ``random_per_class`` may be missing.
        pictures: of validation images.
    """
    rows = table(results)
    miners = [row.name for row in rows if not row.bound]
    means = [row.mean for row in rows if not row.bound]
    anatomy, supervision = results.get("anatomy") or {}, results["supervision"]
    panels = [panel for strip in pictures for panel in strip.panels]
    taught = [panel for strip in pictures for panel in strip.branches]
    order: list[str] = list(Kind)
    return template(COMPARISON).render(
        results=results,
        columns=[*METRICS, "ABO"],
        rows=rows,
        best={name: _best([mean[name] for mean in means]) for name in METRICS},
        miners=miners,
        folds=results["data"].get("folds"),
        runs=results.get("folds") or results["runs"],
        metrics=METRICS,
        verdict={"differences": {}, **(results.get("verdict") or {})},
        classes=_per_class(results, miners),
        shares=[
            (label, [shared(results, label, name) or "–" for name in SHARED])
            for label in (results.get("ceiling") or {"of": {}})["of"]
        ],
        shared=SHARED,
        unsure=" ".join(unsure(results)),
        charts=_charts(results, miners),
        anatomy=anatomy,
        bars=_bars(anatomy),
        # Older versions list the labels without the parts that consumed them.
        ledger=supervision
        if isinstance(supervision, Mapping)
        else dict.fromkeys(supervision, ()),
        settings=list(_flat(results["settings"])),
        miner_settings={run["miner"]: run["miner_settings"] for run in results["runs"]},
        pictures=pictures,
        shown_classes=dict.fromkeys(one for strip in pictures for one in strip.classes),
        shown_miners=dict.fromkeys(one.strategy for one in panels if one.strategy),
        shown_kinds=sorted(
            dict.fromkeys(kind for panel in panels for kind in panel.kinds),
            key=lambda kind: order.index(kind) if kind in order else -1,
        ),
        shown_branches=sorted({x.branch for x in taught if x.branch is not None}),
        mined=sum(bool(strip.branches) for strip in pictures),
        sources=any(
            one.startswith(("source", "test_source"))
            for variant in results.get("variants") or []
            for one in variant["overrides"]
        ),
        shown=SHOWN,
        share=SHARE,
    )


def render_tuned(results: Mapping[str, Any]) -> str:
    """Return the page of a tuning, from ``tune.json``; everything in it is escaped."""
    given = {"results": results, "verdict": results["verdict"]}
    return template(TUNING).render(**given, charts=_sweeps(results))


def check_templates() -> None:
    """Make sure that pages can be made; an incomplete installation has no templates.

    Raises:
        ImportError: if Jinja2 is not installed.
        LookupError, ValueError: if a template is missing.
    """
    for name in (COMPARISON, TUNING, FOUND):
        template(name)


def template(name: str) -> Template:
    """Return a template that escapes every value; a missing one is an error."""
    environment = Environment(
        loader=PackageLoader("wsis.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        figure=figure, gained=gained, notes=_notes, rounded=rounded
    )
    return environment.get_template(name)


def _per_class(
    results: Mapping[str, Any], miners: Sequence[str]
) -> list[tuple[str, list[float | None], list[float | None], float | None]]:
    """Return each class's mAP50: miners' means over seeds, the bounds', the best."""
    bounds = [results.get(f"{bound}_per_class") or {} for bound in BOUNDS]
    lines = []
    for name in results["data"]["classes"]:
        known: dict[str, list[float]] = {miner: [] for miner in miners}
        for run in results["runs"]:
            if (value := run["per_class"][name]["mAP50"]) is not None:
                known[run["miner"]].append(value)
        means = [fmean(values) if values else None for values in known.values()]
        best = _best([value for value in means if value is not None])
        at_bounds = [one.get(name, {}).get("mAP50") for one in bounds]
        lines.append((name, means, at_bounds, best))
    return lines


def _notes(difference: Mapping[str, Any]) -> str:
    """Return a difference's p, and how many seeds would settle it."""
    p = difference.get("p")
    notes = ["" if p is None else f"p {p:.2g}", seeds_more(difference)]
    return ", ".join(filter(None, notes))


def _charts(results: Mapping[str, Any], miners: Sequence[str]) -> list[str]:
    losses = {}
    for miner in miners:
        runs = [run["losses"] for run in results["runs"] if run["miner"] == miner]
        losses[miner] = [
            (float(epoch), fmean(one["total"] for one in of_epoch))
            for epoch, of_epoch in enumerate(zip(*runs, strict=False), 1)
            if all("total" in one for one in of_epoch)
        ]
    charts = [curves(losses, "Training loss", "mean over images and seeds")]
    watched = {
        "precision": "Pseudo instances that are right, last branch",
        "part": "Pseudo instances that are parts, last branch",
        "whole-plus": "Pseudo instances that are whole-plus, last branch",
        "targets_right": "Targets that are right, last branch",
    }
    for key, title in watched.items():
        lines = {}
        for name, rows in (results.get("trace") or {}).items():
            last = max((row["branch"] for row in rows), default=0)
            lines[name] = [
                (float(row["epoch"] + 1), float(row[key]))
                for row in rows
                if row["branch"] == last and row[key] is not None
            ]
        charts.append(curves(lines, title, "percent"))
    return [chart for chart in charts if chart]


def _bars(anatomy: Mapping[str, Any]) -> list[str]:
    charts = []
    for measure, kinds, title, unit in (
        ("gain", tuple(Kind), "What repairing each kind would gain", "points of mAP50"),
        ("top", FALSE, "Wrong ones among each class's best", "predictions"),
    ):
        pieces = {
            name: {str(kind): float(one["kinds"][kind][measure]) for kind in kinds}
            for name, one in anatomy.items()
        }
        charts.append(bars(pieces, title, unit))
    return [chart for chart in charts if chart]


def _sweeps(results: Mapping[str, Any]) -> list[str]:
    """Draw the criterion by each axis and, where masks judged, their figure."""
    found = []
    for text in results["sweep"]:
        axis, log = text.partition("=")[0], text.endswith(":log")
        for name in (results["by"], VERDICT):
            dots = []
            for row in results["settings"]:
                figures = {**row["criteria"], **(row["metrics"] or {})}
                x, y = row["values"][axis], figures.get(name)
                if x is None or y is None or (log and x <= 0):
                    continue
                chosen = row["label"] == results["chosen"]["label"]
                mark = 1 if chosen else 2 if row["label"] == "default" else 0
                dots.append(Dot(x=x, y=y, name=row["label"], mark=mark))
            found.append(scatter(dots, f"{name} by {axis}", log=log))
    return [chart for chart in found if chart]


def _best(values: Sequence[float]) -> float | None:
    """Return the highest of several values; None where they are shown alike."""
    return max(values) if len({rounded(value) for value in values}) > 1 else None


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            # A part's own settings read as on the command line: source.nodes.
            inner = prefix if key == "settings" else f"{prefix}{key}."
            yield from _flat(value, inner)
        elif key == "name" and prefix:
            yield prefix[:-1], str(value)
        elif not isinstance(value, Mapping):
            yield f"{prefix}{key}", str(value)
