"""Makes or imports the proposals of many photos, into a store or one by one."""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from wsis._support.checks import few, warn
from wsis._support.files import digest
from wsis._support.progress import Monitor
from wsis.contracts import Ledger, Proposals, TaggedImage
from wsis.proposals._packing import unpack
from wsis.proposals.making import Job, Photo, Work
from wsis.proposals.shard_writer import Writer
from wsis.proposals.shards import About
from wsis.proposals.store import StoredProposals


@dataclass(slots=True, kw_only=True)
class Filled:
    """The photos whose proposals a store was to have, by outcome.

    Args:
        added: photos whose proposals were added.
        known: photos whose proposals were there.
        masks: proposals added.
        seconds: that it took.
        failed: why the others failed, by the photo's name.
    """

    added: int = 0
    known: int = 0
    masks: int = 0
    seconds: float = 0.0
    failed: dict[str, str] = field(default_factory=dict)


def photos_of(images: Iterable[TaggedImage]) -> list[Photo]:
    """Return the photos of data sets, each once."""
    photos = [Photo(name=one.name, load=one.load, number=one.id) for one in images]
    return list({(photo.name, photo.number): photo for photo in photos}.values())


def fill(
    folder: Path,
    about: About,
    jobs: Sequence[Job],
    pool: AbstractContextManager[Work],
    monitor: Monitor,
) -> Filled:
    """Add what jobs give to a store; one that fails stops no other.

    Args:
        folder: of the store, new or one to add to.
        about: what all its proposals have in common.
        jobs: one a photo; those whose photos the store knows are not done.
        pool: where they are done.
        monitor: is told of progress and of failures.

    Raises:
        StoreError: if the folder holds other files, or proposals of another kind.
    """
    found, began = Filled(), time.perf_counter()
    notes: dict[str, list[str]] = defaultdict(list)
    with Writer(folder, about) as writer, pool as work:
        step = monitor.start("proposals", len(jobs))
        # Whether a photo is known takes reading it, which an empty store need not do.
        resumed = len(writer) > 0

        def new() -> Iterator[Job]:
            for job in jobs:
                if resumed and _known(job.photo, writer):
                    found.known += 1
                    step(job.photo.name)
                else:
                    yield job

        for outcome in work(new()):
            if outcome.packed is None:
                found.failed[outcome.name] = outcome.error
                monitor.say(f"failed: {outcome.name}: {outcome.error}")
            elif outcome.key in writer:
                found.known += 1
            else:
                writer.add_packed(
                    outcome.key, outcome.name, outcome.packed, outcome.seconds
                )
                found.added += 1
                found.masks += len(outcome.packed["objectness"])
            for note in outcome.notes:
                notes[note].append(outcome.name)
            step(outcome.name)
    for note, names in notes.items():
        warn(f"{len(names)} photos ({few(names)}): {note}")
    found.seconds = time.perf_counter() - began
    return found


def made(
    jobs: Sequence[Job],
    pool: AbstractContextManager[Work],
    source: str,
    ledger: Ledger,
    seconds: list[float],
) -> Iterator[Proposals]:
    """Yield the proposals that jobs give, in order; add the time each took.

    Raises:
        ValueError: if one fails.
    """
    with pool as work:
        for outcome in work(jobs):
            if outcome.packed is None:
                raise ValueError(f"{outcome.name}: {outcome.error}")
            seconds += [] if outcome.seconds is None else [outcome.seconds]
            yield unpack(outcome.packed, source, ledger)


def stored(
    source: StoredProposals, images: Iterable[TaggedImage], seconds: list[float]
) -> Iterator[Proposals]:
    """Yield the proposals that a store has of images; add the time each once took."""
    for image in images:
        pixels = image.load()
        yield source(pixels)
        took = source.store.entries[digest(pixels)].seconds
        if took is not None:
            seconds.append(took)


def _known(photo: Photo, writer: Writer) -> bool:
    try:
        return digest(photo.load()) in writer
    except (ValueError, OSError):
        # Its job will say why.
        return False
