"""What a worker of a cluster must have in common with the command."""

import pickle

import pytest
import torch

from wsis._support import cluster
from wsis._support.cluster import _state, here, in_order, known_versions, workers


def given(make, *, known=None, mark=None, threads=1):
    return pickle.dumps((make, known or known_versions(), mark, threads))


def test_a_worker_makes_its_state_once_with_the_threads_it_is_told():
    sent, before = given(dict, threads=1), torch.get_num_threads()
    try:
        assert _state(sent) is _state(sent)
        assert _state(sent) == ({}, 1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_worker_with_other_versions_is_told():
    other = given(dict, known={**known_versions(), "wsis": "0.0.1"})

    with pytest.raises(ValueError, match=r"a worker on .*: wsis: '0\.0\.1' there"):
        _state(other)


def test_a_worker_without_the_cache_is_told(tmp_path):
    other = given(dict, mark=str(tmp_path / "nowhere" / "mark"))

    with pytest.raises(ValueError, match=r"does not see the cache .*nowhere: give --c"):
        _state(other)


class Client:
    """A scheduler's client that has these threads."""

    def __init__(self, *threads):
        self.threads = dict(enumerate(threads))

    def nthreads(self):
        return self.threads

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        pass


def test_workers_of_several_threads_are_refused(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "connected", lambda address: Client(1, 4))

    with (
        pytest.raises(ValueError, match=r"one thread each .*, 1 of 2 have more"),
        workers("tcp://x", dict, what="it"),
    ):
        pass


def test_what_cannot_be_sent_is_told_and_no_mark_stays(monkeypatch, tmp_path):
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "connected", lambda address: Client(1))
    held = (x for x in ())

    with (
        pytest.raises(ValueError, match="my parts cannot be sent to a cluster"),
        workers("tcp://x", lambda: held, what="my parts", folder=tmp_path / "cache"),
    ):
        pass
    assert list((tmp_path / "cache").iterdir()) == []


def test_items_keep_their_order_and_few_are_under_way():
    begun = []

    def submit(item):
        begun.append(item)
        return -item

    found = in_order(Client(1), submit, range(9))

    assert next(found) == (0, 0)
    assert begun == [0, 1, 2, 3]
    assert [x for x, _ in found] == list(range(1, 9))


def test_a_worker_has_a_name():
    assert here().startswith("a worker on ")
