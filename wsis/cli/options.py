"""Options that several commands share, and what they are turned into."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from wsis.cli.errors import UsageError

if TYPE_CHECKING:
    import torch

    from wsis.config import Part
    from wsis.contracts import DataSource
    from wsis.pipeline import Pipeline

Device = Literal["auto", "cpu", "cuda", "mps"]

DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        help="Data set: scenes (drawn), coco, or another installed one, with its "
        "settings: scenes:train_images=100:seed=3.",
        rich_help_panel="Data",
    ),
]
ImagesOption = Annotated[
    Path | None,
    typer.Option("--images", help="Folder of the photos.", rich_help_panel="Data"),
]
TrainOption = Annotated[
    Path | None,
    typer.Option(
        "--train",
        help="COCO JSON of the training photos; only tags are read.",
        rich_help_panel="Data",
    ),
]
ValOption = Annotated[
    Path | None,
    typer.Option(
        "--val", help="COCO JSON of the validation photos.", rich_help_panel="Data"
    ),
]
ValImagesOption = Annotated[
    Path | None,
    typer.Option(
        "--val-images",
        help="Folder of the validation photos, where it is another one.",
        rich_help_panel="Data",
    ),
]
ClassesOption = Annotated[
    str | None,
    typer.Option(
        "--classes",
        help="all, voc (the 20 of PASCAL VOC), or names with commas between.",
        rich_help_panel="Data",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting, such as schedule.epochs=3 or source.nodes=300; repeatable.",
    ),
]
DeviceOption = Annotated[
    Device, typer.Option("--device", help="Where models run; auto takes the fastest.")
]
CacheOption = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        envvar="WSIS_CACHE",
        help="Folder that keeps proposals and frozen features between commands.",
    ),
]
OverwriteOption = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace files of the same name in --out."),
]
RunOption = Annotated[Path, typer.Option("--run", help="Folder of a trained run.")]
PhotosArgument = Annotated[
    list[Path], typer.Argument(metavar="IMAGE...", help="Photos, or folders of photos.")
]


def data_source(
    name: str, *halves: Literal["train", "val"], **options: Path | str | None
) -> "DataSource":
    """The data set ``name``, with the settings that were given as options.

    Args:
        name: with further settings: ``scenes:seed=3``.
        halves: what will be asked for.
        options: by the name of the setting; None leaves it at its default.

    Raises:
        LookupError: if there is no such data set.
        ValueError: if it lacks a setting or does not have one that was given.
        UsageError: if the annotations of a half are missing.
    """
    from wsis.config import Part

    given = {key: value for key, value in options.items() if value is not None}
    source: DataSource = Part.parse(name).build("datasets", **given)
    for half in halves:
        if getattr(source, f"{half}_json", half) is None:
            raise UsageError(f"expected --{half}: the annotations of these photos")
    return source


def category_ids(data: "DataSource") -> tuple[int, ...]:
    """The data set's own numbers of its classes; 1…C where it has none."""
    numbers = getattr(data, "category_ids", None)
    if numbers is None:
        return ()
    return tuple(numbers())


def miner_list(text: str) -> list["Part"]:
    """Reads ``cim,mist:reading=box``; every miner is built once, so that it fails here.

    Raises:
        LookupError: if a miner is not installed.
        ValueError: if a setting is unknown or out of range, or nothing is named.
    """
    from wsis.config import Part

    miners = [Part.parse(part) for part in text.split(",")]
    for miner in miners:
        miner.build("miners")
    return miners


def pipeline(
    settings: Sequence[str] | None, cache: Path | None, device: Device
) -> "Pipeline":
    """The parts that the settings name, ready to run."""
    from wsis.config import Settings
    from wsis.pipeline import Pipeline

    return Pipeline(
        Settings.read(settings or ()), cache or default_cache(), torch_device(device)
    )


def torch_device(name: Device) -> "torch.device":
    """The device itself.

    Raises:
        UsageError: if this machine has no such device.
    """
    import torch

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


def default_cache() -> Path:
    """Where caches go on this system, when neither option nor WSIS_CACHE says."""
    if value := os.environ.get("WSIS_CACHE"):
        return Path(value)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "wsis"
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    root = os.environ.get(variable)
    return (Path(root) if root else Path.home() / ".cache") / "wsis"
