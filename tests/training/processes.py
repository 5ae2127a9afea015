"""Two processes as torchrun starts them; as a program: one of them fails."""

import os
import runpy
import signal
import socket
import sys
import warnings
from multiprocessing import get_context

from wsis.training import loop


def spoil(how):
    """Let the second process fail, end or be interrupted in its first image."""
    real = loop._losses

    def losses(*given):
        found = real(*given)
        if os.environ["RANK"] == "1":
            if how == "fail":
                raise ValueError("a photo of the second process")
            number = signal.SIGKILL if how == "lost" else signal.SIGINT
            os.kill(os.getpid(), number)
        return found

    loop._losses = losses


def command(how, words):
    """Run the command line in a process that was forked, spoilt."""
    spoil(how)
    sys.argv = ["wsis", *words]
    runpy.run_module("wsis", run_name="__main__")


def two(folder, function, *given):
    """Call a function in two processes; return how they ended and what they printed.

    They are forked, so that nothing is imported again.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    context = get_context("fork")
    printed = [folder / f"{rank}.txt" for rank in range(2)]
    both = [
        context.Process(target=_begin, args=(rank, port, path, function, given))
        for rank, path in enumerate(printed)
    ]
    with warnings.catch_warnings():
        # Of forks beside threads: those of torch have ended their work.
        warnings.simplefilter("ignore", DeprecationWarning)
        for one in both:
            one.start()
    for one in both:
        one.join(240)
    hung = [one for one in both if one.exitcode is None]
    for one in hung:
        one.kill()
    assert hung == []
    return [one.exitcode for one in both], [path.read_text() for path in printed]


def _begin(rank, port, path, function, given):
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "TORCHELASTIC_RUN_ID": "test",
    }
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with path.open("w") as file:
        sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = file
        function(*given)


if __name__ == "__main__":
    command("fail", sys.argv[1:])
