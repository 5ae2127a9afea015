"""Progress bars on stderr, tables on stdout."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

from wsis._support.files import write_json
from wsis.cli._errors import printable
from wsis.evaluation import Evaluation
from wsis.report import METRICS, SHARED, Row, figure, said, shared, spread, table

QUIET = 60.0
"""Seconds between two lines of progress where no terminal shows bars."""


class Bars:
    """A ``Monitor``: a bar a stage, with images done, speed, time gone and left.

    A file that takes stderr gets a line a minute for the longer stages.

    Args:
        say: prints the lines that are meant for whoever waits; None prints them above
            the bars, on stderr.
    """

    def __init__(self, say: Callable[[str], object] | None = None) -> None:
        self._say = say or self._above
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._progress.stop()

    def start(self, title: str, total: int) -> Callable[[str], None]:
        """Begin a stage; the returned function is called after each of its steps."""
        return self.parted(title, total, 1)[0]

    def parted(
        self, title: str, total: int, parts: int
    ) -> tuple[Callable[[str], None], Callable[[str], None]]:
        """Begin a stage whose bar also moves within a step.

        Returns:
            A function called after each step, and one called after each of its parts,
            of which there are ``parts`` at most.
        """
        number = self._progress.add_task(title, total=total, speed="", note="")
        done = inside = 0
        said = time.monotonic()

        def step(note: str) -> None:
            nonlocal done, inside, said
            done, inside = done + 1, 0
            self._progress.update(number, completed=done, note="")
            [task] = [task for task in self._progress.tasks if task.id == number]
            speed = "" if task.speed is None else f"{task.speed:.1f}/s"
            self._progress.update(number, speed=speed)
            watched = self._progress.console.is_terminal
            if not watched and done < total and time.monotonic() - said >= QUIET:
                said = time.monotonic()
                self._above(f"{title.strip()}: {done} of {total}{_left(task)}")

        def part(note: str) -> None:
            nonlocal inside
            inside += 1
            self._progress.update(
                number, completed=done + min(inside, parts) / (parts + 1), note=note
            )

        return step, part

    def say(self, text: str) -> None:
        """Print a line."""
        self._say(printable(text))

    def _above(self, text: str) -> None:
        self._progress.console.print(Text(text), soft_wrap=True)


@contextmanager
def resumable(lines: Path, what: str) -> Iterator[Bars]:
    """Give bars to work that a file lists; if it fails, say what is kept."""
    try:
        with Bars() as bars:
            yield bars
    except BaseException:
        if lines.is_file():
            typer.echo(f"wsis: finished {what} are kept in {lines.parent}", err=True)
        raise


def _left(task: Task) -> str:
    seconds = task.time_remaining
    return "" if seconds is None else f", about {in_time(float(seconds))} left"


def in_time(seconds: float) -> str:
    """Return a length of time in words."""
    for unit, length in (("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.0f} {unit}"
    return "1 second" if seconds < 1.5 else f"{seconds:.0f} seconds"


def print_table(
    names: Sequence[str],
    figures: Sequence[str],
    rows: Iterable[Sequence[str]],
    line: int | None = None,
    width: int = 240,
) -> None:
    """Print a table; cells are not cut where nobody watches.

    Args:
        names: heads of the first columns, of names.
        figures: heads of the others, of figures.
        rows: a cell for each head.
        line: the row that a line is drawn above.
        width: of the table where nobody watches.
    """
    table = Table(*names, *(Column(name, justify="right") for name in figures))
    for number, row in enumerate(rows):
        if number == line:
            table.add_section()
        named = [Text(printable(cell)) for cell in row[: len(names)]]
        table.add_row(*named, *row[len(names) :])
    Console(width=None if sys.stdout.isatty() else width).print(table)


def print_evaluations(
    found: Mapping[str, Evaluation], columns: Sequence[str], path: Path | None
) -> None:
    """Print a row of percent for each evaluation; write all figures to ``path``."""
    if path is not None:
        figures = {
            name: {"metrics": one.metrics, "per_class": one.per_class}
            for name, one in found.items()
        }
        write_json(path, figures)
    means = [Row(name=name, seeds=1, mean=one.metrics) for name, one in found.items()]
    rows = [[row.name, *(figure(row, name) for name in columns)] for row in means]
    print_table([""], columns, rows, [*found, "oracle"].index("oracle"))


def print_comparison(results: Mapping[str, Any]) -> None:
    """Print means and intervals, the bounds, shares of the ceiling, the verdicts."""
    strategies, columns = results["verdict"]["strategies"], [*METRICS, "ABO"]
    rows = table(results)
    lines = []
    for row in rows:
        lines.append([row.name])
        for name in columns:
            interval = strategies.get(row.name, {}).get(name, {}).get("interval")
            ends = "" if interval is None else "\n{:.1f} to {:.1f}".format(*interval)
            lines[-1].append(figure(row, name) + ends)
    print_table([""], columns, lines, sum(not row.bound for row in rows))
    if results.get("ceiling"):
        lines = [
            [label, *(shared(results, label, name) or "–" for name in SHARED)]
            for label in results["ceiling"]["of"]
        ]
        print_table(["of the ceiling"], SHARED, lines)
    _print_differences(results["verdict"])


def print_verdict(verdict: Mapping[str, Any]) -> None:
    """Print the strategies with their intervals, then the verdicts."""
    rows = []
    for label, of_metric in verdict["strategies"].items():
        cells = [spread(of_metric[name], of_metric[name]["mean"]) for name in METRICS]
        rows.append([label, str(of_metric[METRICS[0]]["seeds"]), *cells])
    print_table(["", "seeds"], METRICS, rows)
    _print_differences(verdict)


def _print_differences(verdict: Mapping[str, Any]) -> None:
    rows = [
        [label, *(said(of_metric[name]).replace(") ", ")\n") for name in METRICS)]
        for label, of_metric in verdict["differences"].items()
    ]
    if rows:
        print_table([f"against {verdict['first']}"], METRICS, rows)


def print_coverage(results: Mapping[str, Any]) -> None:
    """Print how well proposals cover objects: by masks an image and by size."""
    columns, budgets = (
        ("ABO", "AR", "recall50", "recall70", "recall85"),
        results["by_budget"],
    )
    sizes = {f"{x} ({row['objects']})": row for x, row in results["by_size"].items()}
    rows = [
        [name, *(f"{100 * row[one]:.1f}" for one in columns)]
        for name, row in (*budgets.items(), *sizes.items())
    ]
    print_table(["masks"], columns, rows, len(budgets), 120)
    seconds = results["seconds_per_image"]
    speed = "" if seconds is None else f", {seconds:.2f} s an image"
    typer.echo(
        f"{results['source']}: {results['objects']} objects on {results['images']} "
        f"images, {results['proposals_per_image']:.0f} masks an image{speed}"
    )
    typer.echo(f"oracle mAP50: {100 * results['oracle']['mAP50']:.1f}")
    typer.echo(f"supervision: {results['supervision']}")


def tell_problems(found: Iterable[str]) -> None:
    """Print problems by number, most important first."""
    lines = [f"  {number}. {text}" for number, text in enumerate(found, 1)]
    typer.echo("to mend, what helps most first:" if lines else "nothing to mend")
    for line in lines:
        typer.echo(printable(line))
