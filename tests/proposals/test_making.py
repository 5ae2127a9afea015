import os
import signal
import sys
import threading

import numpy as np
import pytest

from tests.builders import random_proposals
from tests.proposals.jobs import die, draws, fail, pixels, unreadable
from tests.proposals.test_packing import assert_same
from wsis._support.files import digest
from wsis.proposals._packing import unpack
from wsis.proposals.making import (
    Job,
    Photo,
    attempt,
    cluster,
    here,
    make_jobs,
    processes,
)
from wsis.proposals.region_tree import RegionTree


def test_an_outcome_has_the_photos_proposals():
    [first, second] = here(draws(2))

    assert (first.name, second.name) == ("0.jpg", "1.jpg")
    assert first.key == digest(pixels())
    assert first.error == ""
    assert (first.notes, second.notes) == ((), ("it was drawn by the left hand",))
    found = unpack(second.packed, "", frozenset())
    assert_same(found, random_proposals(2, (6, 7), 1))


def test_a_source_is_built_by_name_and_settings():
    image = np.random.default_rng(0).integers(0, 255, (32, 40, 3), np.uint8)
    photo = Photo(name="a.jpg", load=lambda: image)
    [job] = make_jobs([photo], "region_tree", {"nodes": "7"})

    outcome = attempt(job)

    expected = RegionTree(nodes=7)(image)
    assert_same(unpack(outcome.packed, "", frozenset()), expected)
    assert outcome.seconds > 0


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (Job(Photo(name="a", load=unreadable), fail), "expected a photo, got a sandwi"),
        (Job(Photo(name="a", load=pixels), fail), "RuntimeError: out of luck"),
        (
            *make_jobs([Photo(name="a", load=pixels)], "tre", {}),
            "no source is called 'tre'",
        ),
    ],
)
def test_what_fails_says_why_and_stops_nothing(job, message):
    [failed, fine] = here([job, *draws(1)])

    assert message in failed.error
    assert failed.packed is None
    assert fine.packed is not None


def test_proposals_of_another_size_are_an_error():
    small = Job(Photo(name="a", load=pixels), lambda image: random_proposals(3, (2, 3)))

    assert "proposals of 6 x 7 pixels (height x width) as the photo has, got 2 x 3" in (
        attempt(small).error
    )


def named(propose, name):
    return Job(Photo(name=name, load=pixels), propose)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_processes_do_all_in_order_but_a_photo_that_kills_its_process():
    jobs = [*draws(3), named(fail, "bad.jpg")]
    lethal = [*jobs[:2], named(die, "big.jpg"), *jobs[2:]]

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


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_cluster_that_loses_a_worker_loses_no_photo(local):
    [worker, *_] = local.workers.values()
    pid = worker.process.process.pid
    killed = threading.Event()

    def jobs():
        for i, job in enumerate(draws(16, delay=0.05)):
            if i == 8:
                # Both workers have jobs that wait and jobs that are done.
                os.kill(pid, signal.SIGKILL)
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
