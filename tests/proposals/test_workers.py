import os
import signal
import sys
import threading

import pytest

from tests.proposals.jobs import Die, Fail, draws, pixels
from wsis.proposals.making import Photo
from wsis.proposals.workers import cluster, here, processes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")


def named(kind, name):
    return kind(Photo(name=name, load=pixels))


def test_processes_do_all_in_order_but_a_photo_that_kills_its_process():
    jobs = [*draws(3), named(Fail, "bad.jpg")]
    lethal = [*jobs[:2], named(Die, "big.jpg"), *jobs[2:]]

    with processes(2) as work:
        found = list(work(iter(lethal)))

    assert [one.name for one in found] == [job.photo.name for job in lethal]
    assert "process was killed" in found[2].error
    for one, other in zip([*found[:2], *found[3:]], here(jobs), strict=True):
        assert (one.name, one.key, one.error) == (other.name, other.key, other.error)
        if other.packed is not None:
            assert one.packed["members"].tolist() == other.packed["members"].tolist()


def test_one_process_is_this_one():
    with processes(1) as work:
        assert work is here
    with pytest.raises(ValueError, match="at least one process, got 0"):
        processes(0).__enter__()


def test_a_cluster_that_loses_a_worker_loses_no_photo():
    distributed = pytest.importorskip("distributed")
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**settings, silence_logs=50) as local:
        pids = [worker.process.process.pid for worker in local.workers.values()]
        killed = threading.Event()

        def jobs():
            for i, job in enumerate(draws(16, delay=0.05)):
                if i == 8:
                    # Both workers have jobs that wait and jobs that are done.
                    os.kill(pids[0], signal.SIGKILL)
                    killed.set()
                yield job

        with cluster(local.scheduler_address) as work:
            found = list(work(jobs()))

    assert killed.is_set()
    assert [one.name for one in found] == [f"{i}.jpg" for i in range(16)]
    assert [one.error for one in found] == [""] * 16
    assert [len(one.packed["objectness"]) for one in found] == list(range(1, 17))


def test_no_cluster_there():
    pytest.importorskip("distributed")
    with pytest.raises(ValueError, match="expected a Dask scheduler with workers at x"):
        cluster("x://nowhere").__enter__()


def test_without_dask_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)

    with pytest.raises(ValueError, match=r"pip install 'wsis\[cluster\]'"):
        cluster("tcp://127.0.0.1:1").__enter__()
