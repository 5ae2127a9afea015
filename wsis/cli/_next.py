"""The line that tells what to type after a command."""

import shlex
from collections.abc import Sequence

import typer

from wsis.cli._errors import printable


def then(*words: object, what: str = "") -> None:
    """Print the next command.

    Args:
        words: of the command, without ``wsis``.
        what: it is for, if that is not plain.
    """
    note = f"  # {what}" if what else ""
    typer.echo(printable(f"next: {command(list(map(str, words)))}{note}"))


def command(words: Sequence[str]) -> str:
    """Return a command as it is typed."""
    return shlex.join(["wsis", *words])
