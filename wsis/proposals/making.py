"""Make or read proposals of many photos: here, in processes or on a cluster."""

import json
import time
import warnings
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from wsis import plugins
from wsis._support.checks import InputWarning, few, warn
from wsis._support.cluster import AHEAD, connected, in_order
from wsis._support.processes import pool
from wsis._support.progress import Monitor
from wsis.contracts import Image, Ledger, Proposals, ProposalSource, TaggedImage
from wsis.data.images import Reading
from wsis.geometry.frame import Size, frame, framed, photo_key
from wsis.proposals._packing import pack, unpack
from wsis.proposals.shards import About, Writer
from wsis.proposals.store import StoredProposals


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """A photo that proposals are wanted of.

    Args:
        name: of its file.
        load: reads it; can be pickled.
        number: of the photo in its data set, where it has one.
    """

    name: str
    load: Callable[[], Image]
    number: int | None = None


def file_photo(path: Path) -> Photo:
    """Return the photo in a file, upright."""
    return Photo(name=path.name, load=Reading(path, (0, 0), True))


@dataclass(frozen=True, slots=True)
class Job:
    """Gives the proposals of one photo; can be pickled.

    Args:
        photo: the photo.
        propose: returns the proposals of its pixels.
        timed: whether the time that it takes tells anything of the proposals.
    """

    photo: Photo
    propose: Callable[[Image], Proposals]
    timed: bool = True


def make_jobs(
    photos: Iterable[Photo], source: str, settings: Mapping[str, Any]
) -> list[Job]:
    """Return the jobs that make proposals with an installed source."""
    propose = partial(_propose, source, json.dumps(settings, default=str))
    return [Job(photo, propose) for photo in photos]


def _propose(source: str, settings: str, image: Image) -> Proposals:
    return _built(source, settings)(framed(image))


@lru_cache(maxsize=1)
def _built(source: str, settings: str) -> ProposalSource:
    """Build a source once a process, as it may read weights."""
    part: ProposalSource = plugins.create("sources", source, json.loads(settings))
    return part


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a job.

    Args:
        name: of the photo.
        key: ``photo_key`` of it.
        size: (H, W) of it.
        packed: its proposals, as ``packing.pack`` makes them; None if it failed.
        seconds: that proposing took, if that tells anything.
        error: why it failed.
        notes: warnings about inputs.
    """

    name: str
    key: str = ""
    size: Size = (0, 0)
    packed: Mapping[str, np.ndarray] | None = None
    seconds: float | None = None
    error: str = ""
    notes: tuple[str, ...] = ()


def attempt(job: Job) -> Outcome:
    """Do a job; an error becomes an outcome, so that it stops nothing else."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            # Told together with those of the other photos, which may be elsewhere.
            warnings.simplefilter("always", InputWarning)
            image = job.photo.load()
            began = time.perf_counter()
            proposals = job.propose(image)
            seconds = time.perf_counter() - began
        notes = {str(one.message): one for one in caught}
        for text, one in list(notes.items()):
            if not issubclass(one.category, InputWarning):
                warnings.warn_explicit(text, one.category, one.filename, one.lineno)
                del notes[text]
        size = image.shape[0], image.shape[1]
        if proposals.size != frame(size):
            check_size("proposals", proposals.size, size)
        return Outcome(
            name=job.photo.name,
            key=photo_key(image),
            size=size,
            packed=pack(proposals),
            seconds=seconds if job.timed else None,
            notes=tuple(notes),
        )
    except Exception as error:
        # Parts and files are other people's: whatever they raise is one photo's.
        said = " ".join(str(error).split()) or "no message"
        known = isinstance(error, ValueError | OSError)
        text = said if known else f"{type(error).__name__}: {said}"
        return Outcome(name=job.photo.name, error=text)


def check_size(
    what: str, found: Sequence[int], size: Sequence[int], where: str = ""
) -> None:
    """Refuse masks of another size (H, W) than the photo's.

    Raises:
        ValueError: if sizes differ; ``where`` begins the message.
    """
    if tuple(found) != tuple(size):
        turned = tuple(found) == tuple(size)[::-1]
        raise ValueError(
            f"{where}expected {what} of {size[0]} x {size[1]} pixels (height x width) "
            f"as the photo has, got {' x '.join(map(str, found))}"
            f"{_TURNED if turned else ''}"
        )


_TURNED = ": width x height? transpose them. Or of the photo before EXIF data turn it?"

Work = Callable[[Iterable[Job]], Iterator[Outcome]]
"""Does jobs and gives their outcomes in the jobs' order."""


def here(jobs: Iterable[Job]) -> Iterator[Outcome]:
    """Do jobs one after the other, in this process."""
    return map(attempt, jobs)


@contextmanager
def processes(count: int) -> Iterator[Work]:
    """Give work to ``count`` processes of one thread each; to this one if it is 1.

    A photo whose process ends (killed for its memory, say) is an outcome with an error;
    jobs that were under way with it are done again, one by one.
    """
    if count < 1:
        raise ValueError(f"expected at least one process, got {count}")
    if count == 1:
        yield here
        return
    with ExitStack() as stack:

        def work(jobs: Iterable[Job]) -> Iterator[Outcome]:
            found = _in_processes(count, jobs)
            stack.callback(found.close)
            return found

        yield work


@contextmanager
def cluster(address: str) -> Iterator[Work]:
    """Give work to the workers of a Dask cluster, which see the same files.

    Jobs of a worker that is lost are done by others; a photo that takes its worker
    along again and again is an outcome with an error.

    Args:
        address: of the scheduler, such as ``tcp://10.0.0.1:8786``.

    Raises:
        ValueError: if Dask's distributed is not installed, or no worker answers.
    """
    with connected(address) as client:
        yield partial(_on_cluster, client)


def _in_processes(count: int, jobs: Iterable[Job]) -> Generator[Outcome]:
    """Yield outcomes in order; a few jobs for each process are under way."""
    left, waiting = iter(jobs), deque[tuple[Job, Any]]()
    workers = pool(count)
    try:
        while True:
            try:
                for job in islice(left, AHEAD * count - len(waiting)):
                    waiting.append((job, None))
                    waiting[-1] = job, workers.submit(attempt, job)
                if not waiting:
                    return
                outcome = waiting[0][1].result()
            except BrokenProcessPool:
                workers.shutdown(wait=True, cancel_futures=True)
                yield from _apart(waiting)
                waiting.clear()
                workers = pool(count)
            else:
                waiting.popleft()
                yield outcome
    finally:
        workers.shutdown(wait=True, cancel_futures=True)


def _apart(rest: Iterable[tuple[Job, Any]]) -> Iterator[Outcome]:
    """Yield outcomes of jobs; those that were lost are done one at a time."""
    single = pool(1)
    try:
        for job, done in rest:
            if done and not done.cancelled() and done.exception() is None:
                yield done.result()
                continue
            try:
                outcome = single.submit(attempt, job).result()
            except BrokenProcessPool:
                single.shutdown()
                single = pool(1)
                error = "its process was killed, by the system if memory ran out"
                outcome = Outcome(name=job.photo.name, error=error)
            yield outcome
    finally:
        single.shutdown()


def _on_cluster(client: Any, jobs: Iterable[Job]) -> Iterator[Outcome]:
    # Not pure: a job without a name of its own would be pickled to make one.
    submit = partial(client.submit, attempt, pure=False)
    for job, future in in_order(client, submit, jobs):
        try:
            yield future.result()
        except Exception as error:
            # What a job raises is caught in it: this is the cluster's own.
            yield Outcome(name=job.photo.name, error=f"the cluster gave it up: {error}")


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
                    outcome.key,
                    outcome.name,
                    outcome.packed,
                    outcome.seconds,
                    outcome.size,
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
            for note in outcome.notes:
                warn(note)
            seconds += [] if outcome.seconds is None else [outcome.seconds]
            yield unpack(outcome.packed, source, ledger)


def stored(
    source: StoredProposals, images: Iterable[TaggedImage], seconds: list[float]
) -> Iterator[Proposals]:
    """Yield the proposals that a store has of images; add the time each once took."""
    for image in images:
        pixels = image.load()
        yield source(pixels)
        entry = source.store.entry(photo_key(pixels))
        if entry is not None and entry.seconds is not None:
            seconds.append(entry.seconds)


def _known(photo: Photo, writer: Writer) -> bool:
    try:
        return photo_key(photo.load()) in writer
    except (ValueError, OSError):
        # Its job will say why.
        return False
