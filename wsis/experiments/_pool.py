"""Calls functions on a state, here or in several processes that each make their own."""

import io
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import contextmanager
from types import FunctionType
from typing import Any

from wsis._support.checks import InputWarning
from wsis._support.processes import pool
from wsis._support.progress import Monitor
from wsis.experiments.runner import Plan, Work

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
def doing(work: Work, jobs: int) -> Iterator[Do]:
    """Give what calls functions with ``work``, in ``jobs`` processes."""
    if jobs == 1:
        yield lambda function, calls, monitor: (
            function(work, *call, monitor) for call in calls
        )
        return
    with pool(jobs, _begin, (work.plan,)) as workers:

        def do(
            function: Callable[..., Any],
            calls: Sequence[tuple[Any, ...]],
            monitor: Monitor | None,
        ) -> Iterator[Any]:
            step = monitor.start("runs", len(calls)) if monitor and calls else None
            futures = [workers.submit(_call, function, call) for call in calls]
            for future in as_completed(futures):
                if step is not None:
                    step("")
                yield future.result()

        try:
            yield do
        except BaseException:
            workers.shutdown(cancel_futures=True)
            raise


def _begin(plan: Plan) -> None:
    # The process that started this one has told what is to be told of the data.
    warnings.simplefilter("ignore", InputWarning)
    _work[:] = [Work(plan)]


def _call(function: Callable[..., Any], call: tuple[Any, ...]) -> Any:
    return function(_work[0], *call, None)


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
