"""The tables of a comparison: plain text, HTML, CSV and Markdown."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from statistics import fmean, stdev
from typing import Any

METRICS = ("mAP25", "mAP50", "mAP70", "mAP75", "AP")
BOUNDS = ("mAP25", "mAP50", "mAP70", "mAP75", "ABO")

COLUMNS = (
    *("strategy", "metric", "seeds", "mean", "deviation", "low", "high"),
    *("difference", "difference_low", "difference_high", "p", "p_all"),
    *("verdict", "seeds_more", "supervision", "level"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a comparison's table: mean and deviation over seeds, in percent."""

    name: str
    seeds: int
    mean: Mapping[str, float]
    deviation: Mapping[str, float | None] = field(default_factory=dict)


def table(results: Mapping[str, Any]) -> list[Row]:
    """Return the rows of ``results.json``: variants in order, oracle, random."""
    found: dict[str, list[dict[str, float]]] = {}
    for run in results["runs"]:
        found.setdefault(run["miner"], []).append(run["metrics"])
    rows = []
    for label, some in found.items():
        columns = {name: [metrics[name] for metrics in some] for name in METRICS}
        mean = {name: fmean(values) for name, values in columns.items()}
        deviation = {
            name: stdev(values) if len(values) > 1 else None
            for name, values in columns.items()
        }
        rows.append(Row(name=label, seeds=len(some), mean=mean, deviation=deviation))
    return rows + [Row(name=x, seeds=1, mean=results[x]) for x in ("oracle", "random")]


def figure(row: Row, name: str) -> str:
    """Return ``31.4 ± 0.5``, ``31.4`` for one seed, a dash where there is none."""
    if name not in row.mean:
        return "–"
    deviation = row.deviation.get(name)
    mean = f"{row.mean[name]:.1f}"
    return mean if deviation is None else f"{mean} ± {deviation:.1f}"


def to_text(results: Mapping[str, Any]) -> str:
    """Return a short table for a terminal: means, deviations and verdicts."""
    lines = _short(results)
    wide = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i in (0, len(wide) - 1) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, wide, strict=True))
        ).rstrip()
        for line in lines
    )


def to_html(results: Mapping[str, Any]) -> str:
    """Return the same table as HTML, for notebooks; everything in it is escaped."""
    data = results["data"]
    about = (
        f"{data['name']}: percent on {data['val_images']} images, mean ± standard "
        "deviation over seeds"
    )

    def row(cells: Sequence[str], tag: str) -> str:
        return "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells)

    head, *lines = _short(results)
    body = "".join(f"<tr>{row(line, 'td')}</tr>" for line in lines)
    return (
        f"<table><caption>{escape(about)}</caption><thead><tr>{row(head, 'th')}</tr>"
        f"</thead><tbody>{body}</tbody></table>"
    )


def to_csv(results: Mapping[str, Any]) -> str:
    """Return a line for each strategy and figure; empty cells where there is none."""
    verdict = results["verdict"]
    runs = {run["miner"]: run for run in results["runs"]}
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in table(results):
        for name in (n for n in METRICS if n in row.mean):
            line = {"strategy": row.name, "metric": name, "mean": row.mean[name]}
            if one := verdict["strategies"].get(row.name, {}).get(name):
                labels = set().union(*runs[row.name]["supervision"].values())
                line |= {"seeds": row.seeds, "deviation": one["deviation"]}
                line["low"], line["high"] = one["interval"] or (None, None)
                line["supervision"] = " + ".join(sorted(labels))
                line["level"] = runs[row.name]["level"]
            if one := verdict["differences"].get(row.name, {}).get(name):
                line |= {k: one[k] for k in ("p", "p_all", "verdict", "seeds_more")}
                line["difference"] = one["mean"]
                ends = one["interval"] or (None, None)
                line["difference_low"], line["difference_high"] = ends
            writer.writerow(
                {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in line.items()}
            )
    return file.getvalue()


def to_markdown(results: Mapping[str, Any]) -> str:
    """Return a table of means with intervals, one of verdicts, and the caption."""
    verdict, data = results["verdict"], results["data"]
    head = f"| {data['name']} | seeds | {' | '.join(METRICS)} |"
    rule = "|---|---|" + "---|" * len(METRICS)
    lines = [head, rule]
    for row in table(results):
        measured = verdict["strategies"].get(row.name, {})
        cells = [
            spread(measured.get(name), row.mean[name]) if name in row.mean else ""
            for name in METRICS
        ]
        seeds = str(row.seeds) if measured else ""
        lines.append(f"| {row.name} | {seeds} | {' | '.join(cells)} |")
    if verdict["differences"]:
        lines += ["", f"Against {verdict['first']}:", "", head, rule]
        for label, of_metric in verdict["differences"].items():
            cells = [said(of_metric[name]) for name in METRICS]
            seeds = str(of_metric[METRICS[0]]["seeds"])
            lines.append(f"| {label} | {seeds} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", caption(results), ""])


def spread(mean: Mapping[str, Any] | None, value: float) -> str:
    """Return ``31.4 (29.0 to 33.8)``; without an interval where there is none."""
    if mean is None or mean["interval"] is None:
        return f"{value:.1f}"
    low, high = mean["interval"]
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def said(difference: Mapping[str, Any]) -> str:
    """Return ``+4.2 (1.0 to 7.4) better``, and how many seeds would settle it."""
    text = f"{gained(difference)} {difference['verdict']}"
    return text + (f", {more}" if (more := seeds_more(difference)) else "")


def gained(difference: Mapping[str, Any]) -> str:
    """Return ``+4.2 (+1.0 to +7.4)``; without an interval where there is none."""
    text = f"{difference['mean']:+.1f}"
    if difference.get("interval") is None:
        return text
    low, high = difference["interval"]
    return f"{text} ({low:+.1f} to {high:+.1f})"


def seeds_more(difference: Mapping[str, Any]) -> str:
    """Return ``4 more seeds`` where so many would settle a difference, else nothing."""
    more = difference["seeds_more"]
    # Results written by older versions say "not shown".
    if difference["verdict"] not in ("not significant", "not shown") or more is None:
        return ""
    return f"{more} more seeds"


def caption(results: Mapping[str, Any]) -> str:
    """Return what the figures are of, in a few sentences."""
    data, verdict = results["data"], results["verdict"]
    consumed = "; ".join(
        f"{label} ({', '.join(parts)})" if parts else label
        for label, parts in results["supervision"].items()
    )
    images = (
        f"{data['val_images']} images, each held out once in {data['folds']} folds "
        f"(one split: the interval does not cover others), "
        if data.get("folds")
        else f"{data['train_images']} training and {data['val_images']} validation "
        f"images, "
    )
    if data.get("in_both"):
        images = f"{images}{data['in_both']} of them in both halves, "
    return (
        f"Percent; mean (95 % interval over seeds and images). {images}"
        f"{len(data['classes'])} classes; images resampled {verdict['samples']} times. "
        f"Labels consumed: {consumed}: {results['level']}. "
        f"Settings {results['settings_hash']}."
    )


def _short(results: Mapping[str, Any]) -> list[list[str]]:
    """Return the cells of the short table, the head first."""
    verdict = results["verdict"]
    against = verdict.get("differences", {})
    columns = [*METRICS, "ABO"]
    last = [f"mAP50 against {verdict['first']}"] if against else []
    lines = [["", "seeds", *columns, *last]]
    for row in table(results):
        seeds = "" if row.name in ("oracle", "random") else str(row.seeds)
        lines.append([row.name, seeds, *(figure(row, name) for name in columns)])
        if against:
            one = against.get(row.name)
            lines[-1].append(said(one["mAP50"]) if one else "")
    return lines
