import json
import re
import sys
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from scipy.io import savemat

from tests import command
from tests.photos import draw_photos
from tests.tiny_hed import tiny_hed
from tests.tiny_sam import tiny_sam
from wsis._support.files import digest
from wsis.contracts import Supervision
from wsis.data.images import read_image
from wsis.proposals import making
from wsis.proposals.region_tree import RegionTree
from wsis.proposals.shards import Store

SOURCE = ("--source", "region_tree:nodes=20:pairs=0")


def wsis(*args, code=0):
    """What ``wsis proposals`` prints, white space as single spaces."""
    return command.wsis("proposals", *args, code=code)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return draw_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def store(tmp_path_factory, photos):
    folder = tmp_path_factory.mktemp("made") / "store"
    wsis("make", photos.images, "--out", folder, *SOURCE, "--jobs", 1)
    return folder


def of(store, path):
    return Store.open(store).get(digest(read_image(path)))


def test_make_keeps_what_the_source_gives(store, photos):
    found = of(store, photos.images / "val1.png")

    expected = RegionTree(nodes=20, pairs=0)(read_image(photos.images / "val1.png"))
    assert found.members.equal(expected.members)
    assert found.regions.equal(expected.regions)
    assert len(Store.open(store)) == 7
    assert "7 photos in 1 shards, by region_tree, supervision: none; whole" in (
        wsis("verify", store)
    )


def test_make_goes_on_where_it_was(photos, tmp_path):
    first = sorted(photos.images.iterdir())[:3]
    wsis("make", *first, "--out", tmp_path / "s", *SOURCE, "--jobs", 1)

    text = wsis("make", photos.images, "--out", tmp_path / "s", *SOURCE, "--jobs", 1)

    assert "of 4 photos" in text
    assert "images/s, 3 were there and are kept; supervision: none" in text
    assert len(Store.open(tmp_path / "s")) == 7
    other = ("--source", "region_tree:nodes=21:pairs=0", "--jobs", 1)
    text = wsis("make", photos.images, "--out", tmp_path / "s", *other, code=1)
    assert "nodes: 20 there, 21 asked for" in text


def test_weights_at_another_path_go_on_and_others_in_their_place_do_not(
    photos, tmp_path, monkeypatch
):
    """The content of weights that only the environment names is kept."""
    first, second = sorted(photos.images.iterdir())[:2]
    given = {name: str(tmp_path / name) for name in ("a", "b")}
    for path in given.values():
        tiny_hed(Path(path))
    out = ("--out", tmp_path / "s", "--jobs", 1)
    hed = ("--source", "region_tree:nodes=5:pairs=0:side=32:contours=hed")

    monkeypatch.setenv("WSIS_HED_WEIGHTS", given["a"])
    wsis("make", first, *out, *hed)
    monkeypatch.setenv("WSIS_HED_WEIGHTS", given["b"])
    assert ", 1 were there and are kept;" in wsis("make", first, second, *out, *hed)

    tiny_hed(Path(given["b"]), seed=1)
    text = wsis("make", first, second, *out, *hed, code=1)
    assert re.search(r"has other proposals \(settings\.weights: '\w+' there", text)


def test_sams_weights_at_another_path_go_on(photos, tmp_path):
    if find_spec("transformers") is None:
        pytest.skip("transformers is not installed")
    first, second = sorted(photos.images.iterdir())[:2]
    here, there = (tiny_sam(tmp_path / name) for name in ("here", "there"))
    for given, images in ((here, [first]), (there, [first, second])):
        wsis(
            *("make", *images, "--out", tmp_path / "s", "--jobs", 1),
            *("--source", f"sam:points=2:weights={given}"),
        )

    assert len(Store.open(tmp_path / "s")) == 2


def test_a_photo_that_fails_is_reported_and_left_out(photos, tmp_path, monkeypatch):
    asked = []
    # Processes of their own take long to begin; tests of making.py begin some.
    monkeypatch.setattr(
        making, "processes", lambda n: asked.append(n) or nullcontext(making.here)
    )
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in sorted(photos.images.iterdir())[:2]:
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "b.png").write_bytes(b"none")

    text = wsis("make", folder, "--out", tmp_path / "s", *SOURCE, "--jobs", 2, code=1)

    assert asked == [2]
    assert "of 2 photos" in text
    assert "1 of 3 photos failed: b.png: expected a photo" in text
    assert len(Store.open(tmp_path / "s")) == 2


def test_make_takes_the_photos_of_a_data_set(photos, tmp_path):
    wsis("make", *photos.options, "--out", tmp_path / "s", *SOURCE, "--jobs", 1)
    names = [one.photo for one in Store.open(tmp_path / "s").entries.values()]
    assert names == [*(f"train{i}.png" for i in range(4)), "val0.png", *names[5:]]
    assert len(names) == 7

    text = wsis("make", *photos.options[:4], "--out", tmp_path / "t", code=2)
    assert "expected --train, --val or both" in text
    text = wsis("make", photos.images, "--data", "scenes", "--out", "t", code=2)
    assert "expected photos or --data, one of the two" in text
    assert "expected photos or --data" in wsis("make", "--out", "t", code=2)


def test_export_and_import_give_the_same(store, photos, tmp_path):
    wsis("export", store, "--out", tmp_path / "f.json")
    into = ("--format", "coco", "--images", photos.images, "--out", tmp_path / "s")

    text = wsis("import", tmp_path / "f.json", *into, "--jobs", 1)

    assert "of 7 photos" in text
    for path in photos.images.iterdir():
        one, other = of(store, path), of(tmp_path / "s", path)
        assert one.regions.equal(other.regions)
        assert one.members.equal(other.members)
        assert one.objectness.equal(other.objectness)
    # Already there: nothing is read twice, nothing is lost.
    assert "7 were there and are kept" in wsis(
        "import", tmp_path / "f.json", *into, "--jobs", 1
    )
    assert "exists" in wsis("export", store, "--out", tmp_path / "f.json", code=2)
    wsis("export", store, "--out", tmp_path / "f.json", "--overwrite")


def test_import_tells_photos_whose_size_does_not_tell_how_they_are_turned(tmp_path):
    exif = Pillow.Exif()
    (tmp_path / "photos").mkdir()
    (tmp_path / "masks").mkdir()
    for i, orientation in enumerate((3, 6, 1)):
        exif[0x0112] = orientation
        Pillow.new("RGB", (6, 4)).save(tmp_path / f"photos/{i}.png", exif=exif)
        masks = np.eye(4, 6, dtype=bool)[None]
        np.savez(tmp_path / f"masks/{i}.npz", masks=masks)

    into = "--format", "npz", "--images", tmp_path / "photos", "--supervision", "none"
    text = wsis(
        *("import", tmp_path / "masks", *into),
        *("--out", tmp_path / "s", "--jobs", 1),
        code=1,
    )

    assert "1 of 3 photos have an EXIF orientation that keeps their size, and" in text
    assert "1.png: " in text
    assert "of the photo before EXIF data turn it?" in text


def test_import_matlab_files_and_their_supervision(photos, tmp_path):
    folder = tmp_path / "mcg"
    folder.mkdir()
    labels = np.empty((2, 1), dtype=object)
    labels[0, 0], labels[1, 0] = np.array([[1]]), np.array([[1, 2]])
    superpixels = np.repeat([[1, 2]], 64, 0).repeat(40, 1).astype(np.uint16)
    for name in ("val0", "val1", "elsewhere"):
        content = {"superpixels": superpixels, "labels": labels}
        savemat(folder / f"{name}.mat", content)
    into = ("--format", "mcg", "--images", photos.images, "--out", tmp_path / "s")

    text = wsis("import", folder, *into, "--jobs", 1)

    assert "left out: 5 photos without proposals (train0.png" in text
    assert "left out: 1 proposals without a photo (elsewhere)" in text
    assert "4 proposals of 2 photos" in text
    assert "supervision: boundaries, masks" in text
    found = of(tmp_path / "s", photos.images / "val1.png")
    assert found.source == "mcg"
    assert found.ledger == {Supervision.BOUNDARIES, Supervision.MASKS}
    less = wsis("import", folder, *into, "--supervision", "none", code=2)
    assert "these proposals consumed boundaries, masks" in less


def test_import_matches_numbers_by_the_annotations(photos, tmp_path):
    square = [[10, 10, 30, 10, 30, 30, 10, 30]]
    path = tmp_path / "r.json"
    path.write_text(json.dumps([{"image_id": 2, "segmentation": square}]))
    into = ("--format", "coco", "--images", photos.images, "--jobs", 1)
    into += ("--out", tmp_path / "s", "--val", photos.val)

    assert "expected --supervision" in wsis("import", path, *into, code=2)
    assert "of none, or" not in wsis("import", path, *into, "--supervision", "none")

    # The second photo of the file; its digits say 1.
    assert len(of(tmp_path / "s", photos.images / "val1.png")) == 1
    text = wsis("import", path, *into, "--supervision", "tastes", code=2)
    assert "expected --supervision none, or of tags, counts, points, boundaries" in text


def test_import_failures_are_one_photos(photos, tmp_path):
    for name, size in (("val0", (80, 64)), ("val1", (9, 9))):
        path = tmp_path / "masks" / name / "0.png"
        path.parent.mkdir(parents=True)
        Pillow.new("L", size, 255).save(path)
    into = ("--format", "png", "--images", photos.images, "--out", tmp_path / "s")
    into += ("--supervision", "none", "--jobs", 1)

    text = wsis("import", tmp_path / "masks", *into, code=1)

    assert "1 of 2 photos failed: val1.png:" in text
    assert "expected a mask of 64 x 80 pixels" in text
    assert len(Store.open(tmp_path / "s")) == 1


def test_pickles_are_refused_before_any_work(photos, tmp_path):
    (tmp_path / "cob.pkl").write_bytes(b"")
    into = ("--format", "npz", "--images", photos.images, "--out", tmp_path / "s")

    text = wsis("import", tmp_path / "cob.pkl", *into, code=1)

    assert "is a pickle: reading one runs whatever code it holds" in text
    assert not (tmp_path / "s").exists()


def test_verify_finds_damage(store, tmp_path):
    copy = tmp_path / "s"
    for path in store.rglob("*"):
        if path.is_file():
            target = copy / path.relative_to(store)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    (copy / "shards" / ".tmp").write_bytes(b"")
    assert "left by an interruption" in wsis("verify", copy)
    [shard] = (copy / "shards").glob("*.safetensors")
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")

    text = wsis("verify", copy, code=1)

    assert "damaged, its checksum is not what the index says" in text
    assert "no store.json" in wsis("verify", tmp_path, code=1)
    source = ("--source", f"files:path={tmp_path}")
    assert "no store.json" in wsis("evaluate", *source, code=1)


def test_a_source_and_its_store_measure_alike(store, photos, tmp_path):
    pytest.importorskip("matplotlib")
    data = [word for word in photos.options if word not in ("--train",)]
    data.remove(str(photos.train))
    made = (tmp_path / "made.json", tmp_path / "made.svg")
    kept = (tmp_path / "kept.json", tmp_path / "kept.png")

    text = wsis("evaluate", *SOURCE, *data, "--out", made[0], "--curves", made[1])
    beside = ("--curves", kept[1], "--beside", made[0], "--limit", 10)
    wsis("evaluate", "--store", store, *data, "--out", kept[0], *beside)

    assert "supervision: none" in text
    assert "region_tree:nodes=20:pairs=0: 3 objects on 3 images" in text
    first, second = (json.loads(one.read_text()) for one in (made[0], kept[0]))
    for name in ("ABO", "AR", "recall50", "recall70", "recall85"):
        assert 0 <= first[name] <= 1
        assert first["by_budget"]["10"][name] == second[name]
    assert first["limit"] == 1000
    assert first["seconds_per_image"] > 0
    assert first["oracle"]["mAP50"] <= 1
    assert first["by_size"]["small"]["objects"] == 3
    assert "region_tree:nodes=20:pairs=0: none" in made[1].read_text()
    assert read_image(kept[1]).std() > 0
    # The same figures give the same picture.
    before = made[1].read_bytes()
    wsis("evaluate", *SOURCE, *data, "--curves", made[1], "--jobs", 1)
    assert made[1].read_bytes() == before


def test_evaluate_refuses_before_any_work(photos, tmp_path, monkeypatch):
    text = wsis("evaluate", "--data", "coco", "--images", photos.images, code=2)
    assert "expected --val" in text
    assert "to end in .svg, .png or .pdf" in wsis("evaluate", "--curves", "c", code=2)
    (tmp_path / "x.json").write_text("{}")
    text = wsis("evaluate", "--beside", tmp_path / "x.json", code=1)
    assert "expected a file that wsis proposals evaluate --out wrote" in text
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    text = wsis("evaluate", "--curves", "c.svg", code=2)
    assert "pip install 'wsis[curves]'" in text
    assert "no source is called 'tre'" in wsis("evaluate", "--source", "tre", code=2)


def test_a_store_can_be_shown(store, photos, tmp_path):
    source = ("--source", f"files:path={store}")

    text = wsis("show", photos.images / "val0.png", "--out", tmp_path / "o", *source)

    assert re.search(r"val0\.png: \d+ proposals", text)
    assert Path(tmp_path / "o" / "val0.png").exists()


def test_every_command_has_examples():
    for name in ("make", "import", "export", "show", "evaluate", "verify"):
        assert f"Examples: wsis proposals {name}" in wsis(name, "--help")


@pytest.fixture
def renumbered(photos, tmp_path):
    """Photos 1.png to 3.png, numbered otherwise in val.json, and their objects."""
    val = json.loads(photos.val.read_text())
    folder = tmp_path / "photos"
    folder.mkdir()
    numbers = {}
    for image, name, number in zip(val["images"], "123", (2, 3, 1), strict=True):
        (folder / f"{name}.png").write_bytes(
            (photos.images / image["file_name"]).read_bytes()
        )
        numbers[image["id"]] = number
        image |= {"id": number, "file_name": f"{name}.png"}
    for one in val["annotations"]:
        one["image_id"] = numbers[one["image_id"]]
    (tmp_path / "val.json").write_text(json.dumps(val))
    results = [
        {"image_id": one["image_id"], "segmentation": one["segmentation"]}
        for one in val["annotations"]
    ]
    (tmp_path / "results.json").write_text(json.dumps(results))
    return folder, tmp_path / "val.json", tmp_path / "results.json"


def test_numbers_of_the_annotations_decide_and_digits_are_told(renumbered, tmp_path):
    """Case 09: with --val, the objects' own masks cover them whole."""
    images, val, results = renumbered
    into = ("--format", "coco", "--images", images, "--supervision", "masks")
    into += ("--jobs", 1)

    text = wsis("import", results, *into, "--val", val, "--out", tmp_path / "s")

    assert "warning" not in text
    data = ("--data", "coco", "--images", images, "--val", val)
    wsis("evaluate", "--store", tmp_path / "s", *data, "--out", tmp_path / "f.json")
    assert json.loads((tmp_path / "f.json").read_text())["ABO"] == 1
    text = wsis("import", results, *into, "--out", tmp_path / "guessed")
    assert "warning: 3 photos are matched by the digits of their names; --train" in text
    text = wsis("import", results, *into, "--out", tmp_path / "t", "--strict", code=1)
    assert "3 photos are matched by the digits" in text


def test_soft_masks_are_refused_and_empty_ones_counted(photos, tmp_path):
    """Case 14, and what is left out of several photos is one warning."""
    logits = np.full((2, 64, 80), -4.0)
    logits[0, 9:30, 9:30] = 4
    kinds = {
        "hard": logits > 0,
        "logits": logits,
        "soft": 1 / (1 + np.exp(-logits)),
    }
    for kind, masks in kinds.items():
        (tmp_path / kind).mkdir()
        for name in ("val0", "val1"):
            np.savez(tmp_path / kind / f"{name}.npz", masks=masks)
    (tmp_path / "photos").mkdir()
    for name in ("val0.png", "val1.png"):
        path = tmp_path / "photos" / name
        path.write_bytes((photos.images / name).read_bytes())
    into = ("--format", "npz", "--images", tmp_path / "photos", "--supervision", "none")
    into += ("--jobs", 1, "--out")

    text = wsis("import", tmp_path / "hard", *into, tmp_path / "a")

    assert "2 proposals of 2 photos" in text
    told = "2 photos (val0.png, val1.png): masks without a pixel are left out"
    assert text.count(told) == 1
    for kind, came in (
        ("soft", "values from 0.018 to 0.982: probabilities? threshold them first"),
        ("logits", "values from -4 to 4: logits? threshold them first"),
    ):
        text = wsis("import", tmp_path / kind, *into, tmp_path / kind / "s", code=1)
        assert "2 of 2 photos failed" in text
        assert came in text
        assert len(Store.open(tmp_path / kind / "s")) == 0
