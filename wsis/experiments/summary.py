"""The summary of a bench as CSV and as Markdown."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from wsis.experiments.records import METRICS
from wsis.experiments.tables import table

COLUMNS = (
    *("strategy", "metric", "seeds", "mean", "deviation", "low", "high"),
    *("difference", "difference_low", "difference_high", "p", "p_all"),
    *("verdict", "seeds_more", "supervision", "level"),
)


def to_csv(results: Mapping[str, Any]) -> str:
    """One line a strategy and figure; empty where there is none."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for line in _lines(results):
        writer.writerow({k: _plain(line.get(k)) for k in COLUMNS})
    return file.getvalue()


def to_markdown(results: Mapping[str, Any]) -> str:
    """A table of means with intervals, one of verdicts, and what they are of."""
    verdict, data = results["verdict"], results["data"]
    head = f"| {data['name']} | seeds | {' | '.join(METRICS)} |"
    rule = "|---|---|" + "---|" * len(METRICS)
    lines = [head, rule]
    for row in table(dict(results)):
        cells = [
            spread(verdict["strategies"].get(row.name, {}).get(name), row.mean[name])
            if name in row.mean
            else ""
            for name in METRICS
        ]
        seeds = str(row.seeds) if row.name in verdict["strategies"] else ""
        lines.append(f"| {row.name} | {seeds} | {' | '.join(cells)} |")
    if verdict["differences"]:
        lines += ["", f"Against {verdict['first']}:", "", head, rule]
        for label, of_metric in verdict["differences"].items():
            cells = [said(of_metric[name]) for name in METRICS]
            seeds = str(of_metric[METRICS[0]]["seeds"])
            lines.append(f"| {label} | {seeds} | {' | '.join(cells)} |")
    lines += ["", caption(results), ""]
    return "\n".join(lines)


def spread(mean: Mapping[str, Any] | None, value: float) -> str:
    """``31.4 (29.0 to 33.8)``; without an interval where there is none."""
    if mean is None or mean["interval"] is None:
        return f"{value:.1f}"
    low, high = mean["interval"]
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def said(difference: Mapping[str, Any]) -> str:
    """``+4.2 (1.0 to 7.4) better``; how many seeds more where nothing is shown."""
    text = f"{difference['mean']:+.1f}"
    if difference["interval"] is not None:
        low, high = difference["interval"]
        text += f" ({low:+.1f} to {high:+.1f})"
    text += f" {difference['verdict']}"
    more = difference["seeds_more"]
    if difference["verdict"] == "not shown" and more is not None:
        text += f", {more} more seeds"
    return text


def caption(results: Mapping[str, Any]) -> str:
    """What the figures are of, in a few sentences."""
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


def _lines(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    verdict = results["verdict"]
    levels = {run["miner"]: run for run in results["runs"]}
    lines: list[dict[str, Any]] = []
    for row in table(dict(results)):
        for name in (n for n in METRICS if n in row.mean):
            line = {"strategy": row.name, "metric": name, "mean": row.mean[name]}
            one = verdict["strategies"].get(row.name, {}).get(name)
            if one is not None:
                low, high = one["interval"] or (None, None)
                consumed = levels[row.name]["supervision"].values()
                labels = sorted({label for part in consumed for label in part})
                line |= {
                    "seeds": row.seeds,
                    "deviation": one["deviation"],
                    "low": low,
                    "high": high,
                    "supervision": " + ".join(labels),
                    "level": levels[row.name]["level"],
                }
            other = verdict["differences"].get(row.name, {}).get(name)
            if other is not None:
                low, high = other["interval"] or (None, None)
                line |= {
                    "difference": other["mean"],
                    "difference_low": low,
                    "difference_high": high,
                    **{k: other[k] for k in ("p", "p_all", "verdict", "seeds_more")},
                }
            lines.append(line)
    return lines


def _plain(value: Any) -> Any:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value
