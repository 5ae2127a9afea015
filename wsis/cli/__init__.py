"""The command line: one file a command, imported when the command is asked for."""

import os
import sys
import time
from typing import Annotated

import typer

import wsis
from wsis.cli._errors import USAGE, Guarded, processes

app = typer.Typer(
    name="wsis",
    cls=Guarded,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"wsis {wsis.__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", envvar="WSIS_DEBUG", help="Show tracebacks of errors."),
    ] = False,
) -> None:
    """Instance masks from image-level tags.

    Exit codes: 0 success, 1 a failure at work, 2 wrong usage.
    """
    del version, debug


def main() -> None:
    """Run the command line; of several processes that torchrun starts, one speaks."""
    if not processes() or os.environ["RANK"] == "0":
        app()
        return
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        sys.stdout = sys.stderr = nowhere
        try:
            app()
        except SystemExit as ended:
            if ended.code == USAGE and sys.stderr is nowhere:
                time.sleep(10)  # torchrun ends all with the first: that one speaks
            raise
        finally:
            sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__


__all__ = ["app", "main"]
