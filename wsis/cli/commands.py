"""Every command's options and help.

What a command does is imported when it runs, so that ``--help`` answers at once.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

import wsis
from wsis import plugins
from wsis.cli.errors import Guarded, UsageError
from wsis.cli.folders import refuse_existing
from wsis.cli.options import (
    CacheOption,
    ClassesOption,
    Data,
    DataOption,
    DeviceOption,
    ImagesOption,
    OverwriteOption,
    PhotosArgument,
    SetOption,
    Setup,
    TrainOption,
    ValImagesOption,
    ValOption,
    cache_folder,
)

app = typer.Typer(
    name="wsis",
    cls=Guarded,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
proposals = typer.Typer(no_args_is_help=True, help="Look at mask proposals.")
cues = typer.Typer(no_args_is_help=True, help="Look at cues.")


def _examples(*lines: str) -> str:
    # Typer joins lines and keeps paragraphs apart.
    return "\n\n".join(("Examples:", *lines))


def _version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"wsis {wsis.__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", envvar="WSIS_DEBUG", help="Show tracebacks of errors."),
    ] = False,
) -> None:
    """Instance masks from image-level tags.

    Exit codes: 0 fine, 1 something failed at work, 2 wrong usage.
    """
    del version, debug


@app.command(
    epilog=_examples(
        "wsis bench --miners cim,mist,oicr",
        "wsis bench --miners cim,cim:p_seed=0.2 --seeds 3 --set schedule.epochs=8",
        "wsis bench --miners cim --data scenes:train_images=100:seed=3",
        "wsis bench --miners cim,mist:reading=box --data coco --images photos "
        "--train train.json --val val.json --classes voc",
    )
)
def bench(
    miners: Annotated[
        str,
        typer.Option(
            help="Miners with commas between, each with settings of its own if you "
            "like: cim,mist:reading=box. See: wsis parts miners."
        ),
    ],
    seeds: Annotated[
        int, typer.Option(min=1, help="Every miner runs with seeds 0 to N-1.")
    ] = 1,
    jobs: Annotated[
        int, typer.Option(min=1, help="Processes, of one thread each if several.")
    ] = min(2, os.cpu_count() or 1),
    out: Annotated[
        Path, typer.Option(help="New folder for results.json and report.html.")
    ] = Path("wsis-bench"),
    data: DataOption = "scenes",
    images: ImagesOption = None,
    train: TrainOption = None,
    val: ValOption = None,
    val_images: ValImagesOption = None,
    classes: ClassesOption = None,
    settings: SetOption = None,
    device: DeviceOption = "auto",
    cache: CacheOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Compare mining strategies under identical settings, and write a report.

    Proposals and frozen features are made once and kept in the cache; every miner then
    trains from the same weights on the same images in the same order. Two further rows
    tell what the proposals allow at best (oracle) and give by chance (random).
    """
    refuse_existing(out, overwrite=overwrite)
    from wsis.cli.benching import bench as run_bench

    chosen = Data(data, images, train, val, val_images, classes)
    setup = Setup(tuple(settings or ()), device, cache_folder(cache))
    run_bench(miners, seeds, jobs, out, chosen, setup, overwrite=overwrite)


@app.command(
    epilog=_examples(
        "wsis train --out run",
        "wsis train --out run --data coco --images photos --train tags.json --resume",
    )
)
def train(
    out: Annotated[Path, typer.Option(help="Folder of the run, new unless --resume.")],
    miner: Annotated[
        str, typer.Option(help="A miner, with settings: cim:p_seed=0.2.")
    ] = "cim",
    data: DataOption = "scenes",
    images: ImagesOption = None,
    train: TrainOption = None,
    val: ValOption = None,
    classes: ClassesOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything drawn.")] = 0,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Stop after so many images in all, resumed included."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last finished epoch.")
    ] = False,
    settings: SetOption = None,
    device: DeviceOption = "auto",
    cache: CacheOption = None,
) -> None:
    """Train a model from tags alone; the folder is what predict and evaluate take.

    A checkpoint is written after every epoch. The folder holds model.safetensors and
    run.json: settings, classes, labels consumed, versions, losses.
    """
    refuse_existing(out, overwrite=resume, instead="--resume to go on with its run")
    from wsis.cli.training import train as run_train

    chosen = Data(data, images, train, val, None, classes)
    setup = Setup(tuple(settings or ()), device, cache_folder(cache))
    run_train(out, miner, chosen, setup, seed=seed, steps=steps, resume=resume)


@app.command(
    epilog=_examples(
        "wsis predict photo.jpg --run run --out found",
        "wsis predict holiday/ more/ --run run --out found --min-score 0.1",
    )
)
def predict(
    photos: PhotosArgument,
    run: Annotated[Path, typer.Option(help="Folder of a trained run.")],
    out: Annotated[
        Path,
        typer.Option(help="New folder: overlays, predictions.json, results.json."),
    ],
    min_score: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out instances below.")
    ] = 0.0,
    device: DeviceOption = "auto",
    cache: CacheOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Find instances on photos with a trained run.

    For every photo a PNG with its instances drawn. predictions.json is a COCO data set
    of images, annotations with scores, and categories; results.json is COCO's list of
    results. A photo that cannot be read is reported and left out.
    """
    refuse_existing(out, overwrite=overwrite)
    from wsis.cli.predicting import predict as run_predict

    setup = Setup((), device, cache_folder(cache))
    run_predict(photos, run, out, setup, min_score=min_score, overwrite=overwrite)


@app.command(
    epilog=_examples(
        "wsis evaluate --run run",
        "wsis evaluate --predictions results.json --data coco --images photos "
        "--val val.json --json figures.json",
    )
)
def evaluate(
    run: Annotated[Path | None, typer.Option(help="Folder of a trained run.")] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(help="COCO's list of results, of the validation photos."),
    ] = None,
    data: DataOption = "scenes",
    images: ImagesOption = None,
    train: TrainOption = None,
    val: ValOption = None,
    val_images: ValImagesOption = None,
    classes: ClassesOption = None,
    figures: Annotated[
        Path | None, typer.Option("--json", help="Write all figures to this file.")
    ] = None,
    device: DeviceOption = "auto",
    cache: CacheOption = None,
) -> None:
    """Measure a run, a file of predictions, or both, against ground truth.

    With a run, two further rows tell what its proposals allow at best (oracle) and give
    by chance (random).
    """
    if run is None and predictions is None:
        raise UsageError("expected --run, --predictions or both, got neither")
    from wsis.cli.evaluating import evaluate as run_evaluate

    chosen = Data(data, images, train, val, val_images, classes)
    setup = Setup((), device, cache_folder(cache))
    run_evaluate(run, predictions, chosen, setup, figures=figures)


@proposals.command(
    epilog=_examples(
        "wsis proposals show photo.jpg --out looks",
        "wsis proposals show photos/ --out looks --source region_tree:nodes=300",
    )
)
def show(
    photos: PhotosArgument,
    out: Annotated[Path, typer.Option(help="New folder for one PNG a photo.")],
    source: Annotated[
        str, typer.Option(help="A source, with settings. See: wsis parts sources.")
    ] = "region_tree",
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


app.add_typer(proposals, name="proposals")


@cues.command(
    "show",
    epilog=_examples(
        "wsis cues show --out looks --set cues=agpl",
        "wsis cues show one.jpg two.jpg --out looks --data coco --images photos "
        "--train tags.json --set cues=cam:prominence=0.35",
    ),
)
def show_cues(
    out: Annotated[Path, typer.Option(help="New folder for one PNG a photo.")],
    photos: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Training photos, as the data set names them; some without.",
        ),
    ] = None,
    data: DataOption = "scenes",
    images: ImagesOption = None,
    train: TrainOption = None,
    classes: ClassesOption = None,
    limit: Annotated[
        int, typer.Option(min=1, help="How many photos, where none is named.")
    ] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Of everything drawn.")] = 0,
    settings: SetOption = None,
    device: DeviceOption = "auto",
    cache: CacheOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Draw the peaks and clusters that cues give to training photos.

    The cues are learned from all the training photos' tags first. Left: peaks, where
    the cues have any, the most trusted with a light rim; right: what most proposals of
    each cluster agree on.
    """
    refuse_existing(out, overwrite=overwrite)
    from wsis.cli.cueing import show as run_show

    chosen = Data(data, images, train, None, None, classes)
    setup = Setup(tuple(settings or ()), device, cache_folder(cache))
    run_show(
        photos or [], out, chosen, setup, limit=limit, seed=seed, overwrite=overwrite
    )


app.add_typer(cues, name="cues")


@app.command(epilog=_examples("wsis parts", "wsis parts miners"))
def parts(
    kind: Annotated[
        plugins.Kind | None, typer.Argument(help="Only parts of this kind.")
    ] = None,
) -> None:
    """List the installed parts with their settings, third parties' included."""
    from wsis.cli.listing import parts as run_parts

    run_parts(plugins.KINDS if kind is None else [kind])


@app.command()
def doctor(cache: CacheOption = None) -> None:
    """Check versions, devices, weights, parts, the cache; exit 1 if one is broken."""
    from wsis.cli.checking import doctor as run_doctor

    run_doctor(cache_folder(cache))
