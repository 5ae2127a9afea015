"""The options and help of ``wsis proposals``."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from wsis.cli.folders import refuse_existing
from wsis.cli.options import (
    ClassesOption,
    ClusterOption,
    Data,
    DataOption,
    ImagesOption,
    JobsOption,
    OverwriteOption,
    PhotosArgument,
    RootOption,
    TrainOption,
    ValImagesOption,
    ValOption,
)
from wsis.cli.options import examples as _examples

proposals = typer.Typer(
    no_args_is_help=True, help="Make, import, look at and measure mask proposals."
)

JOBS = min(2, os.cpu_count() or 1)

SourceOption = Annotated[
    str, typer.Option(help="A source, with settings. See: wsis parts sources.")
]
StoreArgument = Annotated[
    Path, typer.Argument(metavar="STORE", help="Folder that make or import wrote.")
]
StoreOption = Annotated[
    Path,
    typer.Option(
        "--out", help="Folder of the store: a new one, or one to add photos to."
    ),
]


@proposals.command(
    epilog=_examples(
        "wsis proposals make photos/ --out store --jobs 4",
        "wsis proposals make --data coco --images photos --train train.json "
        "--val val.json --out store --source region_tree:nodes=900",
        "wsis proposals make photos/ --out store --cluster tcp://10.0.0.1:8786",
        "wsis train --data coco --images photos --train train.json --out run "
        "--set source=files:path=store",
    )
)
def make(
    out: StoreOption,
    photos: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[IMAGE]...", help="Photos, or folders of photos."),
    ] = None,
    source: SourceOption = "region_tree",
    jobs: JobsOption = JOBS,
    cluster: ClusterOption = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            help="Data set whose photos are taken, instead of IMAGE: coco, scenes.",
            rich_help_panel="Data",
        ),
    ] = None,
    root: RootOption = None,
    images: ImagesOption = None,
    train: TrainOption = None,
    val: ValOption = None,
    val_images: ValImagesOption = None,
) -> None:
    """Make the proposals of many photos and keep them in a store.

    Whatever interrupts it, the same command goes on where it was: photos whose
    proposals are there are passed over. A photo that fails is reported and left out,
    and the exit code is 1.
    """
    from wsis.cli.storing import make as run_make

    chosen = (
        None if data is None else Data(data, images, train, val, val_images, None, root)
    )
    run_make(photos or [], chosen, out, source, jobs=jobs, address=cluster)


@proposals.command(
    name="import",
    epilog=_examples(
        "wsis proposals import MCG/ --format mcg --images photos --out store",
        "wsis proposals import results.json --format coco --images photos "
        "--val val.json --out store --supervision masks",
        "wsis proposals import masks/ --format png --images photos --out store "
        "--supervision none",
    ),
)
def import_(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file or a folder.")],
    form: Annotated[
        Literal["mcg", "cob", "mat", "coco", "png", "npz"],
        typer.Option(
            "--format",
            help="mcg, cob, mat: a .mat a photo; coco: a json of results or of images "
            "and annotations; png: a folder of masks a photo, or PHOTO_NUMBER.png; "
            "npz: a file of masks (N, H, W) a photo.",
        ),
    ],
    images: Annotated[
        Path, typer.Option(help="Folder of the photos.", rich_help_panel="Data")
    ],
    out: StoreOption,
    supervision: Annotated[
        str | None,
        typer.Option(
            help="What people had to label for these proposals to exist: none, or "
            "boundaries, masks, points, tags with commas between. Known for mcg, cob "
            "and files that wsis exported."
        ),
    ] = None,
    jobs: JobsOption = JOBS,
    cluster: ClusterOption = None,
    train: TrainOption = None,
    val: ValOption = None,
    val_images: ValImagesOption = None,
) -> None:
    """Read proposals that others made into a store.

    They are matched with photos by name, with or without suffix, or by number; --train
    and --val give the photos' numbers, where names do not. Pickles are refused, as
    reading one runs whatever code it holds.
    """
    from wsis.cli.storing import import_proposals

    given = train is not None or val is not None
    chosen = Data("coco", images, train, val, val_images, None) if given else None
    import_proposals(
        path, form, [images], chosen, out, supervision, jobs=jobs, address=cluster
    )


@proposals.command(epilog=_examples("wsis proposals export store --out masks.json"))
def export(
    store: StoreArgument,
    out: Annotated[Path, typer.Option(help="New COCO JSON file.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file.")
    ] = False,
) -> None:
    """Write a store's proposals as a COCO data set with scores."""
    from wsis.cli.storing import export as run_export

    run_export(store, out, overwrite=overwrite)


@proposals.command(epilog=_examples("wsis proposals verify store"))
def verify(store: StoreArgument) -> None:
    """Read a whole store and compare it with its checksums; exit 1 if it is damaged."""
    from wsis.cli.storing import verify as run_verify

    run_verify(store)


@proposals.command(
    epilog=_examples(
        "wsis proposals evaluate --source region_tree --data coco --images photos "
        "--val val.json --out tree.json",
        "wsis proposals evaluate --store store --data coco --images photos "
        "--val val.json --out mcg.json --curves curves.svg --beside tree.json",
    )
)
def evaluate(
    source: SourceOption = "region_tree",
    store: Annotated[
        Path | None, typer.Option(help="Measure this store instead of a source.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, help="Most masks an image, its first ones.")
    ] = 1000,
    data: DataOption = "scenes",
    root: RootOption = None,
    images: ImagesOption = None,
    val: ValOption = None,
    val_images: ValImagesOption = None,
    classes: ClassesOption = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write all figures, as fractions, to this JSON file."),
    ] = None,
    curves: Annotated[
        Path | None,
        typer.Option(help="Draw figures against masks an image: .svg, .png or .pdf."),
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(help="A file that --out wrote, drawn as well; repeatable."),
    ] = None,
    jobs: JobsOption = 1,
    cluster: ClusterOption = None,
) -> None:
    """Measure how well proposals cover annotated objects.

    ABO is the average best overlap, AR the recall averaged over IoU 0.5 to 0.95, the
    oracle the highest mAP that any choice among these masks could have; over all
    objects but crowds, by masks an image and by COCO's sizes.
    """
    from wsis.cli.covering import evaluate as run_evaluate

    chosen = Data(data, images, None, val, val_images, classes, root)
    run_evaluate(
        source,
        store,
        chosen,
        limit=limit,
        out=out,
        curves=curves,
        beside=beside or [],
        jobs=jobs,
        address=cluster,
    )


@proposals.command(
    epilog=_examples(
        "wsis proposals show photo.jpg --out looks",
        "wsis proposals show photos/ --out looks --source region_tree:nodes=300",
    )
)
def show(
    photos: PhotosArgument,
    out: Annotated[Path, typer.Option(help="New folder for one PNG a photo.")],
    source: SourceOption = "region_tree",
    limit: Annotated[
        int, typer.Option(min=1, help="How many proposals are drawn.")
    ] = 11,
    overwrite: OverwriteOption = False,
) -> None:
    """Draw the regions of photos and their first proposals, best first.

    Prints how many proposals there are and how long they took.
    """
    refuse_existing(out, overwrite=overwrite)
    from wsis.cli.showing import show as run_show

    run_show(photos, out, source, limit=limit, overwrite=overwrite)
