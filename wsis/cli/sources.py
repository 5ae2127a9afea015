"""Data sets from options; apart from what needs the network, which is slow to load."""

from pathlib import Path
from typing import Literal

from wsis import plugins
from wsis.cli.errors import UsageError
from wsis.cli.options import Data
from wsis.contracts import DataSource
from wsis.data.points import Pointed
from wsis.runs.settings import Part


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
