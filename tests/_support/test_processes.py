import ast
import os
import sys
import time
import warnings
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch

from tests.package import files_with
from wsis._support.processes import pool

told: list[str] = []


def test_a_process_has_one_thread_and_begins_with_what_it_is_told():
    with pool(1, tell, ("begun",)) as workers:
        assert workers.submit(what_was_told).result() == ["begun"]
        assert workers.submit(torch.get_num_threads).result() == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_processes_end_with_the_one_that_gives_them_work():
    # Forked, as importing everything takes longest.
    receiving, sending = get_context("fork").Pipe(duplex=False)
    boss = get_context("fork").Process(target=hold_a_process, args=(sending,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        boss.start()
    assert receiving.poll(60)
    pid = receiving.recv()
    assert is_running(pid)

    boss.kill()
    boss.join()

    deadline = time.monotonic() + 20
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(pid)


def test_all_processes_are_of_this_kind():
    makers = files_with(
        lambda node: isinstance(node, ast.alias) and node.name == "ProcessPoolExecutor"
    )

    assert makers == {"_support/processes.py"}


def tell(word: str) -> None:
    told.append(word)


def what_was_told() -> list[str]:
    return told


def hold_a_process(sending: Connection) -> None:
    """Tells the number of a process that waits for work, and waits itself."""
    workers = pool(1)
    sending.send(workers.submit(os.getpid).result())
    time.sleep(600)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().split()[2] != "Z"
