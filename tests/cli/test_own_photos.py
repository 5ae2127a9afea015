"""Folders of photos on the command line: all are used, or counted and named."""

import json
import shutil

import pytest

from tests.command import wsis
from tests.photos import draw_photos
from wsis.proposals.shards import Store

pytestmark = pytest.mark.usefixtures("cache")

TINY = [
    *(
        "--device",
        "cpu",
        "--set",
        "backbone.weights=random",
        "--set",
        "source.nodes=30",
    ),
    *("--set", "source.pairs=0", "--set", "train_sides=64", "--set", "test_sides=64"),
    *("--set", "schedule.epochs=1", "--set", "anti_noise=false"),
]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return draw_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def root(photos, tmp_path):
    """A photo of each tag, one of them deeper; and four that are not used."""
    folder = tmp_path / "root"
    for name, copy in (("train0", "square/deeper/a"), ("train1", "disc/b")):
        (folder / copy).parent.mkdir(parents=True)
        shutil.copy(photos.images / f"{name}.png", folder / f"{copy}.png")
    shutil.copy(photos.images / "train2.png", folder / "loose.png")
    (folder / "disc/gone.png").symlink_to("nowhere.png")
    (folder / "disc/phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    (folder / "disc/.hidden.png").write_bytes(b"")
    return folder


LEFT_OUT = (
    "links that lead nowhere are left out (1): gone.png",
    "photos that Pillow does not read are left out (1): phone.heic; convert",
    "hidden photos are left out (1): .hidden.png",
)


def test_training_and_predicting_count_the_same_photos(root, tmp_path):
    run = tmp_path / "run"
    trained = wsis("train", "--data", "folder", "--root", root, "--out", run, *TINY)
    found = wsis(
        *("predict", root / "square", root / "disc", "--run", run),
        *("--out", tmp_path / "found", "--device", "cpu"),
    )

    assert "data: root: 2 photos of 2 classes (disc 1, square 1)" in trained
    assert "photos in no tag's subfolder are left out (1): loose.png" in trained
    for text in LEFT_OUT:
        assert text.replace("): ", "): disc/") in trained
        assert text.split(":")[0] in found
    assert "on 2 photos" in found
    assert "likely ones: " in found
    images = json.loads((tmp_path / "found/predictions.json").read_text())["images"]
    assert [image["file_name"] for image in images] == ["a.png", "b.png"]

    text = wsis(
        *("predict", root, "--run", run, "--out", tmp_path / "no", "--strict"), code=1
    )
    assert "(--strict)" in text
    assert not (tmp_path / "no").exists()


def test_proposals_are_made_of_the_same_photos(root, tmp_path):
    source = ("--source", "region_tree:nodes=20:pairs=0")
    made = wsis(
        *("proposals", "make", root / "disc", "--out", tmp_path / "store", *source),
        *("--jobs", 1),
    )
    shown = wsis(
        *("proposals", "show", root / "disc", "--out", tmp_path / "shown", *source)
    )

    assert len(Store.open(tmp_path / "store")) == 1
    for text in LEFT_OUT:
        assert text in made
        assert text in shown


def test_all_broken_photos_are_reported_before_any_work(photos, tmp_path):
    images = tmp_path / "images"
    shutil.copytree(photos.images, images)
    for name in ("train0", "train3", "val1"):
        whole = (images / f"{name}.png").read_bytes()
        (images / f"{name}.png").write_bytes(whole[: len(whole) // 2])
    options = ["--data", "coco", "--images", images, "--train", photos.train]
    cache = ("--cache", tmp_path / "cache")

    text = wsis("train", *options, "--out", tmp_path / "run", *TINY, *cache, code=1)
    assert "2 of 4 photos cannot be read: " in text
    assert text.index("train0.png") < text.index("train3.png")

    options += ["--val", photos.val]
    bench = ("bench", *options, "--out", tmp_path / "b", "--miners", "oicr", "--seeds")
    text = wsis(*bench, 1, *TINY, *cache, code=1)
    assert "3 of 7 photos cannot be read: " in text
    assert all(f"{name}.png" in text for name in ("train0", "train3", "val1"))
    assert not list((tmp_path / "cache").glob("proposals/*/*.safetensors"))

    text = wsis(
        *("proposals", "evaluate", "--data", "coco", "--images", images),
        *("--val", photos.val, "--source", "region_tree:nodes=20:pairs=0"),
        code=1,
    )
    assert "val1.png" in text


def test_points_outside_are_refused_before_proposals_are_made(photos, tmp_path):
    points = tmp_path / "points.csv"
    points.write_text(
        "file,x,y,class\ntrain0.png,20,20,square\ntrain1.png,20,64,disc\n"
    )
    options = [*photos.options, "--set", "cues=points", "--cache", tmp_path / "cache"]
    options[1] = f"coco:points={points}"

    text = wsis("train", *options, "--out", tmp_path / "run", *TINY, code=1)

    assert "points.csv, line 3: expected a point in its photo of 80 x 64" in text
    assert not list((tmp_path / "cache").glob("proposals/*/*.safetensors"))
