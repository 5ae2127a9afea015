"""Does the parts of a bench one after another, or in several processes."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from wsis._support.processes import pool
from wsis.contracts import DataSource
from wsis.data.splits import Folds
from wsis.experiments.design import Variant
from wsis.experiments.monitor import Monitor, Watch
from wsis.experiments.runner import Pipelines, Work
from wsis.runs.settings import Settings

Do = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]], Monitor | None], Any]
"""Calls a method of ``Work`` with each of some arguments; results as they come."""


@contextmanager
def doing(
    work: Work,
    jobs: int,
    data: DataSource,
    shared: Settings,
    cache: Path,
    device: torch.device,
    watch: Watch | None = None,
    folds: Folds | None = None,
) -> Iterator[Do]:
    """Gives what calls ``work``'s methods; processes build their own from the rest."""
    if jobs == 1:
        yield lambda method, calls, monitor: (
            method(work, *call, monitor) for call in calls
        )
        return
    given = (data, work.variants, shared, cache, device, watch, folds)
    with pool(jobs, _begin, given) as workers:

        def do(
            method: Callable[..., Any],
            calls: Sequence[tuple[Any, ...]],
            monitor: Monitor | None,
        ) -> Iterator[Any]:
            step = monitor.start("runs", len(calls)) if monitor and calls else None
            futures = [workers.submit(_call, method, call) for call in calls]
            for future in as_completed(futures):
                if step is not None:
                    step("")
                yield future.result()

        try:
            yield do
        except BaseException:
            workers.shutdown(cancel_futures=True)
            raise


_of_process: list[Work] = []


def _begin(
    data: DataSource,
    variants: list[Variant],
    shared: Settings,
    cache: Path,
    device: torch.device,
    watch: Watch | None,
    folds: Folds | None,
) -> None:
    pipelines = Pipelines(variants, shared, cache, device)
    _of_process[:] = [Work(data, variants, pipelines, watch, folds)]


def _call(method: Callable[..., Any], call: tuple[Any, ...]) -> Any:
    return method(_of_process[0], *call, None)
