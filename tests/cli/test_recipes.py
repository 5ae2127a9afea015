"""Recipes from raw folders to predictions and figures, by commands alone."""

import json

import pytest
import torch

from tests.command import wsis
from tests.data.layouts import write_coco, write_voc
from tests.runs.test_convert import Theirs
from wsis.data.names import COCO_CATEGORIES, VOC_NAMES
from wsis.runs.recipes import names

SETTINGS = (
    *("backbone.weights=random", "head.width=8", "source.nodes=8", "source.pairs=0"),
    *("train_sides=64", "test_sides=64", "test_flips=false", "max_side=0"),
)
TINY = ("--device", "cpu", *(word for one in SETTINGS for word in ("--set", one)))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return ("--cache", tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize(
    ("recipe", "data", "write", "classes"),
    [
        ("voc12-cim-r50", "voc", write_voc, VOC_NAMES),
        pytest.param(
            *("coco-cim-r50", "coco", write_coco, tuple(COCO_CATEGORIES)),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_raw_folders_become_predictions_and_figures(
    tmp_path, cache, recipe, data, write, classes
):
    root = write(tmp_path / "raw")
    run, out = tmp_path / "run", tmp_path / "found"
    photo = next(root.rglob("*.jpg"))

    text = wsis(
        *("train", "--recipe", recipe, "--data", data, "--root", root),
        *("--out", run, "--steps", 3, *TINY, *cache),
    )
    card = json.loads((run / "run.json").read_text())
    wsis("predict", photo, "--run", run, "--out", out, "--device", "cpu", *cache)
    figures = tmp_path / "figures.json"
    wsis(
        *("evaluate", "--run", run, "--data", data, "--root", root),
        *("--json", figures, "--device", "cpu", *cache),
    )

    assert "3 photos seen, repeats included, loss" in text
    assert tuple(card["classes"]) == classes
    assert card["settings"]["resize"] == "shorter"
    assert card["settings"]["schedule"]["iterations"] >= 90_000
    assert "masks" not in card["supervision"]
    assert json.loads((out / "results.json").read_text())
    metrics = json.loads(figures.read_text())
    assert set(metrics) == {"cim", "oracle", "random"}
    assert metrics["oracle"]["metrics"]["mAP50"] > 0


def test_a_folder_of_photos_trains_and_says_why_it_is_not_measured(tmp_path, cache):
    raw = write_voc(tmp_path / "raw", train=2, val=0) / "VOC2012" / "JPEGImages"
    photos = tmp_path / "photos"
    (photos / "dog").mkdir(parents=True)
    for photo in raw.glob("*.jpg"):
        photo.rename(photos / "dog" / photo.name)
    folder = ("--data", "folder", "--root", photos)
    small = ("--set", "train_sides=64", "--set", "source.nodes=20")
    options = (*folder, *small, "--set", "backbone.weights=random", *cache)

    wsis("train", "--out", tmp_path / "run", "--steps", 1, *options)
    text = wsis("evaluate", "--run", tmp_path / "run", *folder, code=2)

    assert "tags and no masks" in text
    bench = wsis("bench", "--miners", "cim", "--out", "x", *options, code=2)
    assert "tags and no masks" in bench


def test_recipes_are_listed_shown_and_compared():
    listed = wsis("recipe", "list")
    shown = wsis("recipe", "show", "voc12-cim-r50")
    differ = wsis("recipe", "diff", "voc12-cim-r50", "coco-cim-r50")

    assert all(f"{name}: " in listed for name in names())
    assert "train_sides = 480,576,688,864,1200" in shown
    assert "source.nodes = " in shown
    assert "data: voc (voc12-cim-r50), coco (coco-cim-r50)" in differ
    assert "schedule.iterations: 90000 (voc12-cim-r50), 480000" in differ
    assert "freeze: False (voc12-cim-r50), True (defaults)" in wsis(
        "recipe", "diff", "voc12-cim-r50"
    )
    same = wsis("recipe", "diff", "scenes-small", "scenes-small")
    assert "set the same" in same


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--recipe", "voc12-cim-r5"], "did you mean 'voc12-cim-r50'"),
        (["--recipe", "scenes-small", "--set", "brnches=1"], "did you mean 'branches'"),
        (
            ["--recipe", "scenes-small", "--set", "schedule.ephocs=1"],
            "did you mean 'schedule.epochs'",
        ),
        (
            ["--recipe", "voc12-cim-r50", "--set", "backbone=efficientnet_lite0"],
            "needs the setting 'root'",
        ),
        (["--data", "scenes", "--root", "x"], "no setting 'root'"),
    ],
)
def test_wrong_usage_is_named(args, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert message in wsis("train", "--out", "new", *args, code=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["list", "show", "diff"])
def test_recipe_commands_explain_themselves(command):
    assert "Usage: wsis recipe " + command in wsis("recipe", command, "--help")


def test_a_released_checkpoint_becomes_a_run(tmp_path, cache):
    from torchvision.models import resnet50

    net = resnet50(weights=None)
    body = torch.nn.ModuleDict(
        {
            "res1": torch.nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool),
            "res2": net.layer1,
            "res3": net.layer2,
            "res4": net.layer3,
        }
    )
    state = Theirs(body, 1024).state_dict()
    for key in [key for key in state if key.startswith("cls_iou_model")]:
        shape = (21, *state[key].shape[1:])
        state[key] = torch.randn(shape)
    torch.save({"step": 1, "model": state}, tmp_path / "model.pth")
    settings = (f"head.width={state['Box_Head.seg_fc.2.bias'].numel()}", *SETTINGS[2:])
    options = [word for one in settings for word in ("--set", one)]
    root = write_voc(tmp_path / "raw", train=1, val=1)
    recipe = ("--recipe", "voc12-cim-r50", *options, *cache)

    text = wsis("convert", tmp_path / "model.pth", "--out", tmp_path / "run", *recipe)
    card = json.loads((tmp_path / "run" / "run.json").read_text())
    photo = next(root.rglob("*.jpg"))
    run = ("--run", tmp_path / "run", "--device", "cpu", *cache)
    wsis("predict", photo, "--out", tmp_path / "found", *run)

    assert f"{len(state)} tensors of model.pth" in text
    assert tuple(card["classes"]) == VOC_NAMES
    assert card["supervision"] == ["boundaries", "imagenet classes", "tags"]
    assert json.loads((tmp_path / "found" / "results.json").read_text())
    wrong = ("--out", tmp_path / "other", "--recipe", "coco-cim-r50", *options)
    told = wsis("convert", tmp_path / "model.pth", *wrong, code=2)
    assert "expected the 80 classes of coco" in told
    del state["Box_Head.seg_fc.0.weight"]
    torch.save(state, tmp_path / "less.pth")
    other = ("--out", tmp_path / "other", *recipe)
    told = wsis("convert", tmp_path / "less.pth", *other, code=1)
    assert "it lacks head.layers.0.weight" in told
    assert not (tmp_path / "other").exists()
