"""Progress bars on stderr, tables on stdout."""

import sys
from collections.abc import Callable, Sequence
from types import TracebackType

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

from wsis.experiments import Row
from wsis.report import figure


class Bars:
    """A ``bench.Monitor``, a bar a stage: images done, a second; time gone, left."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def start(self, title: str, total: int) -> Callable[[str], None]:
        """A stage begins; the returned function is called after each of its steps."""
        reach = self.track(title, total)
        done = 0

        def step(note: str) -> None:
            nonlocal done
            done += 1
            reach(done)

        return step

    def track(self, title: str, total: int) -> Callable[[int], None]:
        """A stage begins; the returned function is told how much of it is done."""
        number = self._progress.add_task(title, total=total, speed="")

        def reach(done: int) -> None:
            self._progress.update(number, completed=done)
            [task] = [task for task in self._progress.tasks if task.id == number]
            self._progress.update(number, speed=_speed(task))

        return reach

    def say(self, text: str) -> None:
        """Prints a line above the bars, on stderr."""
        self._progress.console.print(Text(text), soft_wrap=True)


def _speed(task: Task) -> str:
    return "" if task.speed is None else f"{task.speed:.1f}/s"


def print_rows(rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Prints figures in percent: mean, ± deviation over seeds where there are several.

    Rows named ``oracle`` and ``random`` are set apart from those above.
    """
    table = Table("", *(Column(name, justify="right") for name in columns))
    for row in rows:
        if row.name == "oracle":
            table.add_section()
        table.add_row(Text(row.name), *(figure(row, name) for name in columns))
    # Cells are not cut where nobody watches.
    Console(width=None if sys.stdout.isatty() else 240).print(table)
