"""``wsis report``: builds the page of a bench again."""

from pathlib import Path

import typer

from wsis.report import rebuild


def report(folder: Path) -> None:
    """Writes ``report.html`` into the folder."""
    typer.echo(f"report: {rebuild(folder)}")
