"""Ctrl-C held back until work has come to a place from which it can resume."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether Ctrl-C came; a second one comes through.

    Where another handler is set, or on another thread, nothing is held back.
    """
    came = False

    def hold(number: int, frame: Any) -> None:
        del number, frame
        nonlocal came
        if came:
            raise KeyboardInterrupt
        came = True

    main = threading.current_thread() is threading.main_thread()
    known = signal.getsignal(signal.SIGINT)
    if not main or known is not signal.default_int_handler:
        yield lambda: False
        return
    signal.signal(signal.SIGINT, hold)
    try:
        yield lambda: came
    finally:
        signal.signal(signal.SIGINT, known)
