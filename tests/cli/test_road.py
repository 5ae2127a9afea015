"""From a folder of tagged photos to masks: wsis start, then wsis run."""

import csv
import itertools
import json
import shutil
from types import SimpleNamespace

import pytest

from tests.command import wsis
from wsis.runs.estimate import Estimate

CPU = ("--device", "cpu")


@pytest.fixture
def here(laid_out):
    """A current folder with a folder of photos, a subfolder per tag, and a recipe."""
    return laid_out


@pytest.fixture
def untimed(monkeypatch):
    """No trial on two photos, which takes a second."""
    told = SimpleNamespace(**dict.fromkeys(Estimate.__slots__, 0.0) | {"device": "cpu"})
    monkeypatch.setattr("wsis.projects.costs.estimate", lambda *given, **more: told)


def start(*args, code=0):
    return wsis("start", "photos", "--recipe", "quick.toml", *CPU, *args, code=code)


def change(here, before, after):
    path = here / "wsis.toml"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))


def interrupted(*args, **given):
    raise KeyboardInterrupt


def test_from_photos_to_masks_and_again(here):
    told = start()
    for text in (
        "photos: 7 in photos",
        "tags: a subfolder per tag",
        "square 4 photos disc 3 photos",
        "1. tags with fewer than 20 photos (2): disc (3), square (4)",
        "wsis run takes about",
        "MiB of disk",
        "next: wsis run",
    ):
        assert text in told
    assert not (here / "wsis-tags.csv").exists()

    plan = wsis("run", "--dry-run", *CPU)
    assert "train: to do, about" in plan
    assert "wsis predict photos --run wsis-out/run --tags photos" in plan
    assert not (here / "wsis-out").exists()

    done = wsis("run", *CPU)
    out = here / "wsis-out"
    images = json.loads((out / "coco/annotations.json").read_text())["images"]
    assert len(images) == 7
    assert "tags: known for 7 of 7 photos" in done
    assert "report: wsis-out/found/report.html" in done
    assert done.count("next:") == 1
    assert "next: wsis predict NEW_PHOTOS --run wsis-out/run --out found" in done
    assert "masks: wsis-out/coco" in done
    page = (out / "found/report.html").read_text()
    assert page.count("<figure>") == 7
    with (out / "found/review.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 7

    again = wsis("run", *CPU)
    for step in ("train", "predict", "export coco", "report"):
        assert f"{step}: reused" in again
    assert "begins" not in again

    # Another format is written; nothing else is made again.
    change(here, '["coco"]', '["coco", "yolo"]')
    more = wsis("run", *CPU)
    assert more.count("begins") == 1
    assert "export yolo: begins" in more

    # One object of each tag is what training and predictions are told.
    change(here, "single = false", "single = true")
    plan = wsis("run", "--dry-run", *CPU)
    assert "--tags photos --single" in plan
    change(here, "single = true", "single = false")

    # Other settings go into other folders, and the old ones are found again.
    change(here, "# schedule.iterations = 3000", "schedule.iterations = 7")
    plan = wsis("run", "--dry-run", *CPU)
    assert "train: made anew, as settings.schedule.iterations: 6 there, 7 asked" in plan
    assert "predict: made anew, as it was made from run, and is now from run-2" in plan
    assert plan.count("to do") == 5
    wsis("run", *CPU)
    assert json.loads((out / "run-2/run.json").read_text())["images"] == 7
    assert json.loads((out / "run/run.json").read_text())["images"] == 6
    assert (out / "found-2/report.html").is_file()
    change(here, "schedule.iterations = 7", "")
    assert "begins" not in wsis("run", *CPU)

    # So does another photo.
    shutil.copy(here / "photos/disc/1.png", here / "photos/disc/new.png")
    with pytest.raises(AssertionError, match="used once, with all their tags"):
        wsis("run", "--dry-run", "--strict", *CPU)
    (here / "photos/disc/new.png").unlink()
    (here / "photos/disc/1.png").unlink()
    assert "train: made anew, as photos have changed (7 before, 6 now)" in (
        wsis("run", "--dry-run", *CPU)
    )


def test_an_export_becomes_a_table_of_tags(here, untimed, drawn):
    shutil.rmtree(here / "photos")
    shutil.copytree(drawn.images, here / "photos/images")
    for half in ("train", "val"):
        shutil.copy(drawn.train.parent / f"{half}.json", here / "photos")

    told = start()
    assert "tags: COCO (photos/train.json, photos/val.json)" in told
    assert "classes become tags; places of objects are not read" in told
    lines = (here / "wsis-tags.csv").read_text().splitlines()
    assert lines[:2] == ["file,tags", "images/train0.png,square"]
    assert len(lines) == 8

    assert "tags: known for 7 of 7 photos, from wsis-tags.csv" in wsis("run", *CPU)


def test_a_photo_in_two_folders_is_predicted_once(here, untimed, monkeypatch):
    monkeypatch.setattr(
        "wsis.projects.predicting.unplaced", lambda found, tags: ["disc"]
    )
    shutil.copy(here / "photos/disc/1.png", here / "photos/square/copy.png")
    start()

    text = wsis("run", *CPU)

    assert "in the folders of tags are left out (1): photos/square/copy.png is" in text
    assert "masks of disc cover most of the photo on most photos" in text
    assert "to look at, in wsis-out/found: report.html, or type: wsis show" in text
    content = json.loads((here / "wsis-out/coco/annotations.json").read_text())
    assert len(content["images"]) == 7


def test_each_training_of_a_road_has_its_own_curves(here, untimed):
    start()
    track = ("--track", "tensorboard:curves", "--track", "tensorboard")
    assert "--track tensorboard:curves/run" in wsis("run", "--dry-run", *CPU, *track)
    assert "--tags photos --jobs 3" in wsis("run", "--dry-run", "--jobs", 3, *CPU)
    wsis("run", *CPU, *track)

    for folder in ("curves/run", "wsis-out/run/tensorboard"):
        [events] = (here / folder).iterdir()
        assert events.name.startswith("events.out.tfevents.")
    assert "train: reused" in wsis("run", *CPU, "--track", "tensorboard:other")
    assert "expected trackers" in wsis("run", *CPU, "--track", "wandb", code=1)


def test_a_step_that_fails_is_named(here, untimed, monkeypatch):
    start()

    def full(*args, **given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wsis.runs.pipeline.Pipeline.prepare", full)
    text = wsis("run", *CPU, code=1)

    assert "train failed; finished steps are kept: mend what" in text
    assert "wsis: no space left on device" in text


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("photos =", "foto =", "no setting is called 'foto'"),
        (
            '["coco"]',
            '["cocco"]',
            "wsis.toml: no format of export is called 'cocco' (did you mean",
        ),
        ("quick.toml", "quickly", "no recipe is called 'quickly'"),
        ('"wsis-out"', '"photos/out"', "expected out apart from the photos"),
    ],
)
def test_refuses_a_wrong_file_before_any_work(here, before, after, says):
    from wsis.projects import project_text

    text = project_text(here / "photos", recipe="quick.toml").replace(before, after)
    (here / "wsis.toml").write_text(text)

    assert says in wsis("run", *CPU, code=2)
    assert not (here / "wsis-out").exists()


def test_classes_that_an_export_cannot_write_are_refused_before_any_work(here):
    (here / "photos" / "disc").rename(here / "photos" / "shape#a")
    (here / "photos" / "square").rename(here / "photos" / "shape_a")
    start()
    change(here, '["coco"]', '["coco", "voc"]')

    for dry in ((), ("--dry-run",)):
        text = wsis("run", *CPU, *dry, code=2)
        assert "wsis.toml: setting export: voc's labelmap.txt cannot tell" in text
    assert not (here / "wsis-out").exists()


def test_run_without_a_file_says_how_to_begin(here):
    assert "write it with: wsis start PHOTOS" in wsis("run", code=1)


def test_start_keeps_a_file_unless_it_is_forced(here, untimed):
    (here / "wsis.toml").write_text("# mine")

    assert "wsis.toml exists; --force replaces it" in start(code=2)
    assert "there is no nowhere" in wsis("start", "nowhere", code=1)
    assert (here / "wsis.toml").read_text() == "# mine"
    start("--force")
    assert "photos =" in (here / "wsis.toml").read_text()


def test_start_within_the_photos_says_where_to_go(here, monkeypatch):
    monkeypatch.chdir(here / "photos/disc")

    text = wsis("start", "..", code=2)

    assert f"type: cd {here} && wsis start photos" in text


def test_a_log_gets_lines_of_progress(here, untimed, monkeypatch):
    assert "read photos: " not in start()
    seconds = itertools.count(0, 61)
    monkeypatch.setattr("time.monotonic", lambda: float(next(seconds)))

    text = start("--force")

    assert "read photos: 1 of 7" in text
    assert "read photos: 6 of 7, about 1 second left" in text
    assert "read photos: 7 of 7" not in text


def test_start_says_what_hurts_most_first(here, untimed):
    (here / "photos/disc/1.png").write_bytes(b"no photo")
    with (here / "photos/tags.csv").open("w") as file:
        file.write("file,tags\n")
        for path in sorted((here / "photos").rglob("*.png")):
            name = path.relative_to(here / "photos")
            file.write(f"{name},{'thing' if path.stem != '2' else ''}\n")

    text = start()

    marks = (
        *("1. photos that cannot be read (1): disc/1.png", "2. tags that every"),
        *(
            "3. tags with fewer than 20 photos (1): thing (6)",
            "4. photos without a tag: 1",
        ),
    )
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)
    assert "next: wsis run # once these photos are mended" in text


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda photos: None, "there is no photos"),
        (lambda photos: photos.write_text("a"), "photos is a file"),
        (
            lambda photos: photos.mkdir(),
            ".webp) in photos, found none",
        ),
    ],
)
def test_start_refuses_what_holds_no_tags(here, make, says):
    shutil.rmtree(here / "photos")
    make(here / "photos")

    assert says in start(code=1)
    assert not (here / "wsis.toml").exists()


def test_a_failed_start_leaves_no_table(here):
    tags = "file,label\ndisc/1.png,Dog\ndisc/3.png,dog\n"
    (here / "photos/labels.csv").write_text(tags)

    assert "expected one spelling of a tag" in start(code=1)
    assert not (here / "wsis-tags.csv").exists()

    (here / "wsis-tags.csv").write_text("mine")
    start("--force", code=1)
    assert (here / "wsis-tags.csv").read_text() == "mine"


def test_training_on_a_single_photo_is_warned_of(here):
    for path in sorted((here / "photos").rglob("*.png"))[1:]:
        path.unlink()
    shutil.rmtree(here / "photos/square")
    data = ("--data", "folder", "--root", "photos", "--recipe", "quick.toml")

    text = wsis("train", *data, "--out", "run", *CPU)

    assert "warning: photos has a single photo with tags" in text
    assert "next: wsis predict PHOTOS --run run --out found" in text


@pytest.mark.parametrize(
    ("typed", "again"),
    [
        (["train", "--out", "my run"], "wsis train --out 'my run' --resume"),
        (["train", "--out", "r", "--resume"], "wsis train --out r --resume"),
        (["--debug", "refine", "--run", "r", "--out", "o"], "--run r --out o --resume"),
        (["bench", "--miners", "cim", "--overwrite"], "wsis bench --miners cim"),
        (["tune", "--overwrite", "--out", "t"], "wsis tune --out t"),
        (
            ["proposals", "make", "--data", "scenes", "--out", "s"],
            "--data scenes --out s",
        ),
    ],
)
def test_an_interrupted_command_says_how_to_go_on(here, monkeypatch, typed, again):
    monkeypatch.setattr("wsis.plugins.create", interrupted)

    text = wsis(*typed, code=1)

    assert "interrupted; nothing half-written to go on: wsis " in text
    assert text.endswith(again)


def test_the_plan_names_photos_that_cannot_be_read(here, untimed):
    start()
    (here / "photos/disc/9.png").write_text("no photo")

    plan = wsis("run", "--dry-run", *CPU)

    assert "photos that cannot be read (1): disc/9.png; replace them or" in plan
    assert "next: wsis run # once these photos are mended" in plan
