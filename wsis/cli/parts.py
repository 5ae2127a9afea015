"""``wsis parts``: lists what is installed."""

from inspect import Parameter
from typing import Annotated

import typer

from wsis import plugins
from wsis.cli import _options as options
from wsis.cli._errors import message

app = options.command_group()


@options.command(app.command, strict=False)
def parts(kind: Annotated[plugins.Kind | None, typer.Argument()] = None) -> None:
    """List the installed parts with their settings, third parties' included.

    Args:
        kind: Only parts of this kind.

    Examples:
        wsis parts
        wsis parts miners
    """
    for one in plugins.KINDS if kind is None else [kind]:
        typer.echo(f"{one}:")
        for name in plugins.names(one):
            _print(one, name)


def _print(kind: plugins.Kind, name: str) -> None:
    """Print what a part does, its settings and their defaults."""
    try:
        found = plugins.describe(kind, name)
    except Exception as error:
        # One package that is broken must not hide the others.
        typer.echo(f"  {name}: cannot be loaded: {message(error)}")
        return
    typer.echo(f"  {name}: {' '.join(found.doc.partition(chr(10) * 2)[0].split())}")
    for key, parameter in found.parameters.items():
        required = parameter.default is Parameter.empty
        default = "(required)" if required else plugins.text(parameter.default)
        typer.echo(f"    {key} = {default or chr(34) * 2}")
