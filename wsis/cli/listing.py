"""``wsis parts``: what is installed."""

import inspect
from collections.abc import Sequence

import typer

from wsis import plugins
from wsis.cli.errors import message


def parts(kinds: Sequence[plugins.Kind]) -> None:
    """Prints the parts of some kinds: what they do, their settings and defaults."""
    for kind in kinds:
        typer.echo(f"{kind}:")
        for name in plugins.names(kind):
            try:
                docstring = inspect.getdoc(plugins.find(kind, name)) or ""
                settings = plugins.settings(kind, name)
            except Exception as error:
                # One package that is broken must not hide the others.
                typer.echo(f"  {name}: cannot be loaded: {message(error)}")
                continue
            typer.echo(f"  {name}: {_first_paragraph(docstring)}")
            for key, parameter in settings.items():
                typer.echo(f"    {key} = {_default(parameter)}")


def _first_paragraph(docstring: str) -> str:
    return " ".join(docstring.partition("\n\n")[0].split())


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return "(required)"
    return str(parameter.default) if parameter.default != "" else '""'
