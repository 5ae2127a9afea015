import json
import re
import shutil
from dataclasses import asdict

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.command import wsis
from tests.photos import draw_photos, leaky
from wsis.runs.refine import Trust

TINY = [
    *("--device", "cpu", "--set", "weights=random", "--set", "width=8"),
    *("--set", "regions=20", "--set", "sampled=16", "--set", "sides=48"),
]
TRAIN = [
    *("--set", "backbone.weights=random", "--set", "source.nodes=30"),
    *("--set", "source.pairs=0", "--set", "schedule.epochs=1"),
    *("--set", "train_sides=64", "--set", "test_sides=64", "--device", "cpu"),
]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return draw_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return ("--cache", tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def run(tmp_path_factory, photos, cache):
    folder = tmp_path_factory.mktemp("trained") / "run"
    wsis("train", "--out", folder, *photos.options, *TRAIN, *cache)
    return folder


def test_refine_trains_measures_and_predicts(run, photos, cache, tmp_path):
    out = tmp_path / "out"
    options = ("--run", run, "--out", out, *photos.options, *TINY, *cache)
    text = wsis("refine", *options, "--epochs", 1)

    figures = json.loads((out / "figures.json").read_text())
    assert "4 pseudo labels on 4 of 4 tagged photos, for 4 of 4 tags" in text
    assert "refined: " in text
    assert "other photos" not in text
    assert re.search(r"tags: [0-4] of 4 training photos, [0-4] with the run", text)
    assert list(figures) == ["apart", "apart+"]
    for name in ("mAP25", "mAP50", "mAP70", "mAP75", "AP"):
        assert name in text
        assert set(figures["apart"]["metrics"]) >= {name}
    card = json.loads((out / "refined.json").read_text())
    assert card["settings"]["trust"] == asdict(Trust())  # the command's defaults
    labels = json.loads((out / "pseudo_labels.json").read_text())
    assert {one["file_name"] for one in labels["images"]} == {
        f"train{i}.png" for i in range(4)
    }

    measured = wsis(
        *("evaluate", "--run", out, "--predictions", out / "results.json"),
        *(*photos.options[:4], "--val", photos.val, "--json", tmp_path / "again.json"),
    )
    assert "apart+" in measured
    again = json.loads((tmp_path / "again.json").read_text())
    assert list(again) == ["results.json", "apart+"]
    assert again["results.json"] == again["apart+"] == figures["apart+"]

    found = tmp_path / "found"
    wsis("predict", photos.images / "val0.png", "--run", out, "--out", found)
    written = json.loads((found / "predictions.json").read_text())
    assert written["info"]["supervision"] == ["tags"]
    assert [one["id"] for one in written["categories"]] == [5, 9]

    resumed = wsis("refine", *options, "--epochs", 1, "--resume")
    assert "4 photos seen" in resumed
    assert json.loads((out / "figures.json").read_text()) == figures


def test_scarce_labels_are_said_with_what_to_do(run, photos, cache, tmp_path):
    options = ("--run", run, "--out", tmp_path / "out", *photos.options, *TINY, *cache)
    # By its full name, which wins over the option's default.
    strict = ("--set", "trust.min_score=1", "--top-per-tag", 0)
    text = wsis("refine", *options, *strict, code=1)

    assert "0 pseudo labels on 0 of 4 tagged photos" in text
    assert "fewer than one pseudo label a photo reaches --min-score 1" in text
    assert "--top-per-tag 1" in text
    assert "expected pseudo labels, none of 4 photos has any" in text


def test_without_validation_photos_nothing_is_measured(run, photos, cache, tmp_path):
    options = ("--run", run, "--out", tmp_path / "out", *photos.options[:6], *TINY)
    text = wsis("refine", *options, *cache, "--epochs", 1, "--track", "tensorboard")

    curves = EventAccumulator(str(tmp_path / "out/tensorboard"))
    curves.Reload()
    [loss] = curves.Scalars("loss/total")
    card = json.loads((tmp_path / "out/refined.json").read_text())
    assert loss.step == card["images"]
    assert loss.value == pytest.approx(card["losses"][-1]["total"])
    assert "no --val, so nothing was measured" in text
    assert not (tmp_path / "out" / "figures.json").exists()


@pytest.mark.parametrize(
    ("options", "message", "code"),
    [
        (["--set", "widht=8"], "did you mean 'width'?", 2),
        (["--detector", "r100"], "'small', 'r50'", 2),
        (["--min-score", "2"], "--min-score", 2),
        (["--detector", "r50", "--set", "weights="], "weights=FILE", 1),
    ],
)
def test_wrong_usage_is_named_before_work(
    options, message, code, run, photos, cache, tmp_path
):
    files = ("--run", run, "--out", tmp_path / "out", *photos.options, *cache)

    assert message in wsis("refine", *files, *TINY, *options, code=code)
    assert not (tmp_path / "out").exists()


def test_other_photos_than_the_run_s_are_said(run, photos, cache, tmp_path):
    labels = json.loads(photos.train.read_text())
    labels["images"] = labels["images"][1:]
    kept = {one["id"] for one in labels["images"]}
    of = [one for one in labels["annotations"] if one["image_id"] in kept]
    fewer = tmp_path / "fewer.json"
    fewer.write_text(json.dumps(labels | {"annotations": of}))
    data = ("--data", "coco", "--images", photos.images, "--train", fewer)
    files = ("--run", run, "--out", tmp_path / "out", *data, *TINY, *cache)
    val = ("--val", leaky(photos, tmp_path / "mixed.json"))
    text = wsis("refine", *files, *val, "--epochs", 1)

    # The run was trained on it, as were the others, and the detector.
    assert "1 of 4 validation photos are also training photos" in text
    measured = wsis("evaluate", "--run", tmp_path / "out", *files[4:8], *val)
    assert "1 of 4 measured photos are also training photos" in measured
    assert "data: fewer: 3 photos" in text
    said = "trained on other photos: 4 photos of train; here 3 photos of fewer"
    assert said in " ".join(text.split())


def test_a_folder_that_exists_is_not_touched(run, photos, tmp_path):
    (tmp_path / "mine").write_text("mine")
    text = wsis("refine", "--run", run, "--out", tmp_path, *photos.options, code=2)

    assert "--resume to resume it" in text
    assert [one.name for one in tmp_path.iterdir()] == ["mine"]


def test_validation_photos_are_read_before_training(run, photos, cache, tmp_path):
    folder = tmp_path / "images"
    shutil.copytree(photos.images, folder)
    (folder / "val1.png").write_bytes(b"no photo")
    files = ("--data", "coco", "--images", folder, *photos.options[4:])
    text = wsis(
        *("refine", "--run", run, "--out", tmp_path / "out", *files, *TINY, *cache),
        code=1,
    )

    assert "val1.png is none" in text
    assert "val1.png" in text
    assert not (tmp_path / "out").exists()
