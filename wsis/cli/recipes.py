"""``wsis recipe``: what recipes there are, what they set, how they differ."""

from typing import Any

import typer

from wsis.runs.recipes import Recipe, defaults, differences, names


def list_recipes() -> None:
    """Prints name and description of every recipe."""
    for name in names():
        typer.echo(f"{name}: {Recipe.read(name).description}")


def show_recipe(name: str) -> None:
    """Prints every setting of one recipe."""
    recipe = Recipe.read(name)
    typer.echo(f"{recipe.name}: {recipe.description}")
    for key, value in recipe.values().items():
        typer.echo(f"  {key} = {_text(value)}")


def diff_recipes(name: str, other: str | None) -> None:
    """Prints the settings that two recipes do not share."""
    one = Recipe.read(name)
    two = defaults() if other is None else Recipe.read(other)
    found = differences(one, two)
    for key, a, b in found:
        typer.echo(f"{key}: {_text(a)} ({one.name}), {_text(b)} ({two.name})")
    if not found:
        typer.echo(f"{one.name} and {two.name} set the same")


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
