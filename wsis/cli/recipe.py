"""``wsis recipe``: tells what recipes there are, what they set and how they differ."""

from typing import Annotated

import typer

from wsis import plugins
from wsis.cli import _options as options
from wsis.cli._errors import printable

app = options.command_group(
    name="recipe", no_args_is_help=True, help="Look at recipes: settings by name."
)

RecipeArgument = Annotated[
    str, typer.Argument(help="A recipe, or a TOML file of your own.")
]


@app.command("list")
def list_() -> None:
    """List the recipes that come with wsis."""
    from wsis.runs.recipes import described

    for name, text in described().items():
        typer.echo(f"{name}: {text}")


@options.command(app.command, strict=False)
def show(name: RecipeArgument) -> None:
    """Show every setting of a recipe, the parts' defaults included.

    Examples:
        wsis recipe show voc12-cim-r50
    """
    from wsis.runs.recipes import Recipe

    recipe = Recipe.read(name)
    typer.echo(printable(f"{recipe.name}: {recipe.description}"))
    for key, value in recipe.values().items():
        typer.echo(printable(f"  {key} = {plugins.text(value)}"))


@options.command(app.command, strict=False)
def diff(
    name: RecipeArgument, other: Annotated[str | None, typer.Argument()] = None
) -> None:
    """Show the settings in which two recipes, or a recipe and the defaults, differ.

    Args:
        other: Another recipe; every setting's default if not given.

    Examples:
        wsis recipe diff voc12-cim-r50
        wsis recipe diff voc12-cim-r50 voc12-cim-vgg16
    """
    from wsis.runs.recipes import Recipe, differences, suited

    one = Recipe.read(name)
    two = suited() if other is None else Recipe.read(other)
    found = differences(one, two)
    for key, *values in found:
        a, b = map(plugins.text, values)
        typer.echo(printable(f"{key}: {a} ({one.name}), {b} ({two.name})"))
    if not found:
        typer.echo(f"{one.name} and {two.name} set the same")
