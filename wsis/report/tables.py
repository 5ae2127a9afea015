"""The tables of a comparison: plain text, HTML, CSV and Markdown."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from statistics import fmean, stdev
from typing import Any

METRICS = ("mAP25", "mAP50", "mAP70", "mAP75", "AP")
BOUNDS = ("mAP25", "mAP50", "mAP70", "mAP75", "ABO")
SHARED = ("mAP50", "mAP75")
"""Figures of which a strategy's share of the ceiling is told."""

BESIDE = {"ceiling": "The ceiling", "proposal_free": "The proposal-free row"}
"""Rows of trainings of another kind: their keys, and their names in sentences."""

COLUMNS = (
    *("strategy", "metric", "seeds", "mean", "deviation", "low", "high"),
    *("difference", "difference_low", "difference_high", "p", "p_all"),
    *("verdict", "seeds_more", "supervision", "level", "share_of_ceiling"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a comparison's table: mean and deviation over seeds, in percent.

    A bound is no strategy: the ceiling, the proposal-free row, the oracle, or random
    scores. The last two know no seeds.
    """

    name: str
    seeds: int
    mean: Mapping[str, float]
    deviation: Mapping[str, float | None] = field(default_factory=dict)
    bound: bool = False


def table(results: Mapping[str, Any]) -> list[Row]:
    """Return the rows: variants, ceilings, proposal-free, oracle, random."""
    bounds = [
        Row(name=x, seeds=0, mean=results[x], bound=True) for x in ("oracle", "random")
    ]
    return [
        *_rows(results["runs"]),
        *(replace(row, bound=True) for row in _rows(beside(results))),
        *bounds,
    ]


def beside(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the runs of the rows beside the variants: ceilings, proposal-free."""
    rows = (results.get(name) for name in BESIDE)
    return [run for one in rows if one for run in one["runs"]]


def _rows(runs: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return a row a strategy, over all its seeds."""
    found: dict[str, list[dict[str, float]]] = {}
    for run in runs:
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
    return rows


def figure(row: Row, name: str) -> str:
    """Return ``31.4 ± 0.5``, ``31.4`` for one seed, a dash where there is none."""
    if name not in row.mean:
        return "–"
    deviation = row.deviation.get(name)
    mean = rounded(row.mean[name])
    return mean if deviation is None else f"{mean} ± {deviation:.1f}"


def rounded(value: float) -> str:
    """Return a figure as tables show it; those that look equal count as equal."""
    return f"{value:.1f}"


def shared(results: Mapping[str, Any], label: str, name: str) -> str:
    """Return ``84 % ± 2`` of the ceiling for a strategy's figure; nothing without."""
    shares = (results.get("ceiling") or {"shares": {}})["shares"]
    one = shares.get(label, {}).get(name)
    if one is None:
        return ""
    deviation = one["deviation"]
    return f"{one['mean']:.0f} %" + ("" if deviation is None else f" ± {deviation:.0f}")


def to_text(results: Mapping[str, Any]) -> str:
    """Return a short table for a terminal: means, deviations and verdicts."""
    lines = _short(results)
    wide = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    shown = [
        "  ".join(
            cell.ljust(width) if i in (0, len(wide) - 1) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, wide, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([*shown, *unsure(results)])


def to_html(results: Mapping[str, Any]) -> str:
    """Return the same table as HTML, for notebooks; everything in it is escaped."""
    data = results["data"]
    about = (
        f"{data['name']}: percent on {data['val_images']} images, mean ± standard "
        "deviation over seeds"
    )
    about = ". ".join([about, *unsure(results)])

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
    ceiling = results.get("ceiling") or {"shares": {}}
    runs = {run["miner"]: run for run in (*results["runs"], *beside(results))}
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in table(results):
        for name in (n for n in METRICS if n in row.mean):
            line = {"strategy": row.name, "metric": name, "mean": row.mean[name]}
            if row.seeds:
                labels = set().union(*runs[row.name]["supervision"].values())
                line |= {"seeds": row.seeds, "deviation": row.deviation[name]}
                line["supervision"] = " + ".join(sorted(labels))
                line["level"] = runs[row.name]["level"]
            if one := verdict["strategies"].get(row.name, {}).get(name):
                line["low"], line["high"] = one["interval"] or (None, None)
            if one := ceiling["shares"].get(row.name, {}).get(name):
                line["share_of_ceiling"] = one["mean"]
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
        seeds = str(row.seeds or "")
        lines.append(f"| {row.name} | {seeds} | {' | '.join(cells)} |")
    if results.get("ceiling"):
        head_of = f"| of the ceiling | {' | '.join(SHARED)} |"
        lines += ["", head_of, "|---|" + "---|" * len(SHARED)]
        for label in results["ceiling"]["of"]:
            some = [shared(results, label, name) for name in SHARED]
            lines.append(f"| {label} | {' | '.join(some)} |")
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
    taught = "".join(
        f"{name} consumed {', '.join(one['supervision'])}: {one['level']}. "
        for key, name in BESIDE.items()
        if (one := results.get(key))
    )
    return (
        "Percent; mean (95 % interval over seeds and images). "
        f"{''.join(f'{one} ' for one in unsure(results))}"
        f"{images}{len(data['classes'])} classes; "
        f"images resampled {verdict['samples']} times. "
        f"Labels consumed: {consumed}: {results['level']}. "
        f"{taught}Settings {results['settings_hash']}."
    )


def unsure(results: Mapping[str, Any]) -> list[str]:
    """Return sentences on what the figures cannot show; none if they can."""
    rows = [one for one in table(results) if not one.bound]
    told = []
    if max((one.seeds for one in rows), default=0) == 1:
        told.append("One seed tells no miner from another; three give intervals.")
    chance = results["random"]["mAP50"]
    if low := [one.name for one in rows if one.mean["mAP50"] <= chance]:
        told.append(
            f"No better than chance, so nothing was learned: {', '.join(low)}; train "
            "longer, or look at the proposals."
        )
    return told


def _short(results: Mapping[str, Any]) -> list[list[str]]:
    """Return the cells of the short table, the head first."""
    verdict = results["verdict"]
    against = verdict.get("differences", {})
    columns = [*METRICS, "ABO"]
    last = [f"mAP50 against {verdict['first']}"] if against else []
    top = [f"{name} of ceiling" for name in SHARED if results.get("ceiling")]
    lines = [["", "seeds", *columns, *top, *last]]
    for row in table(results):
        lines.append([row.name, str(row.seeds or "")])
        lines[-1] += [figure(row, name) for name in columns]
        lines[-1] += [shared(results, row.name, name) for name in SHARED if top]
        if against:
            one = against.get(row.name)
            lines[-1].append(said(one["mAP50"]) if one else "")
    return lines
