import json

import pytest

from tests.command import wsis
from tests.photos import leaky

QUICK = ("--set", "source=region_tree:nodes=30:pairs=0", "--set", "train_sides=64")
WEIGHTS = ("--set", "backbone=efficientnet_lite0:weights=random")


@pytest.fixture
def folder(drawn, tmp_path):
    for path in sorted(drawn.images.iterdir()):
        kind = tmp_path / "photos" / ("square", "disc")[int(path.stem[-1]) % 2]
        kind.mkdir(parents=True, exist_ok=True)
        (kind / path.name).write_bytes(path.read_bytes())
    return tmp_path / "photos"


def test_a_folder_gets_advice_on_its_tags(folder):
    text = wsis("doctor", folder)

    assert "7 photos of 2 classes" in text
    assert "1. tags with fewer than 20 photos (2): disc (3), square (4)" in text
    assert "(wsis help tags-with-fewer-than-20-photos)" in text


def test_photos_that_cannot_be_read_come_first(folder):
    (folder / "disc/a.png").write_text("<html>404 Not Found")

    text = wsis("doctor", folder)
    data = wsis("doctor", "--data", "folder", "--root", folder)

    for said in (text, data):
        assert "1. photos that cannot be read (1): disc/a.png; replace them" in said
        assert "2. tags with fewer than 20 photos" in said


def test_an_export_gets_advice_without_a_table_left_behind(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    photos = sorted(folder.rglob("*.png"))
    (folder / "tags.csv").write_text(
        "file,tags\n"
        + "".join(f"{path.relative_to(folder)},thing\n" for path in photos)
    )

    text = wsis("doctor", folder)

    assert "1. tags that every tagged photo has (1): thing" in text
    assert [path.name for path in folder.parent.iterdir()] == ["photos"]


def test_masks_tell_of_proposals(drawn, tmp_path):
    few = ("--set", "source=region_tree:nodes=1:pairs=0", *WEIGHTS)
    cache = ("--cache", tmp_path / "cache")

    text = wsis("doctor", *drawn.options, *few, *cache)
    mixed = ("--val", leaky(drawn, tmp_path / "mixed.json"))
    shared = wsis("doctor", *drawn.options[:-2], *mixed, *few, *cache)

    told = "1 of 4 validation photos are also training photos (the same pixels): train0"
    assert told in shared
    assert "also training photos" not in text
    assert "1. proposals of region_tree" in text
    assert "of 3 objects on 3 photos" in text
    assert "2. tags with fewer than 20 photos" in text


def test_a_run_gets_advice_on_its_length_and_its_data(drawn, tmp_path):
    run, cache = tmp_path / "run", ("--cache", tmp_path / "cache", "--device", "cpu")
    short = ("--set", "schedule.epochs=1", "--set", "schedule.min_iterations=0")
    how = (*drawn.options[:-2], *QUICK, *WEIGHTS, *short, *cache)
    wsis("train", "--recipe", "photos-small", *how, "--out", run)

    alone = wsis("doctor", run)
    data = wsis("doctor", run, *drawn.options, *cache)
    mixed = ("--val", leaky(drawn, tmp_path / "mixed.json"))

    assert "training photos (the same pixels)" not in data
    told = "1 of 4 measured photos are also training photos (the same pixels): train0"
    assert told in wsis("doctor", run, *drawn.options[:-2], *mixed, *cache)
    assert "1. the training was short: it saw 4 photos, repeats included" in alone
    assert "name the data for that" in alone
    assert "name a folder of predictions for that" in alone
    assert "the training was short" in data
    assert "tags with fewer than 20 photos" in data
    assert data.index("the training was short") < data.index("fewer than 20")


def test_predictions_get_advice_on_masks_that_cover_the_photo(drawn, tmp_path):
    size = {"width": 80, "height": 64}
    whole, part = {"size": [64, 80], "counts": [0, 5120]}, [[0, 0, 8, 0, 8, 8, 0, 8]]
    photos = sorted(drawn.images.glob("*.png"))[:4]
    content = {
        "info": {},
        "images": [
            {"id": i, "file_name": str(path), **size} for i, path in enumerate(photos)
        ],
        "categories": [{"id": 1, "name": "disc"}, {"id": 2, "name": "square"}],
        "annotations": [
            {
                **{"id": i + 1, "image_id": i, "category_id": 1 + i // 3},
                **{
                    "score": 0.5,
                    "iscrowd": 0,
                    "segmentation": part if i > 2 else whole,
                },
            }
            for i in range(4)
        ],
    }
    (tmp_path / "predictions.json").write_text(json.dumps(content))

    text = wsis("doctor", tmp_path)

    assert "predictions: 4 photos in" in text
    assert "1. masks of disc cover most of the photo on most photos" in text
    assert "(wsis help masks-that-cover-the-photo)" in text


def test_a_folder_and_data_are_one_too_many(folder):
    text = wsis("doctor", folder, "--data", "scenes", code=2)

    assert "expected a run in" in text
    assert "leave it or --data out" in text


def test_a_folder_that_is_not_there_is_named(tmp_path):
    assert "nowhere" in wsis("doctor", tmp_path / "nowhere", code=1)
