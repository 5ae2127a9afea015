"""``wsis parts``: what is installed."""

import inspect
from typing import Annotated

import typer

from wsis import plugins
from wsis.cli.errors import message


def parts(
    kind: Annotated[
        plugins.Kind | None, typer.Argument(help="Only parts of this kind.")
    ] = None,
) -> None:
    """List the installed parts with their settings, third parties' included."""
    for each in plugins.KINDS if kind is None else (kind,):
        typer.echo(f"{each}:")
        for name in plugins.names(each):
            try:
                summary = inspect.getdoc(plugins.find(each, name)) or ""
                settings = plugins.settings(each, name)
            except Exception as error:
                # One package that is broken must not hide the others.
                typer.echo(f"  {name}: cannot be loaded: {message(error)}")
                continue
            typer.echo(f"  {name}: {_first_sentence(summary)}")
            for key, parameter in settings.items():
                typer.echo(f"    {key} = {_default(parameter)}")


def _first_sentence(docstring: str) -> str:
    return " ".join(docstring.partition("\n\n")[0].split())


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return "(required)"
    return str(parameter.default) if parameter.default != "" else '""'
