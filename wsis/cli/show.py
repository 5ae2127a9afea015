"""``wsis show``: a page on this machine to look through predictions."""

from pathlib import Path
from typing import Annotated

import typer

from wsis._support.checks import many
from wsis.cli import _options as options
from wsis.cli._errors import UsageError
from wsis.cli._next import then

app = options.command_group()


@options.command(app.command)
def show(
    *,
    found: options.Found,
    images: options.Moved = None,
    run: Path | None = None,
    min_score: Annotated[float | None, typer.Option(min=0, max=1)] = None,
    port: Annotated[int, typer.Option(min=0, max=65535)] = 0,
    browse: Annotated[bool, typer.Option("--open")] = False,
    place: options.Place,
) -> None:
    """Look through predictions in the browser, and accept or reject them.

    The page lists the photos by doubt, as review.csv does, and shows what each instance
    grew from, branch by branch. Decisions are kept at once in decisions.jsonl beside
    the predictions, and points on missed objects in points.csv, which cues=points
    reads. wsis export --accepted writes what was accepted.

    Only this machine can open the page, and only with the whole address, which is new
    each time. Nothing is loaded from the internet. Ctrl-C ends it.

    Args:
        run: The run that predicted them, if it has moved since.
        min_score: Show instances from this score on, at first; 0.1, or less where most
            photos would show none.
        port: Port of 127.0.0.1; 0 takes any.
        browse: Open the page in the browser.

    Examples:
        wsis show wsis-out/found
        wsis show found --run run --port 8000 --open
    """
    try:
        from wsis.report.viewer import View, serve
    except ImportError as error:
        raise UsageError(str(error)) from None
    view = View.of(
        found,
        images=images,
        run=run,
        device=place.device,
        cache=place.cache,
        least=min_score,
    )

    def told(address: str) -> None:
        typer.echo(f"{many(len(view.photos), 'photo')}: {address}")
        typer.echo("Ctrl-C ends it; decisions are kept at once")
        if browse:
            import webbrowser

            webbrowser.open(address)

    try:
        serve(view, port, told)
    except KeyboardInterrupt:
        typer.echo(f"decisions: {view.decisions.path}")
        then("export", found, "--accepted", "--format", "coco", "--out", "accepted")
