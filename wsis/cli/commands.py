"""Every command's options and help.

What a command does is imported when it runs, so that ``--help`` answers at once.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.core import TyperGroup

import wsis
from wsis import plugins
from wsis._support.places import cache_folder
from wsis.cli.errors import Guarded, UsageError
from wsis.cli.folders import refuse_existing, refuse_other
from wsis.cli.options import (
    CacheOption,
    ClassesOption,
    Data,
    DataOption,
    DeviceOption,
    ImagesOption,
    OverwriteOption,
    PhotosArgument,
    RecipeDataOption,
    RecipeOption,
    RefineSetOption,
    RootOption,
    SetOption,
    Setup,
    TrainOption,
    ValImagesOption,
    ValOption,
)
from wsis.cli.options import examples as _examples
from wsis.cli.proposal_commands import proposals

app = typer.Typer(
    name="wsis",
    cls=Guarded,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
recipes = typer.Typer(no_args_is_help=True, help="Look at recipes: settings by name.")
cues = typer.Typer(no_args_is_help=True, help="Look at cues.")


class _Benches(TyperGroup):
    """``bench`` with its own options, or one of its commands; told apart by context."""

    context_class = typer.Context


benches = typer.Typer(cls=_Benches, invoke_without_command=True)


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


@benches.callback(
    epilog=_examples(
        "wsis bench --miners cim,mist,oicr",
        "wsis bench --miners cim,cim:p_seed=0.2 --seeds 3 --set schedule.epochs=8",
        "wsis bench --vary sampler=none,anti_noise --miners cim --seeds 5",
        "wsis bench --ablate --seeds 3 --out ablation",
        "wsis bench --miners cim,mist --tuned tuned-cim --tuned tuned-mist --seeds 5",
        "wsis bench --miners cim,mist --seeds 3 --folds 5 --out folds",
        "wsis bench compare one-folder another-folder",
        "wsis bench --miners cim --data scenes:train_images=100:seed=3",
        "wsis bench --miners cim,mist:reading=box --data coco --images photos "
        "--train train.json --val val.json --classes voc",
    )
)
def bench(
    ctx: typer.Context,
    miners: Annotated[
        str | None,
        typer.Option(
            help="Miners with commas between, each with settings of its own if you "
            "like: cim,mist:reading=box. See: wsis parts miners."
        ),
    ] = None,
    vary: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT=VALUE,VALUE,...",
            help="Compare values of one part or setting, with one miner (cim by "
            "default): miner, sampler, proposals, backbone, head, cues, assigner, or "
            "any other such as schedule.lr.",
        ),
    ] = None,
    ablate: Annotated[
        bool,
        typer.Option(
            "--ablate",
            help="Compare CIM with itself without each of its components in turn.",
        ),
    ] = False,
    tuned: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="Compare what wsis tune chose, beside --miners or without; "
            "repeatable.",
        ),
    ] = None,
    trace: Annotated[
        bool,
        typer.Option(
            "--trace",
            help="Compare what branches are taught with the masks of the training "
            "photos, from outside: training sees none of them.",
        ),
    ] = False,
    seeds: Annotated[
        int, typer.Option(min=1, help="Every strategy runs with seeds 0 to N-1.")
    ] = 1,
    folds: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help="Cross-validate: part the images of both halves in K, from 2 up, and "
            "hold each part out once, for every strategy and seed.",
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Processes, of one thread each if several.")
    ] = min(2, os.cpu_count() or 1),
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for results.json, report.html and all runs; new, or of the "
            "same bench, which is gone on with."
        ),
    ] = Path("wsis-bench"),
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with the bench in --out, as also without it."
        ),
    ] = False,
    recipe: RecipeOption = None,
    data: RecipeDataOption = None,
    root: RootOption = None,
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
    """Compare strategies under identical settings, and write a report.

    Proposals and frozen features are made once and kept in the cache; every strategy
    then trains from the same weights on the same images in the same order. Two further
    rows tell what the proposals allow at best (oracle) and give by chance (random).

    Every finished run is kept in --out: stopped at any moment and started again, the
    same command does what is missing. Differences to the first strategy come with 95 %
    intervals and a verdict; one seed shows nothing.
    """
    if ctx.invoked_subcommand is not None:
        return
    if overwrite and resume:
        raise UsageError("expected --overwrite or --resume, got both")
    from wsis.cli.benching import Compared
    from wsis.cli.benching import bench as run_bench
    from wsis.experiments.journal import DESIGN

    refuse_other(out, DESIGN, overwrite=overwrite)
    compared = Compared(miners=miners, vary=vary, ablate=ablate, tuned=tuned or ())
    chosen = Data(data or "", images, train, val, val_images, classes, root)
    setup = Setup(tuple(settings or ()), device, cache_folder(cache), recipe)
    run_bench(
        compared,
        seeds,
        jobs,
        out,
        chosen,
        setup,
        overwrite=overwrite,
        trace=trace,
        folds=folds,
    )


@benches.command(
    epilog=_examples("wsis bench compare wsis-bench other --json verdict.json")
)
def compare(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER...", help="What wsis bench wrote, two or more."),
    ],
    figures: Annotated[
        Path | None, typer.Option("--json", help="Write the verdict to this file.")
    ] = None,
) -> None:
    """Judge the strategies of several benches against the first one's first.

    Folders are refused, and the difference is named, if their settings, data, objects
    or versions differ; seeds may.
    """
    from wsis.cli.benching import compare_benches

    compare_benches(folders, figures)


app.add_typer(benches, name="bench")


@app.command(
    epilog=_examples(
        "wsis tune --data folder --root photos",
        "wsis tune --miner cim --settings 40 --seeds 2 --set schedule.epochs=5",
        "wsis tune --sweep p_seed=0.01..0.3:log --sweep t_cls=0.1..0.5 --by flips",
        "wsis tune --miner pcl --sweep clusters=2..6:int --sweep schedule.lr="
        "1e-5..1e-3:log",
        "wsis tune --data coco --images photos --train train.json --val val.json",
    )
)
def tune(
    miner: Annotated[
        str,
        typer.Option(
            help="Miner, with settings of its own that are not swept: "
            "cim:oversize=0.8. See: wsis parts miners."
        ),
    ] = "cim",
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LOW..HIGH",
            help="A setting and its range, with :log for equal factors or :int for "
            "whole numbers; repeatable. A field of the miner or the assigner, of both "
            "where they share its value (miner.NAME, assigner.NAME: of one), or any "
            "setting, such as schedule.lr. For cim: p_seed, containment, t_cls, t_iou, "
            "step, unless others are named.",
        ),
    ] = None,
    count: Annotated[
        int,
        typer.Option(
            "--settings",
            min=2,
            help="How many settings are tried, the default among them. More may be "
            "asked for later with the same --out.",
        ),
    ] = 40,
    seeds: Annotated[
        int, typer.Option(min=1, help="Every setting runs with seeds 0 to N-1.")
    ] = 1,
    held_out: Annotated[
        float,
        typer.Option(
            help="Share of the tagged training photos, in (0, 1), that training does "
            "not see and that settings are ranked by."
        ),
    ] = 0.25,
    views: Annotated[
        int,
        typer.Option(
            min=0,
            help="How many of these are looked at mirrored and smaller, too, for the "
            "criteria flips and scales.",
        ),
    ] = 60,
    by: Annotated[
        str,
        typer.Option(
            help="Criterion that chooses: combined, tag-ap, bag-ap, agreement, flips, "
            "scales, integrity, evidence or loss. All are reported."
        ),
    ] = "evidence",
    judge: Annotated[
        bool | None,
        typer.Option(
            "--judge/--no-judge",
            help="Whether the masks of the validation photos tell how well the "
            "criteria rank; they choose nothing. Where there are some, unless told.",
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Processes, of one thread each if several.")
    ] = min(2, os.cpu_count() or 1),
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for tune.json, tune.csv, tune.html and all trials; new, or of "
            "the same tuning, which is gone on with."
        ),
    ] = Path("wsis-tune"),
    recipe: RecipeOption = None,
    data: RecipeDataOption = None,
    root: RootOption = None,
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
    """Set thresholds from tags alone, and see how far that can be trusted.

    Settings are drawn evenly over their ranges, trained, and ranked by what their
    models do on held-out photos of which only the tags are known. Where there are
    masks, these tell afterwards how well each criterion ranks. Ends with the options
    of wsis bench for the choice.

    Every finished trial is kept in --out: stopped at any moment and started again, the
    same command does what is missing.
    """
    from wsis.cli.tuning import Asked
    from wsis.cli.tuning import tune as run_tune
    from wsis.experiments.tuning.folder import DESIGN

    refuse_other(out, DESIGN, overwrite=overwrite)
    asked = Asked(
        miner=miner,
        sweeps=sweep or [],
        settings=count,
        seeds=seeds,
        held_out=held_out,
        views=views,
        by=by,
        judge=judge,
    )
    chosen = Data(data or "", images, train, val, val_images, classes, root)
    setup = Setup(tuple(settings or ()), device, cache_folder(cache), recipe)
    run_tune(asked, jobs, out, chosen, setup, overwrite=overwrite)


@app.command(
    epilog=_examples(
        "wsis train --out run",
        "wsis train --out run --data coco --images photos --train tags.json --resume",
        "wsis train --out run --data folder --root photos",
        "wsis train --out run --recipe voc12-cim-r50 --root VOCdevkit "
        "--set backbone.weights=resnet50.pth",
    )
)
def train(
    out: Annotated[Path, typer.Option(help="Folder of the run, new unless --resume.")],
    miner: Annotated[
        str | None,
        typer.Option(
            help="A miner, with settings: cim:p_seed=0.2. The recipe's, or cim."
        ),
    ] = None,
    recipe: RecipeOption = None,
    data: RecipeDataOption = None,
    root: RootOption = None,
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
    from wsis.cli.training import train as run_train

    chosen = Data(data or "", images, train, val, None, classes, root)
    setup = Setup(tuple(settings or ()), device, cache_folder(cache), recipe)
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

    For every photo a PNG with its likeliest instances drawn: five at most, of scores
    near the photo's best. predictions.json has all, as a COCO data set of images,
    annotations with scores, and categories; results.json is COCO's list of results. A
    photo that cannot be read is reported and left out.
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
    root: RootOption = None,
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

    chosen = Data(data, images, train, val, val_images, classes, root)
    setup = Setup((), device, cache_folder(cache))
    run_evaluate(run, predictions, chosen, setup, figures=figures)


@app.command(
    epilog=_examples(
        "wsis refine --run run --out refined",
        "wsis refine --run run --out refined --data coco --images photos "
        "--train tags.json --val val.json",
        "wsis refine --run run --out refined --detector r50 --set weights=resnet50.pth",
    )
)
def refine(
    run: Annotated[Path, typer.Option(help="Folder of a trained run.")],
    out: Annotated[Path, typer.Option(help="New folder, unless --resume.")],
    data: DataOption = "scenes",
    root: RootOption = None,
    images: ImagesOption = None,
    train: TrainOption = None,
    val: ValOption = None,
    val_images: ValImagesOption = None,
    classes: ClassesOption = None,
    detector: Annotated[
        Literal["small", "r50"],
        typer.Option(
            help="Mask R-CNN on EfficientNet-Lite0 for CPUs, or the paper's R50-FPN."
        ),
    ] = "small",
    min_score: Annotated[
        float, typer.Option(min=0, max=1, help="Trust instances with this score.")
    ] = 0.3,
    top_per_tag: Annotated[
        int,
        typer.Option(min=0, help="Trust so many of each tag's best in any case."),
    ] = 1,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the labelled photos.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything drawn.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last finished epoch.")
    ] = False,
    settings: RefineSetOption = None,
    device: DeviceOption = "auto",
    cache: CacheOption = None,
) -> None:
    """Teach a Mask R-CNN what a run finds on its training photos (CIM+).

    Instances of the photo's tags with a high score, and the best of each tag, become
    pseudo labels; no mask of a training photo is read. The folder holds
    pseudo_labels.json (a COCO data set), refined.json and model.safetensors; predict
    and evaluate take it as they take a run. With validation photos also results.json
    and figures.json, before and after.
    """
    from wsis.runs.refine import DETECTORS, RefineSettings

    chosen = Data(data, images, train, val, val_images, classes, root)
    trust = (f"trust.min_score={min_score}", f"trust.top_per_tag={top_per_tag}")
    length = () if epochs is None else (f"schedule.epochs={epochs}",)
    overrides = (*trust, *length, *(settings or ()))
    wanted = RefineSettings.read(DETECTORS[detector], overrides)
    refuse_existing(out, overwrite=resume, instead="--resume to go on with it")
    from wsis.cli.refining import refine as run_refine

    setup = Setup((), device, cache_folder(cache))
    run_refine(run, out, chosen, wanted, setup, seed=seed, resume=resume)


@app.command(epilog=_examples("wsis report wsis-bench"))
def report(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder that wsis bench wrote.")
    ],
) -> None:
    """Build a bench's report.html again from the files of its folder.

    results.json has the figures and report.json the pictures; without the latter the
    page has none. Neither photos nor masks are read.
    """
    from wsis.cli.reporting import report as run_report

    run_report(folder)


app.add_typer(proposals, name="proposals")


@recipes.command("list")
def list_recipes() -> None:
    """List the recipes that come with wsis."""
    from wsis.cli.recipes import list_recipes as run_list

    run_list()


@recipes.command("show", epilog=_examples("wsis recipe show voc12-cim-r50"))
def show_recipe(
    name: Annotated[str, typer.Argument(help="A recipe, or a TOML file of your own.")],
) -> None:
    """Show every setting of a recipe, the parts' defaults included."""
    from wsis.cli.recipes import show_recipe as run_show

    run_show(name)


@recipes.command(
    epilog=_examples(
        "wsis recipe diff voc12-cim-r50",
        "wsis recipe diff voc12-cim-r50 voc12-cim-vgg16",
    )
)
def diff(
    name: Annotated[str, typer.Argument(help="A recipe, or a TOML file of your own.")],
    other: Annotated[
        str | None,
        typer.Argument(help="Another one; the defaults of wsis if not given."),
    ] = None,
) -> None:
    """Show what differs between two recipes, or one and the defaults."""
    from wsis.cli.recipes import diff_recipes

    diff_recipes(name, other)


app.add_typer(recipes, name="recipe")


@app.command(
    epilog=_examples(
        "wsis convert model_step89999.pth --recipe voc12-cim-r50 --out run"
    )
)
def convert(
    checkpoint: Annotated[
        Path,
        typer.Argument(help="Of CIM's authors: .pth (tensors only) or .safetensors."),
    ],
    recipe: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Which model it is of. See: wsis recipe list."
        ),
    ],
    out: Annotated[Path, typer.Option(help="New folder of the run.")],
    settings: SetOption = None,
    cache: CacheOption = None,
) -> None:
    """Make a run of a checkpoint that the authors of CIM released.

    Every tensor of the model must be in the file, of the right shape, and every tensor
    of the file must be used. The folder is what predict and evaluate take.
    """
    refuse_existing(out)
    from wsis.cli.converting import convert as run_convert

    setup = Setup(tuple(settings or ()), "cpu", cache_folder(cache), recipe)
    run_convert(checkpoint, out, setup)


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
    recipe: RecipeOption = None,
    data: RecipeDataOption = None,
    root: RootOption = None,
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

    chosen = Data(data or "", images, train, None, None, classes, root)
    setup = Setup(tuple(settings or ()), device, cache_folder(cache), recipe)
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
