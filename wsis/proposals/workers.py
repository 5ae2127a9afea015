"""Where jobs are done: in this process, in several, or on a Dask cluster."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from wsis._support.processes import pool
from wsis.proposals.making import Job, Outcome, attempt

Work = Callable[[Iterable[Job]], Iterator[Outcome]]
"""Does jobs; their outcomes come in the jobs' order."""

_AHEAD = 4
"""Jobs that wait for each process, so that none is idle while a slow one is first."""


def here(jobs: Iterable[Job]) -> Iterator[Outcome]:
    """One after the other, in this process."""
    return map(attempt, jobs)


@contextmanager
def processes(count: int) -> Iterator[Work]:
    """In ``count`` processes of one thread each; in this one if it is 1.

    A photo whose process ends (killed for its memory, say) is an outcome with an error:
    those that were under way with it are done again, one by one.
    """
    if count < 1:
        raise ValueError(f"expected at least one process, got {count}")
    if count == 1:
        yield here
        return
    working = _Processes(count)
    try:
        yield working
    finally:
        working.stop()


@contextmanager
def cluster(address: str) -> Iterator[Work]:
    """On the workers of a Dask cluster, which see the same files as this process.

    Jobs of a worker that is lost are done by others; a photo that takes its worker
    along again and again is an outcome with an error.

    Args:
        address: of the scheduler, such as ``tcp://10.0.0.1:8786``.

    Raises:
        ValueError: if Dask's distributed is not installed, or no worker answers.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise ValueError(
            "a cluster needs Dask's distributed: pip install 'wsis[cluster]'"
        ) from None
    try:
        client = Client(address, timeout=20)
        client.wait_for_workers(1, timeout=20)
    except (OSError, ValueError, TimeoutError) as error:
        raise ValueError(
            f"expected a Dask scheduler with workers at {address}: {error}"
        ) from error
    with client:
        yield _Dask(client)


class _Processes:
    def __init__(self, count: int) -> None:
        self.count = count
        self.pool = pool(count)

    def __call__(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        waiting: deque[tuple[Job, Future[Outcome]]] = deque()
        for job in jobs:
            waiting.append((job, self._submit(job)))
            if len(waiting) >= _AHEAD * self.count:
                yield from self._first(waiting)
        while waiting:
            yield from self._first(waiting)

    def stop(self) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, job: Job) -> Future[Outcome]:
        try:
            return self.pool.submit(attempt, job)
        except BrokenProcessPool as error:
            broken: Future[Outcome] = Future()
            broken.set_exception(error)
            return broken

    def _first(self, waiting: deque[tuple[Job, Future[Outcome]]]) -> Iterator[Outcome]:
        """The next outcome; all that wait if a process was lost."""
        job, future = waiting.popleft()
        try:
            yield future.result()
        except BrokenProcessPool:
            self.stop()
            rest = [(job, future), *waiting]
            waiting.clear()
            yield from _apart(rest)
            self.pool = pool(self.count)


def _apart(rest: Iterable[tuple[Job, Future[Outcome]]]) -> Iterator[Outcome]:
    """Outcomes of jobs some of which were lost; those are done one at a time."""
    single = pool(1)
    try:
        for job, done in rest:
            if not done.cancelled() and done.exception() is None:
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


class _Dask:
    def __init__(self, client: Any) -> None:
        self.client = client

    def __call__(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        threads = sum(self.client.nthreads().values())
        waiting: deque[tuple[Job, Any]] = deque()
        for job in jobs:
            # Not pure: a job without a name of its own would be pickled to make one.
            future = self.client.submit(attempt, job, pure=False)
            waiting.append((job, future))
            if len(waiting) >= _AHEAD * max(1, threads):
                yield self._first(waiting)
        while waiting:
            yield self._first(waiting)

    def _first(self, waiting: deque[tuple[Job, Any]]) -> Outcome:
        job, future = waiting.popleft()
        try:
            outcome: Outcome = future.result()
        except Exception as error:
            # What a job raises is caught in it: this is the cluster's own.
            return Outcome(
                name=job.photo.name, error=f"the cluster gave it up: {error}"
            )
        return outcome
