"""Calls functions on a state, here or in other processes, which each make their own."""

import io
import pickle
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import contextmanager
from functools import partial
from types import FunctionType
from typing import Any

from wsis._support.checks import InputWarning
from wsis._support.cluster import here, workers
from wsis._support.files import differences, in_words
from wsis._support.processes import pool
from wsis._support.progress import Monitor
from wsis.experiments.runner import Plan, Work
from wsis.report.shown import spread

Do = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]], Monitor | None], Any]
"""Calls a function with ``Work`` and each of some arguments; results as they come."""

_work: list[Work] = []
"""The work of this process, where the process was started for it."""


def check_pickle(name: str, value: Any) -> None:
    """Make sure that processes of their own can be given a part of a plan.

    Raises:
        ValueError: if it cannot be pickled, or is of a class that lives in a notebook,
            where other processes do not find it.
    """
    try:
        _Pickler(io.BytesIO()).dump(value)
    except Exception as error:  # whatever a class of the user's raises
        raise ValueError(
            f"{name} cannot be sent to other processes ({error}); run with jobs=1"
        ) from error


@contextmanager
def doing(work: Work, jobs: int, cluster: str | None = None) -> Iterator[Do]:
    """Give what calls functions with ``work``, in ``jobs`` processes.

    Args:
        work: to call them with; other processes make their own, of its plan.
        jobs: how many processes.
        cluster: the address of a Dask scheduler, whose workers take the place of these
            processes; what a lost worker had to do is done by another.

    Raises:
        ValueError: if a worker does not see the same data and cache, or has other
            versions than this process.
    """
    if cluster is not None:
        with _on_cluster(work, cluster) as do:
            yield do
        return
    if jobs == 1:
        yield lambda function, calls, monitor: (
            function(work, *call, monitor) for call in calls
        )
        return
    with pool(jobs, _begin, (work.plan,)) as workers:
        try:
            submit: Callable[..., Any] = workers.submit
            yield partial(_each, partial(submit, _call), as_completed)
        except BaseException:
            workers.shutdown(cancel_futures=True)
            raise


def _each(
    submit: Callable[..., Any],
    completed: Callable[[list[Any]], Iterable[Any]],
    function: Callable[..., Any],
    calls: Sequence[tuple[Any, ...]],
    monitor: Monitor | None,
) -> Iterator[Any]:
    """Yield results as they come; tell of them if there is a monitor."""
    step = monitor.start("runs", len(calls)) if monitor and calls else None
    for future in completed([submit(function, call) for call in calls]):
        if step is not None:
            step("")
        yield future.result()


def _begin(plan: Plan) -> None:
    # The process that started this one has told what is to be told of the data.
    warnings.simplefilter("ignore", InputWarning)
    _work[:] = [Work(plan)]


def _call(function: Callable[..., Any], call: tuple[Any, ...]) -> Any:
    return function(_work[0], *call, None)


@contextmanager
def _on_cluster(work: Work, address: str) -> Iterator[Do]:
    make = partial(_same_work, work.plan, _seen(work))
    cache = work.plan.cache
    with workers(address, make, what="miners or data", folder=cache) as those:
        from distributed import as_completed as completed

        yield partial(_each, partial(those.submit, _call_there), completed)


def _seen(work: Work) -> dict[str, Any]:
    """Return what figures depend on that a worker must have in common."""
    bags = work.photos(work.plan.variants[0].label)
    some = [bags[i] for i in spread(_LOOKED_AT, len(bags))]
    photos = {bag.image.name: bag.key for bag in some}
    return {"data": work.fingerprint, "photos": photos}


_LOOKED_AT = 5
"""Photos that a worker compares; the others are read when they are worked on."""


def _call_there(work: Work, function: Callable[..., Any], call: tuple[Any, ...]) -> Any:
    return function(work, *call, None)


def _same_work(plan: Plan, wanted: dict[str, Any]) -> Work:
    """Make the work of a plan on a worker.

    Raises:
        ValueError: if the worker does not see the same data.
    """
    try:
        work = Work(plan)
        found = _seen(work)
    except (ValueError, LookupError, OSError) as error:
        raise ValueError(
            f"{here()} does not see the data, which must have the same paths there: "
            f"{error}"
        ) from error
    if changes := differences(wanted, found):
        raise ValueError(
            f"{here()} sees other data under these paths: {in_words(changes)}"
        )
    return work


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        # Other processes run a script's file again; a notebook has none.
        lost = not hasattr(sys.modules["__main__"], "__file__")
        named = isinstance(value, type | FunctionType)
        if lost and named and value.__module__ == "__main__":
            raise pickle.PicklingError(
                f"{value.__qualname__} is defined in a notebook or at a prompt; put it "
                "into a file and import it from there"
            )
        return NotImplemented
