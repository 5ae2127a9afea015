"""``wsis proposals make``, ``import``, ``export`` and ``verify``: work on stores."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import typer

from wsis import __version__
from wsis._support.checks import few
from wsis._support.files import digest
from wsis.cli.display import Bars
from wsis.cli.errors import UsageError
from wsis.cli.options import Data
from wsis.cli.sources import data_source
from wsis.contracts import Ledger, Supervision, TaggedImage
from wsis.data.images import images_in
from wsis.evaluation.proposals import supervision as in_words
from wsis.proposals.exporting import export_coco
from wsis.proposals.importers import FORMATS, ImportJob, matched
from wsis.proposals.making import (
    Job,
    MakeJob,
    Photo,
    Work,
    cluster,
    file_photo,
    processes,
)
from wsis.proposals.shard_writer import Writer
from wsis.proposals.shards import About, Store
from wsis.runs.settings import Part


def make(
    paths: list[Path],
    data: Data | None,
    out: Path,
    source: str,
    *,
    jobs: int,
    address: str | None,
) -> None:
    """Makes what the store does not have yet."""
    if bool(paths) == (data is not None):
        raise UsageError("expected photos or --data, one of the two")
    part = Part.parse(source)
    ledger: Ledger = part.build("sources").ledger
    settings = part.resolved("sources")
    about = About(
        source=part.name, settings={**settings, "wsis": __version__}, ledger=ledger
    )
    work: list[Job] = [
        MakeJob(photo=photo, source=part.name, settings=dict(part.settings))
        for photo in photos_of(paths, data)
    ]
    _fill(out, about, work, workers(jobs, address))


def import_proposals(
    path: Path,
    form: str,
    paths: list[Path],
    data: Data | None,
    out: Path,
    supervision: str | None,
    *,
    jobs: int,
    address: str | None,
) -> None:
    """Reads what the store does not have yet."""
    told = _ledger(supervision)
    photos = photos_of(paths if data is None else [], data)
    found = FORMATS[form].importer(path, {Path(photo.name).stem for photo in photos})
    try:
        ledger = FORMATS[form].consumed(path, told)
    except ValueError as error:
        raise UsageError(str(error)) from error
    matches = matched(found, photos)
    for names, what in (
        (matches.photos, "photos without proposals"),
        (matches.found, "proposals without a photo"),
    ):
        if names:
            typer.echo(f"left out: {len(names)} {what} ({few(names)})", err=True)
    work: list[Job] = [
        ImportJob(photo=photo, found=one.read, source=form, ledger=ledger)
        for photo, one in matches.pairs
    ]
    about = About(source=form, settings={}, ledger=ledger)
    _fill(out, about, work, workers(jobs, address))


def export(folder: Path, out: Path, *, overwrite: bool) -> None:
    """Writes a store as COCO json."""
    if out.exists() and not overwrite:
        raise UsageError(f"{out} exists; choose another --out, or --overwrite")
    photos, masks = export_coco(Store.open(folder), out)
    typer.echo(f"{masks} proposals of {photos} photos: {out}")


def verify(folder: Path) -> None:
    """Prints what is wrong with a store.

    Raises:
        typer.Exit: with code 1, if something is damaged.
    """
    store = Store.open(folder)
    damage = list(store.damage())
    for line in damage:
        typer.echo(f"damaged: {line}", err=True)
    for line in store.leftovers():
        typer.echo(f"left by an interruption: {line}", err=True)
    count = sum(entry.proposals for entry in store.entries.values())
    typer.echo(
        f"{folder}: {count} proposals of {len(store)} photos in "
        f"{len(store.checksums)} shards, by {store.about.source}, supervision: "
        f"{in_words(store.about.ledger)}; {'damaged' if damage else 'whole'}"
    )
    if damage:
        raise typer.Exit(1)


def photos_of(paths: list[Path], data: Data | None) -> list[Photo]:
    """Photos from files, or those of both halves of a data set, each once."""
    if data is None:
        return [file_photo(path) for path in images_in(paths)]
    source = data_source(data)
    given: list[Literal["train", "val"]] = ["train", "val"]
    given = [half for half in given if getattr(source, f"{half}_json", half)]
    if not given:
        raise UsageError("expected --train, --val or both: which photos there are")
    images: list[TaggedImage] = []
    for half in given:
        tagged = source.train() if half == "train" else source.val().tagged
        images += tagged.images
    photos = [Photo(name=one.name, load=one.load, number=one.id) for one in images]
    once = {(photo.name, photo.number): photo for photo in photos}
    return list(once.values())


def workers(jobs: int, address: str | None) -> AbstractContextManager[Work]:
    """Where jobs are done."""
    return processes(jobs) if address is None else cluster(address)


def _fill(
    out: Path, about: About, jobs: list[Job], pool: AbstractContextManager[Work]
) -> None:
    """Adds the outcomes of jobs to a store, and tells of those that failed.

    Raises:
        typer.Exit: with code 1, if one failed.
    """
    failed: dict[str, str] = {}
    added = known = masks = 0
    began = time.perf_counter()
    with Writer(out, about) as writer, pool as work, Bars() as bars:
        step = bars.start("proposals", len(jobs))
        # Whether a photo is known takes reading it, for which an empty store is spared.
        resumed = len(writer) > 0

        def new() -> Iterator[Job]:
            nonlocal known
            for job in jobs:
                if resumed and _known(job.photo, writer):
                    known += 1
                    step(job.photo.name)
                else:
                    yield job

        for outcome in work(new()):
            if outcome.packed is None:
                failed[outcome.name] = outcome.error
                bars.say(f"failed: {outcome.name}: {outcome.error}")
            elif outcome.key in writer:
                known += 1
            else:
                seconds = outcome.seconds if isinstance(jobs[0], MakeJob) else None
                writer.add_packed(outcome.key, outcome.name, outcome.packed, seconds)
                added += 1
                masks += len(outcome.packed["objectness"])
            step(outcome.name)
    speed = added / (time.perf_counter() - began)
    there = f", {known} were there" if known else ""
    typer.echo(
        f"{masks} proposals of {added} photos, {speed:.2f} images/s{there}; "
        f"supervision: {in_words(about.ledger)}: {out}"
    )
    if failed:
        lines = "".join(f"\n  {name}: {error}" for name, error in failed.items())
        typer.echo(
            f"wsis: {len(failed)} of {len(jobs)} photos failed:{lines}", err=True
        )
        raise typer.Exit(1)


def _known(photo: Photo, writer: Writer) -> bool:
    try:
        return digest(photo.load()) in writer
    except (ValueError, OSError):
        # Its job will say why.
        return False


def _ledger(text: str | None) -> Ledger | None:
    if text is None:
        return None
    labels = [label.strip() for label in text.split(",")]
    if labels == ["none"]:
        return frozenset()
    try:
        return frozenset(Supervision(label) for label in labels)
    except ValueError:
        choices = ", ".join(Supervision)
        raise UsageError(
            f"expected --supervision none, or of {choices}; got {text!r}"
        ) from None
