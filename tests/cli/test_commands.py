import csv
import json
import re
import shutil
from importlib.metadata import EntryPoint, EntryPoints

import numpy as np
import pytest
import typer
from PIL import Image as Pillow
from rich.progress import Progress
from typer.testing import CliRunner

from tests.command import wsis
from tests.photos import draw_photos, leaky
from wsis import plugins
from wsis._support.places import cache_folder
from wsis.cli import app
from wsis.contracts import Supervision
from wsis.cues import balance
from wsis.experiments import runner as benching
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Settings

pytestmark = pytest.mark.usefixtures("cache")

SETTINGS = [
    *("backbone.weights=random", "source=region_tree:nodes=30:pairs=0"),
    *("schedule.epochs=1", "train_sides=64", "test_sides=64"),
]
TINY = ["--device", "cpu", *(word for one in SETTINGS for word in ("--set", one))]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return draw_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def run(tmp_path_factory, photos):
    folder = tmp_path_factory.mktemp("trained") / "run"
    # Fixtures of a module come before the environment is set: the cache is an option.
    cache = ("--cache", tmp_path_factory.getbasetemp() / "cli-cache")
    wsis("train", "--out", folder, *photos.options, *TINY, *cache)
    return folder


# --- Help and usage ----------------------------------------------------------------


def test_every_command_explains_itself():
    text = wsis("--help")
    for command in ("bench", "train", "predict", "evaluate", "parts", "doctor"):
        assert command in text
        assert "Usage: wsis " + command in wsis(command, "--help")
    assert "wsis bench --miners cim,mist,oicr" in wsis("bench", "--help")
    assert "wsis proposals show photo.jpg" in wsis("proposals", "show", "--help")
    assert re.fullmatch(r"wsis \d+\.\d+\.\d+\S*", wsis("--version"))


def test_every_option_explains_itself():
    for command in typer.main.get_command(app).commands.values():
        for one in (command, *getattr(command, "commands", {}).values()):
            assert all(param.help for param in one.params)


def test_parts_lists_what_is_installed_with_its_settings():
    text = wsis("parts", "miners")

    assert text.startswith("miners: ")
    assert "cim: " in text
    assert "p_seed = 0.1" in text
    assert "sources:" not in text
    assert re.search("sources: .*region_tree: ", wsis("parts"))
    assert "channels = (required)" in wsis("parts", "heads")
    assert "scales = 0.5,1.0,1.5" in wsis("parts", "contours")


def test_parts_lists_the_others_beside_a_broken_package(monkeypatch):
    broken = EntryPoint("broken", "acme_of_nowhere:Miner", "wsis.miners")
    points = [broken, *plugins._installed().select(group="wsis.miners")]
    monkeypatch.setattr(plugins, "_installed", lambda: EntryPoints(points))
    plugins._registered.cache_clear()

    text = wsis("parts", "miners")
    plugins._registered.cache_clear()

    assert "broken: cannot be loaded: " in text
    assert "acme_of_nowhere" in text
    assert "p_seed = 0.1" in text


def bench(*args, code=0):
    return wsis("bench", "--jobs", 1, "--miners", *args, code=code)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["bnch"], "No such command 'bnch'. Did you mean 'bench'?"),
        (["bench"], "Missing option '--miners'"),
        (["bench", "--miner", "cim"], "No such option: --miner"),
        (["bench", "--miners", "cmi"], "did you mean 'cim'?); the installed miners"),
        (["bench", "--miners", "cim,"], "expected the name of a part"),
        (["bench", "--miners", "cim,cim:p_sed=1"], "did you mean 'p_seed'?"),
        (["bench", "--miners", "cim:p_seed=1.5"], "p_seed must be in (0, 1], got 1.5"),
        (["bench", "--miners", "cim", "--seeds", "0"], "--seeds"),
        (["bench", "--miners", "cim", "--set", "brnches=2"], "did you mean 'branches'"),
        (
            ["bench", "--miners", "cim", "--set", "selection.nms=2"],
            "nms must be in (0, 1]",
        ),
        (["bench", "--miners", "cim", "--set", "source=tree"], "installed sources are"),
        (["bench", "--miners", "cim", "--device", "tpu"], "'auto', 'cpu', 'cuda'"),
        (["bench", "--miners", "cim", "--data", "cocoa"], "did you mean 'coco'?"),
        (["bench", "--miners", "cim", "--data", "coco"], "needs the setting 'images'"),
        (["bench", "--miners", "cim", "--images", "x"], "expected --data with"),
        (["train", "--out", "new", "--miner", "cim,oicr"], "expected one miner"),
        (["evaluate"], "expected --run, --predictions or both"),
        (["predict", "a.jpg", "--out", "new"], "Missing option '--run'"),
        (["predict", "x", "--run", "r", "--out", "o", "--min-score", "2"], "min-score"),
        (
            ["proposals", "show", "a.jpg", "--out", "o", "--source", "tre"],
            "sources are",
        ),
        (["parts", "minrs"], "'miners', 'samplers', 'sources'"),
    ],
)
def test_wrong_usage_is_named_with_the_choices(args, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert message in wsis(*args, code=2)
    assert list(tmp_path.iterdir()) == []


def test_annotations_and_classes_that_are_missing_are_named(photos, tmp_path):
    train_only = photos.options[:6]
    out = ("--out", tmp_path / "new", *TINY)

    assert "expected --val" in bench("cim", *train_only, *out, code=2)
    text = bench("cim", *photos.options, "--classes", "sqare", *out, code=2)
    assert "no class 'sqare'" in text
    assert "its classes are: square, disc" in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["bench", "train", "predict", "show"])
def test_results_that_exist_are_not_touched(command, photos, tmp_path):
    (tmp_path / "results.json").write_text("mine")
    args = {
        "bench": ["bench", "--miners", "cim"],
        "train": ["train"],
        "predict": ["predict", photos.images, "--run", tmp_path / "none"],
        "show": ["proposals", "show", photos.images],
    }

    text = wsis(*args[command], "--out", tmp_path, code=2)

    assert f"{tmp_path.name} exists; choose another --out" in text
    assert (tmp_path / "results.json").read_text() == "mine"


def test_a_file_is_no_folder_for_results(photos, tmp_path):
    out = tmp_path / "results"
    out.write_text("mine")

    options = ("--out", out, "--overwrite")
    text = wsis("proposals", "show", photos.images, *options, code=2)

    assert "expected --out to be a folder" in text
    assert out.read_text() == "mine"


def test_what_is_read_is_not_written_over(run, photos, tmp_path):
    val = photos.val.read_bytes()
    files = ("--data", "coco", "--images", photos.images, "--val", photos.val)

    for target, said in (
        (photos.val, "would replace what is read"),
        (run / "run.json", "would replace what is read"),
        (tmp_path, "to be a file"),
    ):
        text = wsis("evaluate", "--run", run, *files, "--json", target, code=2)
        assert said in text
    text = wsis(
        *("proposals", "evaluate", "--source", "region_tree", *files),
        *("--out", photos.val),
        code=2,
    )
    assert "would replace what is read" in text
    before = {path.name: path.read_bytes() for path in photos.images.iterdir()}
    home = ("--out", photos.images, "--overwrite")
    for command in (
        ("predict", photos.images, "--run", run),
        ("proposals", "show", photos.images),
        ("cues", "show", *files[:-2], "--train", photos.train, *TINY),
    ):
        text = wsis(*command, *home, code=2)
        assert "expected --out apart from the photos" in text
    assert photos.val.read_bytes() == val
    assert {path.name: path.read_bytes() for path in photos.images.iterdir()} == before
    assert "settings" in json.loads((run / "run.json").read_text())


def test_branches_beyond_a_threshold_are_refused_before_work(photos, tmp_path):
    out = ("--out", tmp_path / "out", "--set", "branches=9")

    for command in (("train",), ("bench", "--miners", "cim")):
        text = wsis(*command, *photos.options, *out, code=2)
        assert "t_iou must be in [0, 1), got 1.0, in branch 5 of 9" in text
    assert not (tmp_path / "out").exists()


# --- Failures at work --------------------------------------------------------------


def test_bad_data_fail_in_one_line(photos, tmp_path):
    empty = tmp_path / "empty.json"
    empty.write_text("")
    broken = tmp_path / "broken.json"
    broken.write_text('{"images": []}')
    out = ("--out", tmp_path / "new", *TINY)

    def with_files(images, train):
        files = ("--images", images, "--train", train, "--val", photos.val)
        return bench("cim", "--data", "coco", *files, *out, code=1)

    missing = tmp_path / "none"
    assert f"there is no {missing}" in with_files(missing, photos.train)
    assert "empty.json is empty" in with_files(photos.images, empty)
    assert "broken.json" in with_files(photos.images, broken)
    assert "Traceback" not in with_files(photos.images, broken)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["backbone=resnet50"], "weights=FILE"),
        (["source=sam"], "expected weights=FOLDER"),
        (["source=hed"], "no weights file at none.h5"),
        (["source=region_tree:contours=hed"], "no weights file at none.h5"),
    ],
)
def test_missing_weights_fail_at_work_and_say_how_to_get_them(
    settings, message, photos, tmp_path, monkeypatch
):
    monkeypatch.setenv("WSIS_HED_WEIGHTS", "none.h5")
    own = [one for one in SETTINGS if not one.startswith(settings[0][:6])]
    options = [word for one in (*own, *settings) for word in ("--set", one)]
    text = bench("cim", *photos.options, *options, "--out", tmp_path / "new", code=1)

    assert message in text
    assert list(tmp_path.iterdir()) == []


def test_missing_weights_of_a_source_fail_at_work(photos, tmp_path):
    options = ("--source", "sam", "--out", tmp_path / "out")
    text = wsis("proposals", "show", photos.images, *options, code=1)

    assert "hf download" in text


def test_a_changed_stamp_of_a_cache_is_told_and_mended(photos, tmp_path):
    """Its folder is named by the settings, and its files tell theirs."""
    Pipeline(Settings.read(SETTINGS), tmp_path / "cache")
    [stamp] = (tmp_path / "cache" / "proposals").glob("*/settings.json")
    right = stamp.read_text()
    stamp.write_text('{"nodes": 7}')

    options = (*photos.options, *TINY, "--cache", tmp_path / "cache")
    text = bench("oicr", *options, "--out", tmp_path / "out")

    assert "settings.json was damaged; it is written again" in text
    assert stamp.read_text() == right


def test_debug_shows_the_error_itself(tmp_path):
    args = ["--debug", "predict", "x.jpg", "--run", "none", "--out", tmp_path / "out"]
    result = CliRunner().invoke(app, [str(arg) for arg in args])

    assert isinstance(result.exception, FileNotFoundError)


def test_an_unexpected_error_is_one_line_too(monkeypatch, photos, tmp_path):
    def fails(*_args, **_given):
        raise RuntimeError("out of\nluck")

    monkeypatch.setattr(benching, "tabulate", fails)
    text = bench("oicr", *photos.options, *TINY, "--out", tmp_path / "out", code=1)

    assert "wsis: RuntimeError: out of luck (wsis --debug" in text


def test_an_interruption_leaves_nothing_half_written(monkeypatch, photos, tmp_path):
    def interrupted(*_args, **_given):
        raise KeyboardInterrupt

    monkeypatch.setattr(benching, "tabulate", interrupted)
    text = bench("oicr", *photos.options, *TINY, "--out", tmp_path / "out", code=1)

    assert "interrupted; nothing half-written" in text
    assert list(tmp_path.iterdir()) == []


# --- Work --------------------------------------------------------------------------


def test_bench_writes_results_and_a_report(photos, tmp_path):
    out = tmp_path / "out"
    text = bench(
        "cim,mist:reading=box", "--seeds", 2, *photos.options, *TINY, "--out", out
    )
    results = json.loads((out / "results.json").read_text())

    assert f"report: {out / 'report.html'}".replace(" ", "") in text.replace(" ", "")
    assert "oracle" in text
    assert "±" in text
    assert [(run["miner"], run["seed"]) for run in results["runs"]] == [
        ("cim", 0),
        ("mist:reading=box", 0),
        ("cim", 1),
        ("mist:reading=box", 1),
    ]
    assert results["data"] == {
        "name": "train",
        "train_images": 4,
        "val_images": 3,
        "in_both": 0,
        "classes": ["square", "disc"],
    }
    assert set(results["runs"][0]["metrics"]) == {
        "mAP25",
        "mAP50",
        "mAP70",
        "mAP75",
        "AP",
    }
    assert set(results["oracle"]) == {"mAP25", "mAP50", "mAP70", "mAP75", "ABO"}
    assert results["oracle"]["mAP50"] > 50
    assert "mist:reading=box" in (out / "report.html").read_text()
    assert (out / "report.html").stat().st_size < 4_000_000


def test_bench_runs_on_drawn_scenes_and_overwrites_when_told(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "results.json").write_text("old")
    small = ("--data", "scenes:train_images=3:val_images=2", *TINY)
    bench("oicr", *small, "--out", out, "--overwrite")

    results = json.loads((out / "results.json").read_text())
    assert results["data"]["train_images"] == 3
    assert results["data"]["val_images"] == 2


def test_train_needs_only_tags_and_describes_its_run(tmp_path, photos):
    card = json.loads(photos.train.read_text())
    for annotation in card["annotations"]:
        del annotation["segmentation"], annotation["bbox"], annotation["area"]
    tags = tmp_path / "tags.json"
    tags.write_text(json.dumps(card))
    files = ("--data", "coco", "--images", photos.images, "--train", tags)
    text = wsis("train", "--out", tmp_path / "run", *files, *TINY)

    written = json.loads((tmp_path / "run" / "run.json").read_text())
    assert "4 photos seen, repeats included, loss" in text
    assert written["classes"] == ["square", "disc"]
    assert written["category_ids"] == [5, 9]
    assert Supervision.MASKS not in written["supervision"]
    assert Supervision.TAGS in written["supervision"]


@pytest.mark.parametrize(
    ("share", "branch", "hinted"),
    [(1, "true", True), (0, "true", False), (1, "false", False)],
)
def test_train_says_when_the_cues_have_too_few_proposals(
    tmp_path, photos, monkeypatch, share, branch, hinted
):
    monkeypatch.setattr(balance, "ENOUGH", share)
    options = (*photos.options, *TINY, "--set", f"anti_noise={branch}", "--steps", 1)

    text = wsis("train", "--out", tmp_path / "run", *options)

    assert ("hint: cues mark" in text) == hinted


def test_bench_says_for_which_the_cues_have_too_few_proposals(
    tmp_path, photos, monkeypatch
):
    monkeypatch.setattr(balance, "ENOUGH", 1)
    vary = ("bench", "--vary", "anti_noise=true,false", "--jobs", 1)
    out = ("--out", tmp_path / "bench")

    text = wsis(*vary, *out, *photos.options, *TINY)

    assert text.count("hint for") == 1
    assert "hint for anti_noise=true: cues mark" in text
    assert "hint for" not in wsis(*vary, *out, *photos.options, *TINY)


def test_training_goes_on_where_it_stopped(tmp_path, photos):
    run = tmp_path / "run"
    options = ("--out", run, *photos.options, *TINY, "--set", "schedule.epochs=2")
    wsis("train", *options, "--steps", 4)
    text = wsis("train", *options, "--resume")

    assert "8 photos seen" in text
    assert len(json.loads((run / "run.json").read_text())["losses"]) == 2
    other = wsis("train", *options, "--resume", "--seed", 1, code=1)
    assert "holds another run (seed: 0 there, 1 asked for)" in other


def test_photos_of_the_same_names_do_not_resume_a_run(tmp_path, photos):
    folder = tmp_path / "images"
    shutil.copytree(photos.images, folder)
    run, files = tmp_path / "run", ("--images", folder, "--train", photos.train)
    options = ("--out", run, "--data", "coco", *files, *TINY)
    wsis("train", *options, "--steps", 2)
    (folder / "train1.png").write_bytes((folder / "train3.png").read_bytes())

    text = wsis("train", *options, "--resume", code=1)
    assert "holds another run (inputs.photos: '4 photos, " in text

    for name in ("train0.png", "train2.png"):
        (folder / name).write_bytes(b"no photo")
    broken = wsis("train", "--out", tmp_path / "new", *options[2:], code=1)
    assert "2 of 4 photos cannot be read: " in broken
    assert "train0.png" in broken
    assert "train2.png" in broken


def test_a_setting_that_is_no_number_is_refused(tmp_path, photos):
    for setting in ("head.dropout=nan", "schedule.lr=nan", "integrity_prior=nan"):
        options = ("--out", tmp_path / "run", *photos.options, *TINY, "--set", setting)
        assert "nan" in wsis("train", *options, code=2)
    assert not (tmp_path / "run").exists()


def test_predict_draws_and_writes_coco(run, photos, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not a photo")
    out = tmp_path / "out"
    text = wsis("predict", photos.images / "val0.png", bad, "--run", run, "--out", out)
    found = json.loads((out / "predictions.json").read_text())

    assert "bad.jpg" in text
    assert "on 1 photo (1 skipped)" in text
    other = tmp_path / "other"
    other.mkdir()
    (other / "val0.png").write_bytes((photos.images / "val0.png").read_bytes())
    again = photos.images / ".." / photos.images.name / "val0.png"
    wsis(
        *("predict", photos.images / "val0.png", again, other, "--run", run),
        *("--out", tmp_path / "two"),
    )
    both = json.loads((tmp_path / "two" / "predictions.json").read_text())
    assert [image["file_name"] for image in both["images"]] == [
        str(photos.images / "val0.png"),
        str(other / "val0.png"),
    ]
    with Pillow.open(out / "val0.png") as drawn:
        assert np.asarray(drawn).shape == (64, 80, 3)
    [image] = found["images"]
    assert (out / image.pop("path")).samefile(photos.images / "val0.png")
    assert len(image.pop("sha256")) == 64
    assert image == {"id": 1, "file_name": "val0.png", "width": 80, "height": 64}
    assert found["categories"] == [
        {"id": 5, "name": "square"},
        {"id": 9, "name": "disc"},
    ]
    results = json.loads((out / "results.json").read_text())
    assert len(results) == len(found["annotations"]) > 0
    first = found["annotations"][0]
    assert first["category_id"] in (5, 9)
    assert first["area"] > 0
    assert len(first["bbox"]) == 4

    strict = tmp_path / "strict"
    wsis(
        *("predict", photos.images / "val0.png", "--run", run, "--out", strict),
        *("--min-score", 1),
    )
    assert json.loads((strict / "results.json").read_text()) == []


def test_a_photo_that_was_replaced_is_told_where_its_masks_are_read(
    run, photos, tmp_path
):
    own, out = tmp_path / "own.png", tmp_path / "out"
    own.write_bytes((photos.images / "val0.png").read_bytes())
    wsis("predict", own, "--run", run, "--out", out)
    export = ("export", out, "--format", "coco", "--out")
    assert "have changed" not in wsis(*export, tmp_path / "one")

    own.write_bytes((photos.images / "val1.png").read_bytes())

    told = f"photos have changed since {out / 'predictions.json'} was written (1 of 1)"
    text = wsis(*export, tmp_path / "two")
    assert told in text
    assert "own.png; if they show something else now, predict them again" in text
    assert told in wsis("report", out)
    assert told in wsis(*export, tmp_path / "three", "--strict", code=1)
    assert not (tmp_path / "three").exists()


def test_predict_takes_patterns_and_keeps_chosen_classes(run, photos, tmp_path):
    predict = ("predict", photos.images / "val*.png", "--run", run)
    new = tmp_path / "new"
    text = wsis(*predict, "--out", tmp_path / "out", "--classes", "DISC")
    found = json.loads((tmp_path / "out/predictions.json").read_text())

    assert "on 3 photos" in text
    assert {one["category_id"] for one in found["annotations"]} == {9}
    text = wsis(*predict, "--out", new, "--classes", "dog", code=2)
    assert "there is no class 'dog'; the classes are: square, disc" in text
    text = wsis("predict", photos.images / "*.gif", *predict[2:], "--out", new, code=1)
    assert "nothing matches" in text
    assert not new.exists()


def test_predict_trusts_tags_and_lists_photos_by_doubt(run, photos, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(photos.images, root)
    (root / "tags.csv").write_text("file,tags\nval0.png,disc\nval1.png,Square\n")
    predict = ("predict", root, "--run", run, "--out")
    text = wsis(*predict, tmp_path / "out")
    content = json.loads((tmp_path / "out/predictions.json").read_text())
    ids = {one["file_name"]: one["id"] for one in content["images"]}
    classes = {
        name: {
            one["category_id"] for one in content["annotations"] if one["image_id"] == i
        }
        for name, i in ids.items()
    }

    assert "tags: known for 2 of 7 photos, from " in text
    assert classes["val0.png"] == {9}
    assert classes["val1.png"] == {5}
    # Nobody has said what is on the others, so they may have either.
    others = [found for name, found in classes.items() if name[3:4] not in "01"]
    assert set().union(*others) == {5, 9}
    with (tmp_path / "out/review.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    doubt = [float(row["doubt"]) for row in rows]
    assert {row["photo"] for row in rows} == {str(root / name) for name in ids}
    assert doubt == sorted(doubt, reverse=True)

    text = wsis(*predict, tmp_path / "free", "--no-trust-tags")
    assert "tags:" not in text
    content = json.loads((tmp_path / "free/predictions.json").read_text())
    val0 = [x for x in content["annotations"] if x["image_id"] == ids["val0.png"]]
    assert 5 in {one["category_id"] for one in val0}
    both = ("--no-trust-tags", "--tags", root / "tags.csv")
    text = wsis(*predict, tmp_path / "new", *both, code=2)
    assert "expected --tags or --no-trust-tags, got both" in text
    text = wsis("predict", photos.images, *predict[2:], tmp_path / "none")
    assert "tags: none known" in text


def test_export_writes_what_predict_found(run, photos, tmp_path):
    found, out = tmp_path / "found", tmp_path / "yolo"
    wsis("predict", photos.images, "--run", run, "--out", found)

    text = wsis("export", found, "--format", "yolo", "--classes", "Disc", "--out", out)
    labels = [file.read_text() for file in out.rglob("*.txt")]
    lines = "".join(labels).splitlines()
    assert f"{len(list(photos.images.iterdir()))} photos: {out}" in text
    assert {line.split()[0] for line in lines} == {"1"}

    export = ("export", found, "--format")
    assert "exists" in wsis(*export, "coco", "--out", out, code=2)
    new = ("--out", tmp_path / "new")
    text = wsis(*export, "voc", "--polygons", *new, code=2)
    assert "--polygons is for --format coco" in text
    text = wsis(*export, "coco", "--simplify", 1, *new, code=2)
    assert "--simplify is for polygons; coco without --polygons has none" in text
    text = wsis(*export, "coco", "--classes", "dics", *new, code=2)
    assert "there is no class 'dics' (did you mean 'disc'?)" in text
    text = wsis("export", run, "--format", "coco", *new, code=2)
    assert "make them with: wsis predict PHOTOS --run" in text
    text = wsis(*export, "coco", "--min-score", 1, *new, "--strict", code=1)
    assert "no instance of" in text
    assert not (tmp_path / "new").exists()


def test_predict_fails_if_no_photo_could_be_read(run, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not a photo")
    text = wsis("predict", bad, "--run", run, "--out", tmp_path / "out", code=1)

    assert "none of 1 photos could be read" in text
    assert list(tmp_path.iterdir()) == [bad]


def test_predict_needs_a_run(photos, tmp_path):
    out = ("--out", tmp_path / "out")
    text = wsis("predict", photos.images, "--run", tmp_path / "no", *out, code=1)

    assert (
        f"expected {tmp_path / 'no'} to be the folder of a run, there is none" in text
    )


def test_a_report_needs_a_folder_with_results(tmp_path):
    text = wsis("report", tmp_path, code=1)

    assert "a folder that wsis predict or wsis bench wrote" in text
    assert "it has neither review.csv nor results.json" in text


@pytest.mark.parametrize("name", ["results.json", "predictions.json"])
def test_evaluate_agrees_on_a_run_and_on_its_predictions(run, photos, tmp_path, name):
    # A tool numbered the photos in another order, and the classes.
    val = json.loads(photos.val.read_text())
    for one in val["images"]:
        one["id"] = 4 - one["id"]
    for one in val["annotations"]:
        one["image_id"] = 4 - one["image_id"]
        one["category_id"] = 14 - one["category_id"]
    for one in val["categories"]:
        one["id"] = 14 - one["id"]
    other = tmp_path / "other.json"
    other.write_text(json.dumps(val))
    validation = sorted(photos.images.glob("val*.png"))
    wsis("predict", *validation, "--run", run, "--out", tmp_path / "out")
    files = (
        *("--run", run, "--predictions", tmp_path / "out" / name),
        *("--data", "coco", "--images", photos.images, "--val", other),
    )
    text = wsis("evaluate", *files, "--json", tmp_path / "figures.json", "--strict")
    figures = json.loads((tmp_path / "figures.json").read_text())

    assert list(figures) == [name, "apart", "oracle", "random"]
    assert figures[name] == figures["apart"]
    assert "ABO" in figures["oracle"]["metrics"]
    assert "oracle" in text
    assert "data: other: 3 photos of " in text


def test_evaluate_measures_the_classes_that_there_are(run, photos, tmp_path):
    files = ("--data", "coco", "--images", photos.images, "--val", photos.val)
    given = ("--run", run, *files, "--classes", "disc")
    text = wsis("evaluate", *given, "--json", tmp_path / "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text())["apart"]

    assert (
        "warning: val lacks classes of the run (1): square; they get no figures" in text
    )
    assert figures["per_class"]["square"]["AP"] is None
    assert figures["per_class"]["disc"]["AP"] == figures["metrics"]["AP"]
    assert "(--strict)" in wsis("evaluate", *given, "--strict", code=1)


def test_evaluate_tells_that_a_run_was_trained_on_photos(run, photos, tmp_path):
    given = ("evaluate", "--run", run, "--data", "coco", "--images", photos.images)

    text = wsis(*given, "--val", photos.train)
    assert "warning: 4 of 4 measured photos are also training photos" in text
    text = wsis(*given, "--val", leaky(photos, tmp_path / "mixed.json"))
    assert "1 of 4 measured photos are also training photos (the same pix" in text
    assert "train0.png; figures on photos that were trained on say little" in text
    assert "training photos" not in wsis(*given, "--val", photos.val)


def test_training_tells_what_is_wrong_with_its_photos(photos, tmp_path):
    train = json.loads(photos.train.read_text())
    train["categories"].append({"id": 1, "name": "cat"})
    again = train["images"][0] | {"id": 90, "file_name": "again.png"}
    train["images"].append(again)
    train["annotations"].append(train["annotations"][1] | {"id": 90, "image_id": 90})
    path = tmp_path / "train.json"
    path.write_text(json.dumps(train))
    folder = tmp_path / "images"
    shutil.copytree(photos.images, folder)
    shutil.copy(folder / "train0.png", folder / "again.png")
    files = ("--data", "coco", "--images", folder, "--train", path, "--val", path)
    text = wsis("train", "--out", tmp_path / "run", *files, *TINY, "--steps", 1)

    assert "warning: no photo of train is tagged cat: nothing teaches 1 of 3" in text
    assert "warning: 1 training photos occur several times with different" in text
    assert "train0.png and again.png" in text
    assert "warning: 5 of 5 validation photos are also training photos" in text


def test_evaluate_names_a_damaged_file(photos, tmp_path):
    results = tmp_path / "results.json"
    results.write_text("[")
    files = ("--data", "coco", "--images", photos.images, "--val", photos.val)

    assert "results.json is not JSON: Expecting value" in wsis(
        "evaluate", "--predictions", results, *files, code=1
    )
    folder = ("--predictions", tmp_path)
    assert "is a folder; name the" in wsis("evaluate", *folder, *files, code=2)


def test_proposals_are_shown(photos, tmp_path):
    out = tmp_path / "out"
    source = ("--source", "region_tree:nodes=5:pairs=0", "--limit", 3)
    text = wsis("proposals", "show", photos.images / "val0.png", "--out", out, *source)

    assert re.search(r"val0\.png: \d+ proposals, [\d.]+ s", text)
    with Pillow.open(out / "val0.png") as page:
        assert page.width > 320


def test_doctor_reports_what_works(cache):
    text = wsis("doctor")

    for line in ("versions: wsis", "devices: cpu", "threads:", "weights:", "parts:"):
        assert line in text
    assert "BROKEN" not in text


def test_doctor_fails_if_the_cache_cannot_be_written(tmp_path):
    file = tmp_path / "file"
    file.write_text("")

    assert "cache: BROKEN: cannot write" in wsis("doctor", "--cache", file, code=1)


def test_caches_lie_where_the_system_keeps_them(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("WSIS_CACHE", raising=False)

    assert cache_folder(None) == tmp_path / "wsis"
    assert cache_folder(tmp_path / "mine") == tmp_path / "mine"


def test_a_file_is_no_cache(tmp_path):
    file = tmp_path / "cache"
    file.write_text("")

    data = ("--data", "scenes:train_images=4:val_images=2", "--cache", file)
    text = bench("cim", *data, "--out", tmp_path / "out", code=1)

    assert f"cannot write to the cache: {file} is a file; choose a folder" in text
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_predict_gives_the_same_with_several_processes(run, photos, tmp_path):
    predict = ("predict", photos.images / "val*.png", "--run", run, "--out")
    wsis(*predict, tmp_path / "one")
    text = wsis(*predict, tmp_path / "two", "--jobs", 2)

    assert "on 3 photos" in text
    one, two = (sorted((tmp_path / name).iterdir()) for name in ("one", "two"))
    assert [path.name for path in one] == [path.name for path in two]
    for a, b in zip(one, two, strict=True):
        assert a.read_bytes() == b.read_bytes()


def test_the_bar_moves_within_a_photo(run, photos, tmp_path, monkeypatch):
    seen = []
    update = Progress.update

    def watched(bars, task, **what):
        seen.append((what.get("completed"), what.get("note")))
        update(bars, task, **what)

    monkeypatch.setattr(Progress, "update", watched)
    wsis("predict", photos.images / "val0.png", "--run", run, "--out", tmp_path / "out")

    told = [one for one in seen if one[0] is not None]
    assert [note for _, note in told][:2] == ["read", "proposals"]
    assert told[-2][1] == "masks"
    assert told[-1] == (1, "")
    assert sorted(told) == told
    assert 0 < told[0][0] < told[-2][0] < 1
