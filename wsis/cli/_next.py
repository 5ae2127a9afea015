"""The line that tells what to type after a command."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import typer

from wsis.cli._errors import printable

_led: ContextVar[bool] = ContextVar("led", default=False)


def then(*words: object, what: str = "") -> None:
    """Print the next command, unless ``wsis run`` gives it by itself.

    Args:
        words: of the command, without ``wsis``.
        what: it is for, if that is not plain.
    """
    if not _led.get():
        note = f"  # {what}" if what else ""
        typer.echo(printable(f"next: {command(list(map(str, words)))}{note}"))


def command(words: Sequence[str]) -> str:
    """Return a command as it is typed."""
    return shlex.join(["wsis", *words])


@contextmanager
def led() -> Iterator[None]:
    """Let commands in this block leave out what to type next."""
    before = _led.set(True)
    try:
        yield
    finally:
        _led.reset(before)
