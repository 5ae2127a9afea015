"""The tables of a comparison: plain text, HTML, CSV and Markdown."""

import csv
import io
from collections.abc import Mapping
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
    rows = []
    for label in dict.fromkeys(run["miner"] for run in results["runs"]):
        found = [r["metrics"] for r in results["runs"] if r["miner"] == label]
        columns = {name: [metrics[name] for metrics in found] for name in METRICS}
        rows.append(
            Row(
                name=label,
                seeds=len(found),
                mean={name: fmean(values) for name, values in columns.items()},
                deviation={
                    name: stdev(values) if len(values) > 1 else None
                    for name, values in columns.items()
                },
            )
        )
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
    head, *lines = _short(results)
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>"
        for line in lines
    )
    return (
        f"<table><caption>{escape(about)}</caption><thead><tr>{top}</tr>"
        f"</thead><tbody>{body}</tbody></table>"
    )


def to_csv(results: Mapping[str, Any]) -> str:
    """Return a line for each strategy and figure; empty cells where there is none."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for line in _lines(results):
        writer.writerow({name: _plain(line.get(name)) for name in COLUMNS})
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
        bound = row.name in ("oracle", "random")
        cells = [row.name, "" if bound else str(row.seeds)]
        cells += [figure(row, name) for name in columns]
        if against:
            cells.append(
                said(against[row.name]["mAP50"]) if row.name in against else ""
            )
        lines.append(cells)
    return lines


def _lines(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    verdict = results["verdict"]
    runs = {run["miner"]: run for run in results["runs"]}
    lines: list[dict[str, Any]] = []
    for row in table(results):
        for name in (n for n in METRICS if n in row.mean):
            line = {"strategy": row.name, "metric": name, "mean": row.mean[name]}
            one = verdict["strategies"].get(row.name, {}).get(name)
            if one is not None:
                consumed = runs[row.name]["supervision"].values()
                labels = sorted({label for part in consumed for label in part})
                line |= {
                    "seeds": row.seeds,
                    "deviation": one["deviation"],
                    **_ends(one, "low", "high"),
                    "supervision": " + ".join(labels),
                    "level": runs[row.name]["level"],
                }
            other = verdict["differences"].get(row.name, {}).get(name)
            if other is not None:
                line |= {
                    "difference": other["mean"],
                    **_ends(other, "difference_low", "difference_high"),
                    **{k: other[k] for k in ("p", "p_all", "verdict", "seeds_more")},
                }
            lines.append(line)
    return lines


def _ends(one: Mapping[str, Any], *names: str) -> dict[str, float | None]:
    return dict(zip(names, one["interval"] or (None, None), strict=True))


def _plain(value: Any) -> Any:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value
