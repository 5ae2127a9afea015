"""What options are turned into: miners, recipes, pipelines, devices."""

from dataclasses import replace

from wsis._support.places import torch_device
from wsis.cli.options import Data, Setup
from wsis.runs.pipeline import Pipeline
from wsis.runs.recipes import Recipe, defaults
from wsis.runs.settings import Part, Settings


def miner_list(text: str) -> list[Part]:
    """Reads ``cim,mist:reading=box``; every miner is built once, so that it fails here.

    Raises:
        LookupError: if a miner is not installed.
        ValueError: if a setting is unknown or out of range, or nothing is named.
    """
    miners = [Part.parse(part) for part in text.split(",")]
    for miner in miners:
        miner.build("miners")
    return miners


def pipeline(setup: Setup) -> Pipeline:
    """The parts that the settings name, ready to run."""
    settings = Settings.read(setup.settings, recipe(setup.recipe).settings)
    return Pipeline(settings, setup.cache, torch_device(setup.device))


def recipe(name: str | None) -> Recipe:
    """The recipe of that name or path; what commands do anyway where there is none.

    Raises:
        UnknownRecipeError: if there is no such recipe.
        SettingsError: if a file of one's own is wrong.
    """
    return defaults() if name is None else Recipe.read(name)


def named(data: Data, setup: Setup) -> Data:
    """The data set that the options name, or else the recipe."""
    return data if data.name else replace(data, name=recipe(setup.recipe).data.label)
