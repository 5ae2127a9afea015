"""Finds and draws the instances on many photos: here, in processes, on a cluster."""

import warnings
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image as Pillow

from wsis._support.checks import InputWarning, warn
from wsis._support.cluster import here, workers
from wsis._support.memory import free_megabytes
from wsis._support.processes import cores, one_thread, pool
from wsis.geometry.predictions import Predictions
from wsis.runs._trained import Tick, Trained, as_image


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A photo to predict.

    Args:
        path: of the photo.
        picture: the PNG in which its instances are drawn.
        number: ``image_id`` of its predictions.
        tags: as in ``Trained.predict``.
    """

    path: Path
    picture: Path
    number: int
    tags: Iterable[str] | Mapping[str, int] | None = None


Keep = Callable[[Predictions], Predictions]
"""Gives the instances of a photo that are kept and drawn."""

Outcome = Predictions | ValueError | OSError
"""The instances on a photo, without a way to load it, or why it cannot be read."""

_run: list[Trained] = []
"""The run of this process, where the process was started for it."""


def predict_files(
    run: Trained,
    load: Callable[[], Trained],
    tasks: Sequence[Task],
    keep: Keep,
    jobs: int = 1,
    tick: Tick = lambda done: None,
    cluster: str | None = None,
    say: Tick = lambda text: None,
) -> Generator[Outcome]:
    """Yield the outcome of each task, in order; the pictures are drawn on the way.

    Args:
        run: finds the instances here.
        load: gives the run to other processes, which each load their own; it and
            ``keep`` can be pickled then.
        tasks: a photo each.
        keep: chooses among the instances.
        jobs: processes; if several, each has a single thread.
        tick: is called with what was done within a photo; not by other processes.
        cluster: the address of a Dask scheduler, whose workers take the place of the
            processes and see run and photos under the same paths; a lost worker's
            photos are done by another.
        say: is told if a process ends before its work; the rest is then done here.

    Raises:
        ValueError: if a worker does not see the same.
    """
    if cluster is not None:
        yield from _on_cluster(run, load, tasks, keep, cluster)
        return
    done = 0
    if jobs > 1:
        with pool(jobs, _begin, (load,)) as workers:
            try:
                for outcome, notes in workers.map(partial(_called, keep), tasks):
                    for text in notes:
                        warn(text)
                    yield outcome
                    done += 1
            except BrokenProcessPool:
                say(
                    "a process that predicts has ended, killed by the system if memory "
                    "ran out; the other photos are predicted one by one"
                )
            except BaseException:
                workers.shutdown(cancel_futures=True)
                raise
    with nullcontext() if jobs == 1 else one_thread():
        for task in tasks[done:]:
            yield _predicted(run, keep, tick, task)


_HELD = 1500
"""Megabytes counted for a process that predicts: one takes 1,200 (docs/scale.md)."""


def jobs_for(device: torch.device, photos: int) -> int:
    """Return the number of processes that predict photos soonest.

    On a processor it is one for each core, while memory lasts; a card serves one.
    """
    if device.type != "cpu":
        return 1
    free = free_megabytes()
    room = _UNKNOWN if free is None else int(free / _HELD)
    return max(1, min(cores(), room, photos))


_UNKNOWN = 2
"""Processes where the system does not tell how much memory is free."""


def _predicted(run: Trained, keep: Keep, tick: Tick, task: Task) -> Outcome:
    try:
        image = as_image(task.path, len(run.classes))
    except (ValueError, OSError) as error:
        return error
    tick("read")
    found = keep(run.predict(image, tags=task.tags, tick=tick))
    # Half the time of the default level.
    Pillow.fromarray(found.draw()).save(task.picture, compress_level=1)
    # Without the photo, which would stay in memory.
    return replace(found, image_id=task.number, load=None)


def _begin(load: Callable[[], Trained]) -> None:
    with warnings.catch_warnings():
        # The process that started this one has told what is to be told of the run.
        warnings.simplefilter("ignore", InputWarning)
        _run[:] = [load()]


def _called(keep: Keep, task: Task) -> tuple[Outcome, list[str]]:
    return _noted(_run[0], keep, task)


def _noted(run: Trained, keep: Keep, task: Task) -> tuple[Outcome, list[str]]:
    """Return the outcome and warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InputWarning)
        outcome = _predicted(run, keep, lambda done: None, task)
    notes = [str(one.message) for one in caught if one.category is InputWarning]
    return outcome, notes


def _on_cluster(
    run: Trained,
    load: Callable[[], Trained],
    tasks: Sequence[Task],
    keep: Keep,
    address: str,
) -> Generator[Outcome]:
    make = partial(_same_run, load, run.card)
    sent = [replace(task, path=task.path.absolute()) for task in tasks]
    sizes = {task.path: _size(task.path) for task in sent}
    with workers(address, make, what="the run") as those:
        found = those.map(partial(_far, keep), sent)
        for task, (outcome, notes, drawn, size) in found:
            if isinstance(outcome, FileNotFoundError) and task.path.exists():
                raise ValueError(
                    "a worker does not see a photo, which must have the same path "
                    f"there: {outcome}"
                )
            if size != sizes[task.path]:
                raise ValueError(f"a worker sees another photo as {task.path}")
            for text in notes:
                warn(text)
            if drawn:
                task.picture.write_bytes(drawn)
            yield outcome


def _same_run(load: Callable[[], Trained], card: Any) -> Trained:
    """Load the run on a worker.

    Raises:
        ValueError: if the worker does not see this run.
    """
    try:
        run = load()
    except (ValueError, LookupError, OSError) as error:
        raise ValueError(
            f"{here()} does not see the run, which must have the same path there: "
            f"{error}"
        ) from error
    if run.card != card:
        raise ValueError(f"{here()} sees another run under this path")
    return run


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _far(keep: Keep, run: Trained, task: Task) -> tuple[Outcome, list[str], bytes, int]:
    """Return the outcome, warnings, the picture and the photo's size in bytes.

    A worker need not see the picture's place.
    """
    with TemporaryDirectory() as folder:
        picture = Path(folder) / task.picture.name
        outcome, notes = _noted(run, keep, replace(task, picture=picture))
        drawn = picture.read_bytes() if picture.is_file() else b""
    return outcome, notes, drawn, _size(task.path)
