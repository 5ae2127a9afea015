"""The command line; every command is one call of a Python function.

Commands import what they need when they run, so that ``--help`` answers at once.
"""

from typing import Annotated

import typer

import wsis
from wsis.cli.benching import bench
from wsis.cli.checking import doctor
from wsis.cli.errors import Guarded
from wsis.cli.evaluating import evaluate
from wsis.cli.listing import parts
from wsis.cli.predicting import predict
from wsis.cli.showing import show
from wsis.cli.training import train

app = typer.Typer(
    name="wsis",
    cls=Guarded,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
proposals = typer.Typer(no_args_is_help=True, help="Look at mask proposals.")


def _lines(*lines: str) -> str:
    # Typer keeps paragraphs apart and joins lines.
    return "\n\n".join(lines)


app.command(
    epilog=_lines(
        "Examples:",
        "wsis bench --miners cim,mist,oicr",
        "wsis bench --miners cim,cim:p_seed=0.2 --seeds 3 --set schedule.epochs=8",
        "wsis bench --miners cim --data scenes:train_images=100:seed=3",
        "wsis bench --miners cim,mist:reading=box --data coco --images photos "
        "--train train.json --val val.json --classes voc",
    )
)(bench)
app.command(
    epilog=_lines(
        "Examples:",
        "wsis train --out run",
        "wsis train --out run --data coco --images photos --train tags.json --resume",
    )
)(train)
app.command(
    epilog=_lines(
        "Examples:",
        "wsis predict photo.jpg --run run --out found",
        "wsis predict holiday/ more/ --run run --out found --min-score 0.1",
    )
)(predict)
app.command(
    epilog=_lines(
        "Examples:",
        "wsis evaluate --run run",
        "wsis evaluate --predictions found/results.json --data coco "
        "--images photos --val val.json --json figures.json",
    )
)(evaluate)
proposals.command(
    epilog=_lines(
        "Examples:",
        "wsis proposals show photo.jpg --out looks",
        "wsis proposals show photos/ --out looks --source region_tree:nodes=300",
    )
)(show)
app.add_typer(proposals, name="proposals")
app.command(epilog=_lines("Examples:", "wsis parts", "wsis parts miners"))(parts)
app.command()(doctor)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wsis {wsis.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option(envvar="WSIS_DEBUG", help="Show tracebacks of errors.")
    ] = False,
) -> None:
    """Instance masks from image-level tags.

    Exit codes: 0 fine, 1 something failed at work, 2 wrong usage.
    """
    del version, debug


def main() -> None:
    """Runs the command line."""
    app()


__all__ = ["app", "main"]
