"""What options are turned into: data sets, miners, pipelines, devices."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from wsis import plugins
from wsis.cli.errors import UsageError
from wsis.cli.options import Data, Device, Setup
from wsis.config import Part, Settings
from wsis.contracts import DataSource
from wsis.data.points import Pointed
from wsis.pipeline import Pipeline
from wsis.recipes import Recipe, defaults


def data_source(data: Data, *halves: Literal["train", "val"]) -> DataSource:
    """The data set that the options name, of which ``halves`` will be asked for.

    Every data set takes ``points=FILE`` among its settings, the training half's points.

    Raises:
        LookupError: if there is no such data set.
        ValueError: if it lacks a setting or does not have one that was given.
        UsageError: if the annotations of a half are missing.
    """
    options = {
        "root": data.root,
        "images": data.images,
        "train_json": data.train,
        "val_json": data.val,
        "val_images": data.val_images,
        "classes": data.classes,
    }
    given = {key: value for key, value in options.items() if value is not None}
    part, points = _without_points(Part.parse(data.name))
    source: DataSource = part.build("datasets", **given)
    for half in halves:
        if getattr(source, f"{half}_json", half) is None:
            need = f"expected --{half}: the annotations of these photos"
            raise UsageError(getattr(source, "lacks", need))
    return source if points is None else Pointed(source=source, file=Path(points))


def _without_points(part: Part) -> tuple[Part, str | None]:
    """The data set and its file of points, unless that is a setting of its own."""
    if "points" in plugins.settings("datasets", part.name):
        return part, None
    own = {key: value for key, value in part.settings.items() if key != "points"}
    return Part(name=part.name, settings=own), part.settings.get("points")


def category_ids(source: DataSource, classes: int) -> tuple[int, ...]:
    """The data set's own numbers of its classes; 1…C where it has none."""
    numbers = getattr(source, "category_ids", None)
    return tuple(range(1, classes + 1)) if numbers is None else tuple(numbers())


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


def torch_device(name: Device) -> torch.device:
    """The device itself; ``auto`` is the fastest one.

    Raises:
        UsageError: if this machine has no such device.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    choices = [device for device, present in there.items() if present]
    if name == "auto":
        return torch.device(choices[0])
    if name not in choices:
        raise UsageError(
            f"expected a device of this machine, got {name}; it has: "
            f"{', '.join(choices)}"
        )
    return torch.device(name)
