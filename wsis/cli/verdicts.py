"""Tables of a bench on stdout: figures with intervals, then verdicts."""

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from wsis.experiments import METRICS, table
from wsis.experiments.summary import said, spread


def print_summary(results: Mapping[str, Any]) -> None:
    """Mean ± deviation and interval of every strategy, the bounds, the verdicts."""
    strategies = results["verdict"]["strategies"]
    columns = [*METRICS, "ABO"]
    printed = Table("", *(Column(name, justify="right") for name in columns))
    for row in table(dict(results)):
        if row.name == "oracle":
            printed.add_section()
        cells = []
        for name in columns:
            if name not in row.mean:
                cells.append("–")
                continue
            deviation = row.deviation.get(name)
            text = f"{row.mean[name]:.1f}"
            text += "" if deviation is None else f" ± {deviation:.1f}"
            one = strategies.get(row.name, {}).get(name)
            if one is not None and one["interval"] is not None:
                low, high = one["interval"]
                text += f"\n{low:.1f} to {high:.1f}"
            cells.append(text)
        printed.add_row(Text(row.name), *cells)
    _console().print(printed)
    _differences(results["verdict"])


def print_verdict(verdict: Mapping[str, Any]) -> None:
    """The strategies with their intervals, then the verdicts."""
    printed = Table("", "seeds", *(Column(name, justify="right") for name in METRICS))
    for label, of_metric in verdict["strategies"].items():
        cells = [spread(of_metric[name], of_metric[name]["mean"]) for name in METRICS]
        printed.add_row(Text(label), str(of_metric[METRICS[0]]["seeds"]), *cells)
    _console().print(printed)
    _differences(verdict)


def _differences(verdict: Mapping[str, Any]) -> None:
    if not verdict["differences"]:
        return
    printed = Table(
        Column(f"against {verdict['first']}"),
        *(Column(name, justify="right") for name in METRICS),
    )
    for label, of_metric in verdict["differences"].items():
        cells = [said(of_metric[name]).replace(") ", ")\n") for name in METRICS]
        printed.add_row(Text(label), *cells)
    _console().print(printed)


def _console() -> Console:
    # Cells are not cut where nobody watches.
    return Console(width=None if sys.stdout.isatty() else 240)
