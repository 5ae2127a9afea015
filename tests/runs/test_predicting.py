import os
import signal
import sys
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from tests.photos import draw_photos
from wsis.data.coco import CocoData
from wsis.geometry.predictions import Predictions
from wsis.runs import predicting
from wsis.runs.pipeline import Pipeline
from wsis.runs.predicting import Task, _same_run, predict_files
from wsis.runs.run import Card, Run, load
from wsis.runs.settings import Part, Settings


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return draw_photos(tmp_path_factory.mktemp("photos"), train=2, val=3)


@pytest.fixture(scope="module")
def loading(tmp_path_factory, photos):
    settings = Settings.read(
        ["backbone.weights=random", "source.nodes=20", "test_sides=64"]
    )
    folder = tmp_path_factory.mktemp("run")
    pipeline = Pipeline(settings, folder / "cache")
    tagged = CocoData(images=photos.images, train_json=photos.train).train()
    card = Card.of(pipeline, Part.parse("cim"), 0, tagged)
    model = pipeline.model(2, 0).eval()
    Run(card=card, model=model, pipeline=pipeline).save(folder / "run")
    return partial(load, folder / "run", device="cpu", cache=folder / "cache")


@pytest.fixture(scope="module")
def run(loading):
    return loading()


def tasks(photos, folder):
    folder.mkdir()
    torn = folder / "torn.jpg"
    torn.write_bytes(b"torn")
    paths = [*sorted(photos.images.glob("val*.png")), torn]
    paths.insert(1, paths.pop())
    return [
        Task(
            path=path,
            picture=folder / f"{i}.png",
            number=i,
            tags=frozenset({"disc"}) if i == 2 else None,
        )
        for i, path in enumerate(paths)
    ]


def test_several_processes_find_what_one_finds(run, loading, photos, tmp_path):
    keep = partial(Predictions.filter, min_score=0.001, classes=["disc", "square"])
    some = [tasks(photos, tmp_path / name) for name in ("one", "two")]
    told = []

    one = list(predict_files(run, loading, some[0], keep, 1, told.append))
    two = list(predict_files(run, loading, some[1], keep, 2))

    assert [type(a) for a in one] == [type(b) for b in two]
    assert isinstance(one[1], ValueError)
    assert "torn.jpg" in str(two[1])
    for i in (0, 2, 3):
        assert len(one[i]) > 0
        assert (one[i].image_id, one[i].load) == (i, None)
        assert one[i].score.equal(two[i].score)
        assert one[i].masks == two[i].masks
        a, b = (np.asarray(Pillow.open(half[i].picture)) for half in some)
        assert a.shape == (64, 80, 3)
        assert (a == b).all()
    assert set(one[2].label.tolist()) == {2}
    assert told == 3 * ["read", "proposals", "features 64", "masks"]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_cluster_that_loses_a_worker_finds_what_one_process_finds(
    run, loading, photos, tmp_path, local
):
    keep = partial(Predictions.filter, min_score=0.001)
    some = [tasks(photos, tmp_path / name) for name in ("one", "far")]
    one = list(predict_files(run, loading, some[0], keep))

    found = []
    for outcome in predict_files(
        run, loading, some[1], keep, cluster=local.scheduler_address
    ):
        if not found:
            [worker, *_] = local.workers.values()
            os.kill(worker.process.process.pid, signal.SIGKILL)
        found.append(outcome)

    assert [type(a) for a in one] == [type(b) for b in found]
    assert "torn.jpg" in str(found[1])
    for i in (0, 2, 3):
        assert len(one[i]) > 0
        assert one[i].image_id == found[i].image_id
        assert one[i].score.equal(found[i].score)
        assert one[i].masks == found[i].masks
        assert some[0][i].picture.read_bytes() == some[1][i].picture.read_bytes()


def test_a_worker_without_the_run_or_with_another_is_told(run, loading):
    card = run.card

    with pytest.raises(ValueError, match=r"a worker on .* does not see the run, .* no"):
        _same_run(partial(load, "no"), card)
    with pytest.raises(ValueError, match="sees another run under this path"):
        _same_run(loading, card.model_copy(update={"seed": 7}))


def test_photos_of_a_killed_process_are_predicted_here(run, loading, photos, tmp_path):
    keep = partial(Predictions.filter, min_score=0.001)
    some = [tasks(photos, tmp_path / name) for name in ("one", "two")]
    said = []

    one = list(predict_files(run, loading, some[0], keep, 2))
    two = list(predict_files(run, die, some[1], keep, 2, say=said.append))

    assert "has ended" in " ".join(said)
    assert len(said) == 1
    assert [type(a) for a in one] == [type(b) for b in two]
    for i in (0, 2, 3):
        assert one[i].score.equal(two[i].score)


@pytest.mark.parametrize(
    ("device", "cores", "free", "photos", "jobs"),
    [
        ("cpu", 8, 20_000, 100, 8),
        ("cpu", 8, 3_200, 100, 2),
        ("cpu", 8, 100, 100, 1),
        ("cpu", 8, 20_000, 3, 3),
        ("cpu", 8, None, 100, 2),
        ("cpu", 1, None, 0, 1),
        ("cuda", 8, 20_000, 100, 1),
    ],
)
def test_there_are_as_many_processes_as_cores_memory_and_photos(
    monkeypatch, device, cores, free, photos, jobs
):
    monkeypatch.setattr(predicting, "cores", lambda: cores)
    monkeypatch.setattr(predicting, "free_megabytes", lambda: free)

    assert predicting.jobs_for(torch.device(device), photos) == jobs


def die():
    os._exit(9)
