"""The rows of a comparison's table."""

from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from wsis.experiments.records import METRICS


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a comparison's table: mean and deviation over seeds, in percent."""

    name: str
    seeds: int
    mean: dict[str, float]
    deviation: dict[str, float | None]


def table(results: dict[str, Any]) -> list[Row]:
    """The rows of ``results.json``: the variants in order, then oracle and random."""
    rows = []
    labels = list(dict.fromkeys(run["miner"] for run in results["runs"]))
    for label in labels:
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
    for name in ("oracle", "random"):
        rows.append(Row(name=name, seeds=1, mean=results[name], deviation={}))
    return rows
