"""Proposals, features and cues from a cluster: those that are made here."""

import os
import signal
import sys
from dataclasses import replace
from functools import partial

import pytest
from safetensors.torch import load_file

import wsis
from tests.drawn import Squares, settings
from wsis._support.progress import Silent
from wsis.runs._ahead import _prepared, _same, make_ahead
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import SettingsError
from wsis.training.ranks import Ranks

pytest.importorskip("distributed")


class Killing(Silent):
    """Kills a worker once the first photo is done."""

    def __init__(self, local):
        [worker, *_] = local.workers.values()
        self.pid = worker.process.process.pid
        self.titles = []

    def start(self, title, total):
        def step(note):
            if not self.titles[1:] and self.pid:
                os.kill(self.pid, signal.SIGKILL)
                self.pid = None

        self.titles.append((title, total))
        return step


def kept(cache, *rooms):
    """The tensors of each file, by its path."""
    return {
        str(path.relative_to(cache)): load_file(path)
        for room in rooms
        for path in sorted((cache / room).rglob("*.safetensors"))
    }


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.slow
@pytest.mark.parametrize("cues", ["cam", "prm"])
def test_a_cluster_that_loses_a_worker_keeps_what_is_made_here(cues, local, tmp_path):
    given = settings(f"cues={cues}")
    data = Squares(train=6).train()
    here, far = (Pipeline(given, tmp_path / name) for name in ("here", "far"))
    bags = here.bags(data.images)
    here.prepare(bags)
    labels = here.cues(bags, 3)
    wanted = [labels(bag) for bag in bags]
    killing = Killing(local)

    bags = far.bags(data.images)
    make_ahead(local.scheduler_address, far, bags, 3, killing)

    assert killing.titles == [("proposals and features", 6), ("cues", 6)]
    rooms = "proposals", "features", "cues", "overlaps"
    ours, theirs = kept(tmp_path / "here", *rooms), kept(tmp_path / "far", *rooms)
    assert list(ours) == list(theirs)
    assert len(ours) > 4 * 6
    for name, tensors in ours.items():
        assert all(t.equal(theirs[name][key]) for key, t in tensors.items()), name
    there = far.cues(bags, 3)
    assert all(there.has(bag) for bag in bags)
    assert all(a.equal(there(bag)) for a, bag in zip(wanted, bags, strict=True))
    assert not list((tmp_path / "far").glob("cluster-*"))


def test_training_with_a_cluster_gives_the_same_weights(local, tmp_path, monkeypatch):
    train = partial(wsis.train, Squares(train=4), settings=settings(), steps=4)

    one = train(cache=tmp_path / "here")
    # A path of this folder; that of the workers is another.
    monkeypatch.chdir(tmp_path)
    two = train(cache="far", cluster=local.scheduler_address, monitor=Silent())

    ours, theirs = one.model.state_dict(), two.model.state_dict()
    assert all(value.equal(theirs[name]) for name, value in ours.items())
    here, far = (kept(tmp_path / name, "cues") for name in ("here", "far"))
    assert list(here) == list(far) != []
    pipeline = replace(two.pipeline, cache=tmp_path / "far")
    bags = pipeline.bags(Squares(train=4).train().images)
    make_ahead(local.scheduler_address, two.pipeline, bags, 1, Silent())
    assert all(pipeline.cues(bags, 1).has(bag) for bag in bags)


def test_a_cluster_and_several_processes_that_train_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="a cluster or several processes"):
        wsis.train(
            Squares(),
            settings=settings("schedule.batch=2"),
            cache=tmp_path,
            ranks=Ranks(rank=0, count=2),
            cluster="tcp://x",
        )


def test_a_worker_of_another_machine_is_told(tmp_path):
    pipeline = Pipeline(settings(), tmp_path)
    made_by = pipeline.frozen.made_by
    other = {**made_by, "machine": {**made_by["machine"], "cpu": "NONE"}}

    with pytest.raises(ValueError, match=r"something else: machine.*NONE"):
        _same(partial(Pipeline, pipeline.settings, tmp_path, pipeline.device), other)


def test_a_worker_without_a_photo_is_told(tmp_path):
    def gone():
        raise FileNotFoundError("expected a photo, there is no a.jpg")

    [image, *_] = Squares().train().images
    image = image.__class__(id=1, name="a.jpg", tags=image.tags, load=gone)

    with pytest.raises(ValueError, match=r"a worker on .* does not see .* no a\.jpg"):
        _prepared(Pipeline(settings(), tmp_path), image)
