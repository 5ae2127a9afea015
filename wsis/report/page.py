"""The pages of a comparison and of a tuning, filled in from plain results."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from wsis.evaluation.kinds import FALSE, Kind
from wsis.geometry.drawing import SHARE, SHOWN
from wsis.report._charts import Dot, bars, curves, scatter
from wsis.report.gallery import Strip
from wsis.report.tables import METRICS, Row, figure, gained, seeds_more, table

BOUNDS = ("oracle", "random")

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
    miners = [row.name for row in rows if row.name not in BOUNDS]
    anatomy = results.get("anatomy") or {}
    return _filled(
        "report.html",
        results=results,
        columns=[*METRICS, "ABO"],
        rows=[_cells(row, rows) for row in rows],
        miners=miners,
        folds=results["data"].get("folds"),
        runs=results.get("folds") or results["runs"],
        metrics=METRICS,
        verdict={"differences": {}, **(results.get("verdict") or {})},
        classes=_per_class(results, miners),
        charts=_charts(results, miners),
        anatomy=_anatomy(anatomy),
        bars=_bars(anatomy),
        ledger=_ledger(results["supervision"]),
        settings=list(_flat(results["settings"])),
        miner_settings={run["miner"]: run["miner_settings"] for run in results["runs"]},
        pictures=pictures,
        shown_classes=_of(strip.classes for strip in pictures),
        shown_miners=_of(
            (panel.strategy for panel in strip.panels if panel.strategy)
            for strip in pictures
        ),
        shown_kinds=_kinds(pictures),
        shown_branches=sorted(
            {
                panel.branch
                for strip in pictures
                for panel in strip.branches
                if panel.branch is not None
            }
        ),
        mined=sum(bool(strip.branches) for strip in pictures),
        sources=any(
            one.startswith("source")
            for variant in results.get("variants") or []
            for one in variant["overrides"]
        ),
        shown=SHOWN,
        share=SHARE,
    )


def render_tuned(results: Mapping[str, Any]) -> str:
    """Return the page of a tuning, from ``tune.json``; everything in it is escaped."""
    return _filled(
        "tune.html",
        results=results,
        verdict=results["verdict"],
        charts=_sweeps(results),
    )


def _filled(template: str, **values: Any) -> str:
    """Fill in a template; every value is escaped, a missing one is an error."""
    environment = Environment(
        loader=PackageLoader("wsis.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(gained=gained, notes=_notes)
    return environment.get_template(template).render(**values)


def _cells(row: Row, rows: Sequence[Row]) -> dict[str, Any]:
    """Return a row's figures as text; the best of several miners are marked."""
    miners = [other for other in rows if other.name not in BOUNDS]
    best = {name: _best([other.mean[name] for other in miners]) for name in METRICS}
    return {
        "name": row.name,
        "seeds": row.seeds,
        "bound": row not in miners,
        "cells": [
            (
                figure(row, name),
                row in miners and name in best and row.mean[name] == best[name],
            )
            for name in (*METRICS, "ABO")
        ],
    }


def _per_class(
    results: Mapping[str, Any], miners: Sequence[str]
) -> list[dict[str, Any]]:
    """Return mAP50 of every class: each miner's mean over seeds, oracle, random."""
    lines = []
    for name in results["data"]["classes"]:
        seeds: dict[str, list[float | None]] = {miner: [] for miner in miners}
        for run in results["runs"]:
            seeds[run["miner"]].append(run["per_class"][name]["mAP50"])
        means = [_mean(values) for values in seeds.values()]
        best = _best([value for value in means if value is not None])
        bounds = [results.get(f"{bound}_per_class") or {} for bound in BOUNDS]
        cells = [(_text(value), value is not None and value == best) for value in means]
        cells += [(_text(one.get(name, {}).get("mAP50")), False) for one in bounds]
        lines.append({"name": name, "cells": cells})
    return lines


def _notes(difference: Mapping[str, Any]) -> str:
    """Return a difference's p, and how many seeds would settle it."""
    p, more = difference.get("p"), seeds_more(difference)
    return ", ".join(
        [*([] if p is None else [f"p {p:.2g}"]), *([more] if more else [])]
    )


def _charts(results: Mapping[str, Any], miners: Sequence[str]) -> list[str]:
    losses = {}
    for miner in miners:
        runs = [run["losses"] for run in results["runs"] if run["miner"] == miner]
        losses[miner] = [
            (float(epoch), fmean(one["total"] for one in of_epoch))
            for epoch, of_epoch in enumerate(zip(*runs, strict=False), 1)
            if all("total" in one for one in of_epoch)
        ]
    traces = results.get("trace") or {}
    watched = {
        "precision": "Pseudo instances that are right, last branch",
        "part": "Pseudo instances that are parts, last branch",
        "whole-plus": "Pseudo instances that are whole-plus, last branch",
        "targets_right": "Targets that are right, last branch",
    }
    charts = [curves(losses, "Training loss", "mean over images and seeds")]
    charts += [
        curves(
            {name: _of_last_branch(rows, key) for name, rows in traces.items()},
            title,
            "percent",
        )
        for key, title in watched.items()
    ]
    return [chart for chart in charts if chart]


def _of_last_branch(
    rows: Sequence[Mapping[str, Any]], key: str
) -> list[tuple[float, float]]:
    last = max((row["branch"] for row in rows), default=0)
    return [
        (float(row["epoch"] + 1), float(row[key]))
        for row in rows
        if row["branch"] == last and row[key] is not None
    ]


def _bars(anatomy: Mapping[str, Any]) -> list[str]:
    def pieces(figure: str, kinds: Iterable[Kind]) -> dict[str, dict[str, float]]:
        return {
            name: {str(kind): float(one["kinds"][kind][figure]) for kind in kinds}
            for name, one in anatomy.items()
        }

    charts = [
        bars(
            pieces("gain", Kind),
            "What repairing each kind would gain",
            "points of mAP50",
        ),
        bars(pieces("top", FALSE), "Wrong ones among each class's best", "predictions"),
    ]
    return [chart for chart in charts if chart]


def _sweeps(results: Mapping[str, Any]) -> list[str]:
    """Draw the criterion by each axis and, where masks judged, their figure."""
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


def _anatomy(anatomy: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return each kind's count and gain by strategy, as text."""
    if not anatomy:
        return []
    kinds = next(iter(anatomy.values()))["kinds"]
    return [
        (
            kind,
            [
                (
                    f"{one['kinds'][kind]['count']:.0f} "
                    f"({one['kinds'][kind]['share']:.0f} %)",
                    f"{one['kinds'][kind]['gain']:+.1f}",
                )
                for one in anatomy.values()
            ],
        )
        for kind in kinds
    ]


def _ledger(supervision: Any) -> list[tuple[str, str]]:
    """Return each kind of label with the parts that consumed it, if known."""
    if isinstance(supervision, Mapping):
        return [(label, ", ".join(parts)) for label, parts in supervision.items()]
    return [(label, "") for label in supervision]


def _kinds(pictures: Sequence[Strip]) -> list[str]:
    """Return the kinds that occur, in order of ``Kind``; any other comes first."""
    found = _of(panel.kinds for strip in pictures for panel in strip.panels)
    order = [str(kind) for kind in Kind]
    return sorted(found, key=lambda one: order.index(one) if one in order else -1)


def _of(groups: Iterable[Iterable[str]]) -> list[str]:
    """Return all that occurs, each once, in order."""
    return list(dict.fromkeys(one for group in groups for one in group))


def _best(values: Sequence[float]) -> float | None:
    """Return the highest of several values; None where they do not differ."""
    return max(values) if len(set(values)) > 1 else None


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


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
