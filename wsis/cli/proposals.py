"""``wsis proposals``: makes, imports, shows and measures mask proposals."""

import time
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from wsis.cli import _options as options
from wsis.cli._errors import UsageError, message
from wsis.cli._files import refuse_existing, refuse_inputs
from wsis.cli._next import then

if TYPE_CHECKING:
    from wsis.contracts import Ledger
    from wsis.proposals.making import Filled, Photo, Work

app = options.command_group(
    name="proposals",
    no_args_is_help=True,
    help="Make, import, look at and measure mask proposals.",
)


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


@options.command(app.command)
def make(
    *,
    out: StoreOption,
    photos: Annotated[list[Path] | None, typer.Argument(metavar="[IMAGE]...")] = None,
    source: SourceOption = "region_tree",
    jobs: options.Jobs = options.JOBS,
    cluster: options.Cluster = None,
    data: Annotated[options.Data, options.without("classes")],
) -> None:
    """Make the proposals of many photos and keep them in a store.

    The photos are files, or those of a data set (--data). After an interruption the
    same command resumes: photos whose proposals are there are skipped. A photo that
    fails is reported and left out, and the exit code is 1.

    Args:
        photos: Photos, or folders of photos, without --data.

    Examples:
        wsis proposals make photos/ --out store --jobs 4
        wsis proposals make --data coco --images photos --train train.json
            --val val.json --out store --source region_tree:nodes=900
        wsis proposals make photos/ --out store --cluster tcp://10.0.0.1:8786
        wsis train --data coco --images photos --train train.json --out run
            --set source=files:path=store
    """
    from wsis import __version__
    from wsis.data.images import images_in
    from wsis.plugins import weights_of
    from wsis.proposals.making import file_photo, make_jobs
    from wsis.proposals.shards import About
    from wsis.runs.settings import Part

    if bool(photos) == (data.name is not None):
        raise UsageError("expected photos or --data, one of the two")
    part = Part.parse(source)
    built = part.build("sources")
    settings = {**part.resolved("sources"), **weights_of(built), "wsis": __version__}
    ledger: Ledger = built.ledger
    found = [file_photo(path) for path in images_in(photos)] if photos else _of(data)
    _fill(
        out,
        About(source=part.name, settings=settings, ledger=ledger),
        make_jobs(found, part.name, part.settings),
        _workers(jobs, cluster),
    )


@options.command(app.command, name="import")
def import_(
    *,
    path: Annotated[Path, typer.Argument(metavar="PATH")],
    form: Annotated[
        Literal["mcg", "cob", "mat", "coco", "png", "npz"], typer.Option("--format")
    ],
    images: Annotated[Path, typer.Option(rich_help_panel="Data")],
    out: StoreOption,
    supervision: str | None = None,
    jobs: options.Jobs = options.JOBS,
    cluster: options.Cluster = None,
    data: Annotated[options.Data, options.without("name", "root", "images", "classes")],
) -> None:
    """Read proposals that others made into a store.

    They are matched with photos by name, with or without suffix, or by number; --train
    and --val give the photos' numbers if names do not. Photos that the store has are
    kept as they are: proposals that were mended need another store. Pickles are
    refused, as reading one runs whatever code it holds.

    Args:
        path: A file or a folder.
        form: mcg, cob, mat: one .mat a photo; coco: a json of results or of images and
            annotations; png: a folder of masks a photo, or PHOTO_NUMBER.png; npz: one
            file of masks (N, H, W) a photo.
        images: Folder of the photos.
        supervision: What people had to label for these proposals to exist: none, or
            boundaries, masks, points, tags, comma-separated. Known for mcg, cob and
            files that wsis exported.

    Examples:
        wsis proposals import MCG/ --format mcg --images photos --out store
        wsis proposals import results.json --format coco --images photos --val val.json
            --out store --supervision masks
        wsis proposals import masks/ --format png --images photos --out store
            --supervision none
    """
    from dataclasses import replace

    from wsis.data.images import images_in, tell_turned
    from wsis.proposals.importers import FORMATS, matched, reading
    from wsis.proposals.making import file_photo
    from wsis.proposals.shards import About

    told = _ledger(supervision)
    if data.train is None and data.val is None:
        paths = images_in([images])
        tell_turned(paths, "proposals")
        photos = [file_photo(one) for one in paths]
    else:
        photos = _of(replace(data, name="coco", images=images))
    found = FORMATS[form].importer(path, {Path(photo.name).stem for photo in photos})
    try:
        ledger = FORMATS[form].consumed(path, told)
    except ValueError as error:
        raise UsageError(str(error)) from error
    work = reading(matched(found, photos), form, ledger)
    about = About(source=form, settings={}, ledger=ledger)
    _fill(out, about, work, _workers(jobs, cluster))


@options.command(app.command, strict=False)
def export(
    store: StoreArgument,
    out: Path,
    overwrite: Annotated[bool, typer.Option("--overwrite")] = False,
) -> None:
    """Write a store's proposals as a COCO data set with scores.

    Args:
        out: New COCO JSON file.
        overwrite: Replace the file.

    Examples:
        wsis proposals export store --out masks.json
    """
    from wsis.proposals.exporting import export_coco
    from wsis.proposals.shards import Store

    if out.exists() and not overwrite:
        raise UsageError(f"{out} exists; choose another --out, or --overwrite")
    photos, masks = export_coco(Store.open(store), out)
    typer.echo(f"{masks} proposals of {photos} photos: {out}")


@options.command(app.command, strict=False)
def verify(store: StoreArgument) -> None:
    """Read a whole store and compare it with its checksums; exit 1 if it is damaged.

    Examples:
        wsis proposals verify store
    """
    from wsis.evaluation.proposals import supervision
    from wsis.proposals.shards import Store

    opened = Store.open(store)
    damage = list(opened.damage())
    for line in damage:
        typer.echo(f"damaged: {line}", err=True)
    for line in opened.leftovers():
        typer.echo(f"left by an interruption: {line}", err=True)
    count = sum(entry.proposals for entry in opened.entries.values())
    typer.echo(
        f"{store}: {count} proposals of {len(opened)} photos in "
        f"{len(opened.shards)} shards, by {opened.about.source}, supervision: "
        f"{supervision(opened.about.ledger)}; {'damaged' if damage else 'whole'}"
    )
    if damage:
        raise typer.Exit(1)


@options.command(app.command)
def evaluate(
    *,
    source: SourceOption = "region_tree",
    store: Path | None = None,
    limit: Annotated[int, typer.Option(min=1)] = 1000,
    out: Path | None = None,
    curves: Path | None = None,
    beside: list[Path] | None = None,
    jobs: options.Jobs = 1,
    cluster: options.Cluster = None,
    data: Annotated[options.Data, options.without("train")],
) -> None:
    """Measure how well proposals cover annotated objects.

    ABO is the average best overlap, AR the recall averaged over IoU 0.5 to 0.95, the
    oracle the highest mAP that any choice among these masks could have; over all
    objects but crowds, by masks an image and by COCO's sizes.

    Args:
        store: Measure this store instead of a source.
        limit: Most masks an image, its first ones.
        out: Write all figures, as fractions, to this JSON file.
        curves: Draw figures against masks an image: .svg, .png or .pdf.
        beside: A file that --out wrote, drawn as well; repeatable.

    Examples:
        wsis proposals evaluate --source region_tree --data coco --images photos
            --val val.json --out tree.json
        wsis proposals evaluate --store store --data coco --images photos --val val.json
            --out mcg.json --curves curves.svg --beside tree.json
    """
    if curves is not None:
        _check_curves(curves)
    for path, option in ((out, "--out"), (curves, "--curves")):
        if path is not None:
            inputs = (store, data.val, *(beside or []))
            refuse_inputs(path, inputs, option=option)
    from statistics import median

    from wsis._support.files import write_json
    from wsis.cli._show import Bars, print_coverage
    from wsis.data.images import read_all
    from wsis.evaluation.proposals import coverage
    from wsis.proposals.making import made, make_jobs, photos_of, stored
    from wsis.proposals.store import StoredProposals
    from wsis.runs.settings import Part

    others = [_figures(path) for path in beside or []]
    part, seconds = Part.parse(source), list[float]()
    ledger: Ledger = frozenset() if store else part.build("sources").ledger
    kept = None if store is None else StoredProposals(path=str(store))
    val = options.masks_of(data.source())
    images = val.tagged.images
    read_all([image.load for image in images])
    if kept is None:
        work = make_jobs(photos_of(images), part.name, part.settings)
        masks = made(work, _workers(jobs, cluster), part.name, ledger, seconds)
    else:
        masks = stored(kept, images, seconds)
    with Bars() as bars:
        step = bars.start("proposals", len(images))
        watched = (
            step(image.name) or one for image, one in zip(images, masks, strict=True)
        )
        found = coverage(watched, val.truths, val.tagged.classes, limit=limit)
    results = {
        "source": part.label if kept is None else kept.store.about.source,
        **found.results(),
        "seconds_per_image": median(seconds) if seconds else None,
    }
    if out is not None:
        write_json(out, results)
    print_coverage(results)
    if curves is not None:
        from wsis.report.curves import draw

        draw([results, *others], curves)
        typer.echo(f"curves: {curves}")


@options.command(app.command)
def show(
    *,
    photos: Annotated[list[Path], typer.Argument(metavar="IMAGE...")],
    out: Path,
    source: SourceOption = "region_tree",
    limit: Annotated[int, typer.Option(min=1)] = 11,
    overwrite: options.Overwrite = False,
) -> None:
    """Draw the regions of photos and their first proposals, best first.

    Prints how many proposals there are and how long they took.

    Args:
        photos: Photos, folders, or patterns such as 'photos/*.jpg'.
        out: New folder for one PNG a photo.
        limit: How many proposals are drawn.

    Examples:
        wsis proposals show photo.jpg --out looks
        wsis proposals show photos/ --out looks --source region_tree:nodes=300
    """
    refuse_existing(out, overwrite=overwrite)
    from PIL import Image

    from wsis._support.folders import new_folder, refuse_home, unique
    from wsis.data.images import images_in, read_image, tell_unread
    from wsis.geometry.frame import framed
    from wsis.report.looks import proposal_page
    from wsis.runs.settings import Part

    propose = Part.parse(source).build("sources")
    paths, drawn = images_in(photos), list[Path]()
    refuse_home(out, paths)
    with new_folder(out, overwrite=overwrite) as folder:
        for path, name in zip(paths, unique([p.stem for p in paths]), strict=True):
            try:
                image = framed(read_image(path))
            except (ValueError, OSError) as error:
                typer.echo(f"skipped: {message(error)}", err=True)
                continue
            began = time.perf_counter()
            found = propose(image)
            seconds = time.perf_counter() - began
            typer.echo(f"{path}: {len(found)} proposals, {seconds:.2f} s")
            page = proposal_page(image, found, limit)
            Image.fromarray(page).save(folder / f"{name}.png")
            drawn.append(path)
        tell_unread(paths, drawn)
    typer.echo(f"drawn: {out}")
    then("start", "PHOTOS", what="if objects have proposals; else try another --source")


def _of(data: options.Data) -> "list[Photo]":
    """Return the photos of both halves of a data set."""
    from wsis.proposals.making import photos_of

    source = data.source()
    train = source.train().images if options.has_train(source) else []
    val = source.val()
    if not train and val is None:
        raise UsageError("expected --train, --val or both: which photos there are")
    return photos_of([*train, *(val.tagged.images if val else [])])


def _workers(jobs: int, address: str | None) -> "AbstractContextManager[Work]":
    from wsis.proposals.making import cluster, processes

    return processes(jobs) if address is None else cluster(address)


def _fill(out: Path, about: Any, jobs: Any, pool: Any) -> None:
    """Fill a store and print what became of the photos.

    Raises:
        typer.Exit: with code 1, if one failed.
    """
    from wsis.cli._show import Bars
    from wsis.evaluation.proposals import supervision
    from wsis.proposals.making import fill
    from wsis.runs.settings import Part

    with Bars() as bars:
        found: Filled = fill(out, about, jobs, pool, bars)
    there = f", {found.known} were there and are kept" if found.known else ""
    typer.echo(
        f"{found.masks} proposals of {found.added} photos, "
        f"{found.added / found.seconds:.2f} images/s{there}; "
        f"supervision: {supervision(about.ledger)}: {out}"
    )
    if found.failed:
        lines = "".join(f"\n  {name}: {error}" for name, error in found.failed.items())
        failed = f"{len(found.failed)} of {len(jobs)} photos failed"
        typer.echo(f"wsis: {failed}:{lines}", err=True)
        raise typer.Exit(1)
    source = Part(name="files", settings={"path": str(out)}).label
    then("train", "--out", "run", "--set", f"source={source}", what="and its photos")


def _ledger(text: str | None) -> "Ledger | None":
    from wsis.contracts import Supervision

    if text is None:
        return None
    labels = [label.strip() for label in text.split(",")]
    try:
        return frozenset(() if labels == ["none"] else map(Supervision, labels))
    except ValueError:
        choices = ", ".join(Supervision)
        raise UsageError(
            f"expected --supervision none, or of {choices}; got {text!r}"
        ) from None


def _check_curves(path: Path) -> None:
    if path.suffix.lower() not in (".svg", ".png", ".pdf"):
        raise UsageError(f"expected --curves to end in .svg, .png or .pdf, got {path}")
    if find_spec("matplotlib") is None:
        raise UsageError("curves need matplotlib: pip install 'wsis[curves]'")


def _figures(path: Path) -> dict[str, Any]:
    from wsis._support.files import parse_json

    try:
        results = parse_json(path.read_bytes())
        _ = [results["by_budget"], results["source"], results["supervision"]]
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"expected a file that wsis proposals evaluate --out wrote, got {path}"
        ) from None
    return dict(results)
