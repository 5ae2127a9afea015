"""Every command that takes a data set takes one that is a single folder."""

import json

import pytest
from PIL import Image as Pillow

from tests.command import wsis
from tests.data.layouts import drawn, write_voc
from wsis.proposals.shards import Store

SOURCE = ("--source", "region_tree:nodes=8:pairs=0")
SETTINGS = (
    *("backbone.weights=random", "head.width=8", "source.nodes=8", "source.pairs=0"),
    *("train_sides=64", "test_sides=64", "test_flips=false", "schedule.epochs=1"),
)
TINY = tuple(word for one in SETTINGS for word in ("--set", one))


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    return write_voc(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def tagged(tmp_path_factory):
    """A folder of photos with one subfolder per tag."""
    root = tmp_path_factory.mktemp("photos")
    for i, tag in enumerate(("dog", "sofa", "dog")):
        (root / tag).mkdir(exist_ok=True)
        Pillow.fromarray(drawn(i)[0]).save(root / tag / f"{i}.png")
    return root


def test_proposals_of_a_folder_are_made_and_measured(tmp_path, voc, tagged):
    store, figures = tmp_path / "store", tmp_path / "figures.json"
    data = ("--data", "folder", "--root", tagged)

    wsis("proposals", "make", *data, "--out", store, *SOURCE, "--jobs", 1)
    wsis(
        *("proposals", "evaluate", *SOURCE, "--data", "voc", "--root", voc),
        *("--out", figures),
    )

    assert len(Store.open(store)) == 3
    assert json.loads(figures.read_text())["ABO"] > 0.3


@pytest.mark.parametrize("data", ["folder", "voc"])
def test_cues_of_a_folder_are_drawn(tmp_path, voc, tagged, data):
    root = {"folder": tagged, "voc": voc}[data]
    where = ("--data", data, "--root", root, "--cache", tmp_path / "cache")

    wsis("cues", "show", "--out", tmp_path / "looks", *where, "--device", "cpu", *TINY)

    assert len(list((tmp_path / "looks").iterdir())) == 3


def test_a_run_on_a_folder_is_refined_on_it(tmp_path, tagged):
    run, refined = tmp_path / "run", tmp_path / "refined"
    where = ("--data", "folder", "--root", tagged, "--cache", tmp_path / "cache")
    where = (*where, "--device", "cpu")
    wsis("train", "--out", run, *where, *TINY)

    text = wsis(
        *("refine", "--run", run, "--out", refined, *where),
        *("--epochs", 1, "--set", "sides=64", "--set", "weights=random"),
    )

    assert "no --val, so nothing was measured" in text
    assert (refined / "model.safetensors").is_file()


def test_a_root_without_a_data_set_asks_for_its_name(tmp_path):
    said = wsis("train", "--root", tmp_path, "--out", tmp_path / "run", code=2)

    assert f"expected --data with --root {tmp_path}" in said
    assert "folder for tagged photos, or coco, or voc" in said
    assert not (tmp_path / "run").exists()
