"""Processes of one thread each, which end with the one that started them."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.reduction import ForkingPickler
from typing import Any

import torch


def pool(
    count: int, begin: Callable[..., None] | None = None, given: tuple[Any, ...] = ()
) -> ProcessPoolExecutor:
    """Return ``count`` processes of one thread each, which end if this one is killed.

    Each first calls ``begin(*given)``.
    """
    return ProcessPoolExecutor(
        count, get_context("spawn"), initializer=_begin, initargs=(begin, given)
    )


def cores() -> int:
    """Return the number of cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch work as it does in one of several processes, to the last digit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _begin(begin: Callable[..., None] | None, given: tuple[Any, ...]) -> None:
    # Threads of their own would only be in each other's way.
    torch.set_num_threads(1)
    # Results come back by value: in shared memory each tensor holds a file open.
    ForkingPickler.register(torch.Tensor, _by_value)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if begin is not None:
        begin(*given)


def _by_value(tensor: torch.Tensor) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    return torch.from_numpy, (tensor.detach().cpu().numpy(),)


def _end_with_parent() -> None:
    # Otherwise a process waits for work forever if its parent was killed.
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
