"""Finds and draws the instances on many photos, here or in several processes."""

import warnings
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from PIL import Image as Pillow

from wsis._support.checks import InputWarning, warn
from wsis._support.processes import pool
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The instances that are kept and drawn, as ``Predictions.filter`` takes them.

    Args:
        min_score: lowest score.
        classes: names; None keeps all.
    """

    min_score: float = 0.0
    classes: Sequence[str] | None = None


Outcome = Predictions | ValueError | OSError
"""The instances on a photo, without a way to load it, or why it cannot be read."""

_run: list[Trained] = []
"""The run of this process, where the process was started for it."""


def predict_files(
    load: Callable[[], Trained],
    tasks: Sequence[Task],
    kept: Kept,
    jobs: int = 1,
    tick: Tick = lambda done: None,
) -> Generator[Outcome]:
    """Yield the outcome of each task, in order; the pictures are drawn on the way.

    Args:
        load: gives the run; can be pickled if there are several processes, as each
            loads its own.
        tasks: a photo each.
        kept: the instances that are kept.
        jobs: processes; if several, each has a single thread.
        tick: is called with what was done within a photo; not by other processes.

    Raises:
        ValueError: if a process is killed.
    """
    if jobs == 1:
        run = load()
        for task in tasks:
            yield _predicted(run, kept, tick, task)
        return
    with pool(jobs, _begin, (load,)) as workers:
        try:
            for outcome, notes in workers.map(partial(_called, kept), tasks):
                for text in notes:
                    warn(text)
                yield outcome
        except BrokenProcessPool:
            raise ValueError(
                "a process that predicts was killed, by the system if memory ran out; "
                "predict again with fewer --jobs"
            ) from None
        except BaseException:
            workers.shutdown(cancel_futures=True)
            raise


def _predicted(run: Trained, kept: Kept, tick: Tick, task: Task) -> Outcome:
    try:
        image = as_image(task.path, len(run.classes))
    except (ValueError, OSError) as error:
        return error
    tick("read")
    found = run.predict(image, tags=task.tags, tick=tick)
    found = found.filter(min_score=kept.min_score, classes=kept.classes)
    # Half the time of the default level.
    Pillow.fromarray(found.draw()).save(task.picture, compress_level=1)
    # Without the photo, which would stay in memory.
    return replace(found, image_id=task.number, load=None)


def _begin(load: Callable[[], Trained]) -> None:
    with warnings.catch_warnings():
        # The process that started this one has told what is to be told of the run.
        warnings.simplefilter("ignore", InputWarning)
        _run[:] = [load()]


def _called(kept: Kept, task: Task) -> tuple[Outcome, list[str]]:
    """Return the outcome and warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InputWarning)
        outcome = _predicted(_run[0], kept, lambda done: None, task)
    notes = [str(one.message) for one in caught if one.category is InputWarning]
    return outcome, notes
