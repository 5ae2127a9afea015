"""``wsis report``: builds the page of a bench or of predictions."""

from pathlib import Path
from typing import Annotated

import typer

from wsis.cli import _options as options
from wsis.cli._next import then

app = options.command_group()


@options.command(app.command)
def report(folder: Annotated[Path, typer.Argument(metavar="DIR")]) -> None:
    """Build report.html from the files of a folder.

    For a bench, figures come from results.json and pictures, if any, from report.json;
    neither photos nor masks are read. For predictions, the page shows figures of each
    class, and the 100 most doubtful photos with their masks.

    Args:
        folder: Folder that wsis bench or predict wrote.

    Examples:
        wsis report wsis-bench
        wsis report found
    """
    from wsis.report import RESULTS, REVIEW, rebuild, write_found

    found = (folder / REVIEW).is_file()
    if not found and not (folder / RESULTS).is_file():
        raise FileNotFoundError(
            f"expected {folder} to be a folder that wsis predict or wsis bench wrote, "
            f"it has neither {REVIEW} nor {RESULTS}"
        )
    page = write_found(folder) if found else rebuild(folder)
    typer.echo(f"report: {page}")
    if found:
        score = ("--min-score", "0.1")
        then("export", folder, "--format", "coco", *score, "--out", "masks")
