"""Errors as one line on stderr and an exit code: 1 failed at work, 2 wrong usage."""

import os
import re
import shlex
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any
from unicodedata import category, name

import typer
from typer.core import TyperGroup

from wsis._support.checks import InputWarning, StoreError, WeightsError, reason
from wsis._support.checks import UsageError as UsageError
from wsis._support.problems import Problems
from wsis.cli._topics import linked

FAILED, USAGE = 1, 2


class _Commands(Mapping[str, Any]):
    """The commands by name; a command's file is imported when it is asked for."""

    NAMES = (
        *("start", "run", "show"),
        *("bench", "tune", "train", "predict", "export", "evaluate", "refine"),
        *(
            "report",
            "proposals",
            "recipe",
            "convert",
            "cues",
            "parts",
            "new",
            "doctor",
            "help",
        ),
    )

    def __getitem__(self, name: str) -> Any:
        if name not in self.NAMES:
            raise KeyError(name)
        return _command(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.NAMES)

    def __len__(self) -> int:
        return len(self.NAMES)


@cache
def _command(name: str) -> Any:
    command = typer.main.get_command(import_module(f"wsis.cli.{name}").app)
    command.name = name
    return command


COMMANDS = _Commands()


class Guarded(TyperGroup):
    """The group of all commands; turns what they raise into exit codes."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        commands: Any = COMMANDS
        self.commands = commands

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Keep what was typed, for the message after an interruption."""
        ctx.meta[_TYPED] = list(args)
        _hasten(self, ctx)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find a command; only training is shared by processes of torchrun.

        Raises:
            UsageError: if torchrun started another command.
        """
        found = super().resolve_command(ctx, args)
        if processes() and found[0] != "train":
            raise UsageError(
                "expected torchrun with wsis train alone, got wsis "
                f"{found[0]}: start it without torchrun"
            )
        for command in (found[1], *getattr(found[1], "commands", {}).values()):
            _hasten(command, ctx)
        return found

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            typer.Exit: with the exit code of an error, unless ``--debug`` is given;
                then the error itself.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            again = going_on(ctx.meta[_TYPED], ctx.invoked_subcommand)
            typer.echo(
                f"wsis: interrupted; nothing half-written\nto go on: {again}", err=True
            )
            raise typer.Exit(FAILED) from None
        except Exception as error:
            # Typer's own: exits and wrong options, which it reports itself.
            typers = isinstance(error, typer.Abort) or hasattr(error, "exit_code")
            if typers or isinstance(error, BrokenPipeError) or ctx.params["debug"]:
                raise
            typer.echo(f"wsis: {message(error)}", err=True)
            raise typer.Exit(USAGE if _is_usage(error) else FAILED) from None


_TYPED = "wsis.typed"


def _hasten(command: Any, ctx: Any) -> None:
    """Give a command's ``--help`` a value: to read its None, Typer loads pydantic."""
    if command is not None and (option := command.get_help_option(ctx)) is not None:
        option.default = False


def processes() -> int:
    """Return how many processes torchrun started on this machine; 0 without it."""
    several = "TORCHELASTIC_RUN_ID" in os.environ and os.environ["WORLD_SIZE"] != "1"
    return int(os.environ["LOCAL_WORLD_SIZE"]) if several else 0


def going_on(typed: list[str], command: str | None) -> str:
    """Return the command that resumes one that was interrupted.

    Args:
        typed: its words, without ``wsis``.
        command: the one among them that names it.
    """
    words = list(typed)
    if command in ("train", "refine") and "--resume" not in words:
        words.append("--resume")
    if command in ("bench", "tune"):
        # They resume by themselves, unless they are told to begin anew.
        words = [one for one in words if one != "--overwrite"]
    several = ["torchrun", "--nproc-per-node", str(processes()), "-m"]
    return shlex.join([*(several if processes() else ()), "wsis", *words])


@contextmanager
def warnings_shown(*, strict: bool) -> Iterator[None]:
    """Print each warning about an input once, as a line; raise the first if strict."""
    printed: set[str] = set()
    with warnings.catch_warnings():
        other = warnings.showwarning

        def show(text: Any, category: type[Warning], *place: Any, **more: Any) -> None:
            if not issubclass(category, InputWarning):
                other(text, category, *place, **more)
            elif str(text) not in printed:
                printed.add(str(text))
                typer.echo(printable(f"warning: {linked(str(text))}"), err=True)

        warnings.simplefilter("error" if strict else "always", InputWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        yield


def printable(text: str) -> str:
    """Return a text that steers no terminal: control signs and turns are spelled out.

    Signs that only join or space others, as Persian and emoji need them, stay. Where
    Python spelled them out, as it does in names that it quotes, they are put back, and
    those that nobody would see are called by their names.
    """
    text = _SPELLED.sub(lambda found: _unspelled(found[0]), text)
    return "".join(ascii(one)[1:-1] if _steers(one) else one for one in text)


_SPELLED = re.compile(r"(?<!\\)(?:\\\\)*\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")
"""Signs as ``repr`` spells them out, after no or an even number of backslashes."""


def _unspelled(text: str) -> str:
    start = text.rindex("\\")
    code = int(text[start + 2 :], 16)
    sign = chr(min(code, sys.maxunicode))
    if sign in _JOINERS:
        return text[:start] + sign
    if category(sign) in ("Zs", "Cf") and not _steers(sign):
        return f"{text[:start]}<{name(sign, f'U+{code:04X}').lower()}>"
    return text


_JOINERS = "\u200c\u200d"
"""Persian and other languages, and emoji, are spelled with them."""


def _steers(sign: str) -> bool:
    """Tell whether a sign is a control, half of one, ends a line or turns the text."""
    return category(sign) in ("Cc", "Cs", "Zl", "Zp") or sign in _TURNS


_TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Embeddings, overrides and isolates that turn the direction of a text."""


def message(error: Exception) -> str:
    """Return what an error says, in one line, as ``printable`` does."""
    return printable(linked(_said(error)))


def _said(error: Exception) -> str:
    text = reason(error)
    if isinstance(error, InputWarning):
        return f"{text} (--strict)"
    if isinstance(error, MemoryError) or any(one in text for one in _OUT_OF_MEMORY):
        return f"memory ran out: {text}"
    if isinstance(error, ValueError | LookupError | OSError | UsageError):
        return text
    return f"{type(error).__name__}: {text} (wsis --debug COMMAND shows the traceback)"


_OUT_OF_MEMORY = "out of memory", "can't allocate memory"
"""What torch says, of a card and of the machine."""


def _is_usage(error: Exception) -> bool:
    if isinstance(error, Problems):
        return all(map(_is_usage, error.found))
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, WeightsError | StoreError):
            return False
        cause = cause.__cause__
    return isinstance(error, UsageError)
