"""A Dask cluster: workers elsewhere that see the same files."""

import pickle
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from socket import gethostname
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, TypeVar

import torch

from wsis._support.checks import InputWarning
from wsis._support.files import differences, in_words
from wsis._support.provenance import commit, versions

AHEAD = 4
"""Tasks that wait for each worker, so that none is idle while a slow one is first."""

Item = TypeVar("Item")


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Yield the client of a scheduler that has workers.

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
        yield client


def in_order(
    client: Any, submit: Callable[[Item], Any], items: Iterable[Item]
) -> Iterator[tuple[Item, Any]]:
    """Yield items with the futures of their results; few are under way at a time."""
    most = AHEAD * max(1, sum(client.nthreads().values()))
    waiting: deque[tuple[Item, Any]] = deque()
    for item in items:
        waiting.append((item, submit(item)))
        if len(waiting) >= most:
            yield waiting.popleft()
    yield from waiting


@dataclass(frozen=True, slots=True, eq=False)
class Workers:
    """The workers of a cluster, each with a state of its own that functions get.

    Args:
        client: of the scheduler.
        given: the pickled way to make the state, and what must be as here.
    """

    client: Any
    given: bytes

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return the future of ``function(state, *arguments)``."""
        # Not pure: every call is one of its own.
        return self.client.submit(_call, self.given, function, *arguments, pure=False)

    def map(
        self, function: Callable[..., Any], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Any]]:
        """Yield items with ``function(state, item)``, in order."""
        each = in_order(self.client, lambda item: self.submit(function, item), items)
        for item, future in each:
            yield item, future.result()


@contextmanager
def workers(
    address: str,
    make: Callable[[], Any],
    *,
    what: str,
    folder: Path | None = None,
    threads: int = 1,
) -> Iterator[Workers]:
    """Yield the workers of a scheduler; what a lost one had to do is done by another.

    Args:
        address: of the scheduler.
        make: makes the state, once a worker; can be pickled.
        what: names what is sent, for messages.
        folder: the cache that workers must see under the same path; None if any does.
        threads: that torch has on each worker.

    Raises:
        ValueError: if ``make`` cannot be pickled; if a worker has several threads of
            Dask's, other versions than this process or does not see the folder; or if
            workers are lost again and again.
    """
    with connected(address) as client, _mark(folder) as mark:
        from cloudpickle import dumps
        from distributed import KilledWorker

        several = sum(threads > 1 for threads in client.nthreads().values())
        if several:
            raise ValueError(
                f"expected workers of one thread each (dask worker --nthreads 1), "
                f"{several} of {len(client.nthreads())} have more"
            )
        try:
            given = dumps((make, known_versions(), mark, threads))
        except Exception as error:  # whatever a class of the user's raises
            raise ValueError(
                f"{what} cannot be sent to a cluster ({error}); put what they are made "
                "of into a module that the workers have"
            ) from error
        try:
            yield Workers(client, given)
        except KilledWorker as error:
            raise ValueError(
                f"the cluster gave up, as workers were lost again and again: {error}"
            ) from error


def here() -> str:
    """Return the name of this worker, for messages."""
    return f"a worker on {gethostname()}"


def known_versions() -> dict[str, str]:
    """Return the versions that a worker must have, and the commit of the code."""
    found = {name: one for name, one in versions().items() if name != "python"}
    return {**found, "commit": commit() or "none"}


@contextmanager
def _mark(folder: Path | None) -> Iterator[str | None]:
    """Make a folder in the cache that workers can look for."""
    if folder is None:
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="cluster-", dir=folder.absolute()) as mark:
        yield mark


_alone = Lock()


def _call(given: bytes, function: Callable[..., Any], *arguments: Any) -> Any:
    # One at a time, whatever the worker's threads: runs draw from the global state.
    with _alone, warnings.catch_warnings():
        # The command tells what is to be told of its inputs.
        warnings.simplefilter("ignore", InputWarning)
        state, threads = _state(given)
        # Dask may call from another thread than before, and each has a number of them.
        torch.set_num_threads(threads)
        return function(state, *arguments)


@lru_cache(maxsize=1)
def _state(given: bytes) -> tuple[Any, int]:
    """Make the state of a worker once; return it and torch's threads.

    Raises:
        ValueError: if the worker does not have in common what it must.
    """
    make, known, mark, threads = pickle.loads(given)
    if changes := differences(known, known_versions()):
        raise ValueError(
            f"expected the versions of this process on {here()}: {in_words(changes)}"
        )
    if mark is not None and not Path(mark).is_dir():
        raise ValueError(
            f"{here()} does not see the cache {Path(mark).parent}: give --cache a "
            "folder that all workers see under this path"
        )
    torch.set_num_threads(threads)
    return make(), threads
