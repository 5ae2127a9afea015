"""``wsis report``: builds the page of a bench again."""

from pathlib import Path
from typing import Annotated

import typer

from wsis.cli import _options as options

app = options.command_group()


@app.command(epilog=options.examples("wsis report wsis-bench"))
def report(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder that wsis bench wrote.")
    ],
) -> None:
    """Build a bench's report.html again from the files of its folder.

    Figures come from results.json and pictures from report.json; without the latter the
    page has none. Neither photos nor masks are read.
    """
    from wsis.report import rebuild

    typer.echo(f"report: {rebuild(folder)}")
