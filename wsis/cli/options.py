"""Options that several commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

Device = Literal["auto", "cpu", "cuda", "mps"]

DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        help="Data set: scenes (drawn), voc, coco, or another installed one, with its "
        "settings: scenes:train_images=100:seed=3; coco:points=FILE.csv adds points.",
        rich_help_panel="Data",
    ),
]
RootOption = Annotated[
    Path | None,
    typer.Option(
        "--root",
        help="Folder of the whole data set: VOCdevkit for voc, COCO as it is unpacked "
        "for coco, tagged photos for folder.",
        rich_help_panel="Data",
    ),
]
RecipeOption = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="NAME",
        help="A recipe, or a TOML file of your own, that --set then changes. See: wsis "
        "recipe list.",
    ),
]
RecipeDataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="Data set: scenes (drawn), voc, coco, folder, or another installed one, "
        "with its settings: scenes:train_images=100:seed=3. The recipe's, or scenes, "
        "if not given.",
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
RefineSetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting of the detector, such as sides=320 or schedule.lr=1e-4; "
        "repeatable.",
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
JobsOption = Annotated[
    int, typer.Option("--jobs", min=1, help="Processes, of one thread each if several.")
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        help="Dask scheduler whose workers do the work instead, such as "
        "tcp://10.0.0.1:8786; they see the same files.",
    ),
]
PhotosArgument = Annotated[
    list[Path], typer.Argument(metavar="IMAGE...", help="Photos, or folders of photos.")
]


def examples(*lines: str) -> str:
    """The end of a command's help."""
    # Typer joins lines and keeps paragraphs apart.
    return "\n\n".join(("Examples:", *lines))


@dataclass(frozen=True, slots=True)
class Data:
    """A data set as the options name it; None leaves a setting at its default.

    Args:
        name: with further settings: ``scenes:seed=3``; empty for a recipe's.
        images: folder of the photos.
        train: annotations of the training photos.
        val: annotations of the validation photos.
        val_images: folder of the validation photos.
        classes: which ones.
        root: folder of the whole data set.
    """

    name: str
    images: Path | None
    train: Path | None
    val: Path | None
    val_images: Path | None
    classes: str | None
    root: Path | None = None


@dataclass(frozen=True, slots=True)
class Setup:
    """Settings, where models run, where caches are, and what settings begin with."""

    settings: tuple[str, ...]
    device: Device
    cache: Path
    recipe: str | None = None
