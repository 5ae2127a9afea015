"""Videos among photos to predict, and curves of a training, on the command line."""

import csv
import json
import sys

import pytest
from PIL import Image as Pillow
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.command import wsis
from tests.data.test_videos import film, tenths
from tests.photos import draw_photos

TINY = [
    *("--device", "cpu", "--set", "backbone.weights=random"),
    *("--set", "source.nodes=20", "--set", "source.pairs=0"),
    *("--set", "train_sides=64", "--set", "test_sides=64", "--set", "head.width=8"),
    *("--set", "schedule.epochs=1", "--set", "anti_noise=false"),
]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.getbasetemp() / "video-cache"
    monkeypatch.setenv("WSIS_CACHE", str(folder))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    photos = draw_photos(tmp_path_factory.mktemp("photos"))
    out = tmp_path_factory.mktemp("made") / "run"
    cache = tmp_path_factory.getbasetemp() / "video-cache"
    wsis(
        *("train", *photos.options, "--out", out, *TINY, "--cache", cache),
        *("--track", "tensorboard", "--track", f"tensorboard:{out.parent / 'more'}"),
    )
    return out


def predict(*given, run, out, code=0):
    options = ("--run", run, "--out", out, "--device", "cpu")
    return wsis("predict", *given, *options, code=code)


def images(out):
    return json.loads((out / "predictions.json").read_text())["images"]


def test_curves_lie_in_the_run_and_where_they_are_asked_for(run):
    for folder in (run / "tensorboard", run.parent / "more"):
        events = EventAccumulator(str(folder))
        events.Reload()
        assert [one.step for one in events.Scalars("loss/total")] == [4]


def test_frames_are_predicted_beside_photos_and_kept(run, tmp_path):
    clips, out = tmp_path / "clips", tmp_path / "found"
    clips.mkdir()
    film(clips / "clip.mp4", tenths(25))
    Pillow.new("RGB", (64, 48), "red").save(clips / "a.png")

    said = predict(clips / "clip.mp4", clips / "a.png", run=run, out=out)

    names = [f"clip-0000{number}.jpg" for number in ("00", "10", "20")]
    assert "clip.mp4, a frame every 1 s" in said
    assert "on 4 photos" in said
    assert [one["file_name"] for one in images(out)] == [*names, "a.png"]
    for one in images(out):
        with Pillow.open(out / one["path"]) as photo:
            assert photo.size == (one["width"], one["height"]) == (64, 48)
    assert sorted(path.name for path in (out / "frames").iterdir()) == names
    drawn = {path.name for path in out.glob("*.png")}
    assert drawn == {"a.png", *(name.replace("jpg", "png") for name in names)}
    with (out / "review.csv").open(newline="") as file:
        listed = {row["photo"] for row in csv.DictReader(file)}
    assert listed == {str(clips / "a.png"), *(str(out / "frames" / x) for x in names)}

    wsis("report", out)
    wsis("export", out, "--format", "coco", "--out", tmp_path / "coco")
    said = predict(clips / "*.mp4", "--every", 2, "--overwrite", run=run, out=out)
    assert "clip.mp4, a frame every 2 s" in said
    assert [one["file_name"] for one in images(out)] == [names[0], names[2]]


def test_a_videos_tags_hold_for_its_frames(run, tmp_path):
    (tmp_path / "disc").mkdir()
    clip = film(tmp_path / "disc/clip.mp4", tenths(15))

    said = predict(tmp_path / "disc" / clip.name, run=run, out=tmp_path / "found")

    assert "tags: known for 1 of 1 photos" in said
    found = json.loads((tmp_path / "found/predictions.json").read_text())
    names = {one["id"]: one["name"] for one in found["categories"]}
    assert {names[one["category_id"]] for one in found["annotations"]} == {"disc"}
    assert len(found["images"]) == 2


def test_a_broken_video_is_left_out_with_a_warning(run, tmp_path):
    for name in "abc":
        (tmp_path / name).mkdir()
    film(tmp_path / "a/clip.mp4", tenths(5))
    (tmp_path / "b/clip.mp4").write_bytes(b"junk" * 99)
    film(tmp_path / "c/Clip.mp4", tenths(5))
    clips = [tmp_path / one for one in ("a/clip.mp4", "b/clip.mp4", "c/Clip.mp4")]

    said = predict(*clips, run=run, out=tmp_path / "found")

    assert "skipped: expected a whole video" in said
    assert "left out (1 of 3)" in said
    assert "on 2 photos (1 skipped)" in said
    names = [one["file_name"] for one in images(tmp_path / "found")]
    assert names == ["clip-000000.jpg", "Clip-3-000000.jpg"]
    said = predict(clips[1], run=run, out=tmp_path / "none", code=1)
    assert "none of 1 photos could be read" in said
    assert not (tmp_path / "none").exists()


def test_what_a_video_needs_is_checked_before_any_work(run, tmp_path, monkeypatch):
    Pillow.new("RGB", (64, 48)).save(tmp_path / "a.png")
    out = tmp_path / "found"

    said = predict(tmp_path / "a.png", "--every", 1, run=run, out=out, code=2)
    assert "expected a video for --every" in said

    clip = film(tmp_path / "clip.mp4", tenths(5))
    monkeypatch.setitem(sys.modules, "av", None)
    said = predict(clip, run=run, out=out, code=1)
    assert "pip install 'wsis[video]'" in said
    assert not out.exists()
