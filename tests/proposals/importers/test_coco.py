import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.builders import random_proposals, rectangles
from tests.proposals.test_packing import assert_same
from wsis._support.checks import InputWarning
from wsis.contracts import Supervision
from wsis.geometry.masks import dense, empty, rles
from wsis.proposals.exporting import export_coco
from wsis.proposals.importers import FORMATS
from wsis.proposals.importers._coco import coco, stated_ledger
from wsis.proposals.shards import About, Store, Writer

SIZE = (8, 10)
LEDGER = frozenset({Supervision.BOUNDARIES, Supervision.MASKS})


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def text(mask):
    return {"size": mask["size"], "counts": mask["counts"].decode()}


def masks_of(proposals):
    return dense(proposals, torch.arange(len(proposals)))


def test_what_is_exported_is_imported_to_the_last_bit(tmp_path):
    made = {
        "a.jpg": replace(random_proposals(20, SIZE, seed=1), ledger=LEDGER),
        "b.jpg": empty(SIZE, ledger=LEDGER),
        "c.jpg": replace(
            random_proposals(9, SIZE, seed=2),
            objectness=torch.rand(9).sort(descending=True).values,
            ledger=LEDGER,
        ),
    }
    about = About(source="x", settings={"n": 1}, ledger=LEDGER)
    with Writer(tmp_path / "store", about) as writer:
        for name, proposals in made.items():
            writer.add(name, name, proposals)

    count = export_coco(Store.open(tmp_path / "store"), tmp_path / "f.json")

    assert count == (3, 29)
    assert stated_ledger(tmp_path / "f.json") == LEDGER
    found = {one.photo: one.read(SIZE) for one in coco(tmp_path / "f.json", ())}
    assert list(found) == list(made)
    for name, proposals in made.items():
        assert_same(found[name], proposals)


def test_results_with_polygons_run_lengths_and_no_score(tmp_path):
    square = [[1, 1, 4, 1, 4, 5, 1, 5]]
    expected = rectangles((1, 1, 4, 5), (0, 0, 2, 2), size=SIZE)
    masks = rles(expected, torch.arange(2))
    first = {"image_id": 7, "segmentation": square, "score": 0.5}
    second = {"image_id": 7, "segmentation": text(masks[1]), "score": 1}
    bare = {"image_id": 9, "segmentation": text(masks[0])}
    path = write(tmp_path / "r.json", [first, second, bare])

    found = {one.photo: one.read(SIZE) for one in coco(path, ())}

    assert list(found) == ["7", "9"]
    assert found["7"].objectness.tolist() == [1, 0.5]
    assert masks_of(found["7"]).equal(masks_of(expected).flip(0))
    assert masks_of(found["9"]).equal(masks_of(expected)[:1])
    assert stated_ledger(path) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"images": []}, "an object with images and annotations"),
        ([{"image_id": 1}], "with image_id and segmentation, the 0. is"),
        ([3], "with image_id and segmentation, the 0. is 3"),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        coco(write(tmp_path / "f.json", content), ())


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"segmentation": {"size": [8, 10], "counts": "1"}}, "mask 0: expected run"),
        ({"segmentation": {"size": [9, 10], "counts": "1"}}, "size"),
        ({"segmentation": [[0, 0, 1]]}, "mask 0: expected polygons"),
        ({"segmentation": [[0, 0, 3, 0, 3, 3]], "score": "a"}, "number as score"),
    ],
)
def test_masks_that_are_none_are_refused(tmp_path, result, message):
    path = write(tmp_path / "f.json", [{"image_id": 1, **result}])
    [found] = coco(path, ())

    with pytest.raises(ValueError, match=message):
        found.read(SIZE)


def test_missing_and_unsafe_files_are_refused(tmp_path):
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "a.pkl").write_bytes(b"")
    with pytest.raises(ValueError, match="not JSON"):
        coco(tmp_path / "a.json", ())
    with pytest.raises(ValueError, match="is a pickle"):
        coco(tmp_path / "a.pkl", ())
    with pytest.raises(FileNotFoundError):
        coco(tmp_path / "b.json", ())


def test_formats_say_what_they_consumed_or_ask(tmp_path):
    masks, none = frozenset({Supervision.MASKS}), frozenset()

    assert masks <= FORMATS["mcg"].consumed(tmp_path, None)
    assert masks <= FORMATS["cob"].consumed(tmp_path, None)
    assert FORMATS["png"].consumed(tmp_path, none) == none
    assert FORMATS["png"].consumed(tmp_path, masks) == masks
    for name in ("mat", "npz", "png"):
        with pytest.raises(ValueError, match="expected --supervision"):
            FORMATS[name].consumed(tmp_path, None)
    with pytest.raises(ValueError, match="consumed boundaries, masks, got"):
        FORMATS["mcg"].consumed(tmp_path, none)
    path = write(
        tmp_path / "f.json",
        {"images": [], "annotations": [], "info": {"supervision": ["tastes"]}},
    )
    with pytest.raises(ValueError, match="supervision: 'tastes'"):
        FORMATS["coco"].consumed(path, None)


SQUARE = [[1, 1, 4, 1, 4, 5, 1, 5]]


def test_boxes_are_no_masks_and_counted(tmp_path):
    boxes = [
        {"image_id": 1, "bbox": [1, 1, 3, 4]},
        {"image_id": 2, "bbox": [1, 1, 3, 4], "segmentation": []},
        {"image_id": 3, "bbox": [1, 1, 3, 4], "segmentation": None},
    ]
    with pytest.raises(ValueError, match=r"the 0\. is .*bbox.*: boxes are no masks"):
        coco(write(tmp_path / "f.json", boxes), ())
    path = write(tmp_path / "f.json", [*boxes, {"image_id": 1, "segmentation": SQUARE}])
    with pytest.warns(InputWarning, match=r"f\.json: 3 of 4 have no segmentation and"):
        [found] = coco(path, ())

    assert (found.photo, found.numbered, len(found.read(SIZE))) == ("1", True, 1)


def test_masks_of_no_image_are_counted_and_numbers_may_be_text(tmp_path):
    content = {
        "images": [
            {"id": 1, "file_name": "a.jpg", "sha256": "ab"},
            {"id": "2", "file_name": "b.jpg"},
        ],
        "annotations": [
            {"image_id": number, "segmentation": SQUARE} for number in ("1", 2.0, 7)
        ],
    }
    with pytest.warns(InputWarning, match=r"1 of 3 have an image_id of no image \(7\)"):
        found = coco(write(tmp_path / "f.json", content), ())

    assert [(one.photo, one.numbered) for one in found] == [
        ("a.jpg", False),
        ("b.jpg", False),
    ]
    assert [one.sha256 for one in found] == ["ab", None]
    assert [len(one.read(SIZE)) for one in found] == [1, 1]
    content["images"][1]["id"] = 1
    with pytest.raises(ValueError, match="two images have the id 1"):
        coco(write(tmp_path / "f.json", content), ())
    content["images"][1] = {"id": 5}
    with pytest.raises(ValueError, match="images with id and file_name, got"):
        coco(write(tmp_path / "f.json", content), ())


@pytest.mark.parametrize(
    ("width", "height", "message"),
    [(20, 16, "got 16 x 20$"), (8, 10, "got 10 x 8: width x height. transpose")],
)
def test_images_of_another_size_are_refused(tmp_path, width, height, message):
    content = {
        "images": [{"id": 1, "file_name": "a", "width": width, "height": height}],
        "annotations": [{"image_id": 1, "segmentation": SQUARE}],
    }
    [found] = coco(write(tmp_path / "f.json", content), ())

    with pytest.raises(ValueError, match=f"masks of 8 x 10 pixels.*{message}"):
        found.read(SIZE)


def test_polygons_in_another_unit_or_beyond_the_photo(tmp_path):
    square = np.array(SQUARE, float)
    results = [
        {"image_id": i, "segmentation": one.tolist()}
        for i, one in enumerate((square / 10, square * 3, square + [4, 1] * 4))
    ]
    small, large, near = coco(write(tmp_path / "f.json", results), ())

    with pytest.raises(ValueError, match="in pixels, all numbers are in"):
        small.read(SIZE)
    with pytest.warns(InputWarning, match="reach beyond the photo and are cut off"):
        assert len(large.read(SIZE)) == 1
    assert len(near.read(SIZE)) == 1

    results = [
        {"image_id": i, "segmentation": one.tolist()}
        for i, one in enumerate((square - 3, square / square.max() * 90))
    ]
    left, percent = coco(write(tmp_path / "f.json", results), ())
    with pytest.warns(InputWarning, match="reach beyond the photo and are cut off"):
        left.read(SIZE)
    with pytest.warns(InputWarning, match="photo's first 100 pixels; are they in perc"):
        percent.read((480, 640))


def test_scores_are_there_for_all_or_none(tmp_path):
    results = [{"image_id": 1, "segmentation": SQUARE, "score": 1}]
    results.append({"image_id": 1, "segmentation": SQUARE})
    [found] = coco(write(tmp_path / "f.json", results), ())

    with pytest.raises(ValueError, match="1 of 2 masks have no score"):
        found.read(SIZE)


@pytest.mark.parametrize("score", [10**400, True, math.nan])
def test_scores_are_numbers_of_a_size_to_count_with(tmp_path, score):
    mask = {"size": [2, 3], "counts": [1, 5]}
    result = {"image_id": 1, "segmentation": mask, "score": score}
    [found] = coco(write(tmp_path / "a.json", [result]), ())

    with pytest.raises(ValueError, match="expected a finite number as score"):
        found.read((2, 3))


def test_a_photos_sides_are_numbers(tmp_path):
    photo = {"id": 1, "file_name": "a.png", "height": "2", "width": 3}
    content = {"images": [photo], "annotations": []}

    with pytest.raises(
        ValueError, match=r"numbers as height and width of a\.png, got '2'"
    ):
        coco(write(tmp_path / "a.json", content), ())


def test_names_in_results_decide_and_not_numbers(tmp_path):
    results = [
        {"image_id": 1, "file_name": "b.png", "segmentation": SQUARE},
        {"image_id": 1, "file_name": "a.png", "segmentation": SQUARE},
        {"image_id": 2, "file_name": "b.png", "segmentation": SQUARE},
    ]
    path = write(tmp_path / "r.json", results)

    counts = {one.photo: len(one.read(SIZE)) for one in coco(path, ())}

    assert counts == {"b.png": 2, "a.png": 1}
    assert not any(one.numbered for one in coco(path, ()))

    del results[1]["file_name"]
    with pytest.raises(ValueError, match=r"file_name in every result, .*; 1 of 3 lack"):
        coco(write(path, results), ())
