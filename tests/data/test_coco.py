import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from pycocotools import mask as rle
from pycocotools.coco import COCO

from tests.data.layouts import write_coco
from wsis.contracts import DataSource, Numbered
from wsis.data.annotations import UnknownClassError
from wsis.data.coco import CocoData, category_ids, read_annotated, read_tagged
from wsis.data.names import COCO_CATEGORIES

LEFT = [[0, 0, 3, 0, 3, 4, 0, 4]]
RIGHT = {"size": [4, 6], "counts": [12, 12]}
CATEGORIES = [{"id": 9, "name": "dog"}, {"id": 2, "name": "cat"}]


def image(number, width=6, height=4):
    return {
        "id": number,
        "file_name": f"{number}.png",
        "width": width,
        "height": height,
    }


def annotation(image_id, category_id, segmentation=None, **more):
    entry = {"image_id": image_id, "category_id": category_id, **more}
    return entry if segmentation is None else entry | {"segmentation": segmentation}


def data_set(folder, images, annotations, categories=CATEGORIES, name="train"):
    """Writes photos and their annotation file; returns the file's and their places."""
    photos = folder / "photos"
    photos.mkdir(exist_ok=True)
    for entry in images:
        size = entry["width"], entry["height"]
        Pillow.new("RGB", size).save(photos / entry["file_name"])
    path = folder / f"{name}.json"
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content))
    return path, photos


def test_tags_come_from_categories_alone(tmp_path):
    found = [annotation(2, 9), annotation(2, 2, iscrowd=1), annotation(1, 9)]
    path, photos = data_set(tmp_path, [image(2), image(1), image(5)], found)

    tagged = read_tagged(path, photos)

    assert tagged.classes == ("cat", "dog")
    assert [one.id for one in tagged.images] == [2, 1, 5]
    assert [one.tags.tolist() for one in tagged.images] == [
        [True, True],
        [False, True],
        [False, False],
    ]
    assert tagged.images[0].load().shape == (4, 6, 3)


def test_training_never_looks_at_masks_and_boxes(tmp_path):
    broken = annotation(1, 9, "no mask", bbox="no box", area="no area")
    path, photos = data_set(tmp_path, [image(1)], [broken])

    [one] = CocoData(images=photos, train_json=path).train().images

    assert one.tags.tolist() == [False, True]


def test_truths_hold_masks_crowds_and_areas(tmp_path):
    found = [
        annotation(2, 9, LEFT, area=11.5),
        annotation(2, 2, RIGHT, iscrowd=1),
    ]
    path, photos = data_set(tmp_path, [image(1), image(2)], found)

    truths = read_annotated(path, photos).truths

    assert len(truths) == 2
    assert len(truths[0].masks) == 0
    truth = truths[-1]
    assert (truth.image_id, truth.size) == (2, (4, 6))
    assert truth.label.tolist() == [2, 1]
    assert truth.ignore.tolist() == [False, True]
    assert truth.area.tolist() == [11.5, 12]
    left, right = rle.decode(list(truth.masks)).transpose(2, 0, 1)
    assert left[:, :3].all()
    assert not left[:, 3:].any()
    assert np.array_equal(right, 1 - left)
    assert [one.image_id for one in truths[:]] == [1, 2]


def test_other_classes_are_left_out_and_their_images_kept(tmp_path):
    found = [annotation(1, 9, LEFT), annotation(2, 2, "not looked at")]
    path, photos = data_set(tmp_path, [image(1), image(2)], found)

    annotated = read_annotated(path, photos, "dog")

    assert annotated.tagged.classes == ("dog",)
    assert [one.tags.tolist() for one in annotated.tagged.images] == [[True], [False]]
    assert [truth.label.tolist() for truth in annotated.truths] == [[1], []]


def test_both_halves_have_the_classes_of_training(tmp_path):
    train, photos = data_set(tmp_path, [image(1)], [annotation(1, 9)])
    other = [
        {"id": 1, "name": "Dog"},
        {"id": 4, "name": "CAT"},
        {"id": 5, "name": "ox"},
    ]
    found = [annotation(1, 4, LEFT), annotation(1, 5, LEFT)]
    val, _ = data_set(tmp_path, [image(1)], found, other, name="val")
    data = CocoData(images=photos, train_json=train, val_json=val)

    assert isinstance(data, DataSource)
    assert isinstance(data, Numbered)
    assert data.train().classes == data.val().tagged.classes == ("cat", "dog")
    assert data.val().truths[0].label.tolist() == [1]
    assert data.category_ids() == (4, 1)
    assert category_ids(train) == (2, 9)


def test_validation_photos_may_have_their_own_folder(tmp_path):
    val, photos = data_set(tmp_path, [image(1)], [annotation(1, 9, LEFT)])

    data = CocoData(images=tmp_path / "none", val_json=val, val_images=photos)

    assert data.val().tagged.images[0].load().shape == (4, 6, 3)


def test_a_half_needs_its_file(tmp_path):
    data = CocoData(images=tmp_path)

    for asked in (data.train, data.train_truths, data.category_ids):
        with pytest.raises(ValueError, match=r"as train_json \(--train .* got none"):
            asked()
    assert data.val() is None


def test_unknown_classes_are_refused(tmp_path):
    path, photos = data_set(tmp_path, [image(1)], [annotation(1, 9, LEFT)])

    with pytest.raises(UnknownClassError, match="did you mean 'dog'"):
        read_tagged(path, photos, "dgo")


def test_files_without_objects_of_the_classes_are_refused(tmp_path):
    path, photos = data_set(tmp_path, [image(1)], [annotation(1, 9, LEFT)])

    with pytest.raises(ValueError, match="expected objects of cat, got none"):
        read_tagged(path, photos, "cat")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "expected polygons or run lengths"),
        ({"segmentation": [[0, 0, 3, 3]]}, "at least three points"),
        ({"segmentation": {"size": [6, 4], "counts": [24]}}, r"of size \[4, 6\]"),
        ({"segmentation": LEFT, "area": "12"}, "a number from 0 up as area"),
        ({"segmentation": LEFT, "area": -4}, "a number from 0 up as area, got -4"),
        ({"segmentation": LEFT, "area": float("nan")}, "as area, got nan"),
    ],
)
def test_broken_masks_are_refused_at_the_door(tmp_path, changes, message):
    path, photos = data_set(tmp_path, [image(1)], [annotation(1, 9, **changes)])

    with pytest.raises(
        ValueError, match=rf"train\.json: annotations\[0\]: .*{message}"
    ):
        read_annotated(path, photos)


def test_missing_photos_are_counted_and_the_first_are_named(tmp_path):
    images = [image(number) for number in range(6)]
    path, photos = data_set(tmp_path, images, [annotation(1, 9)])
    for number in range(1, 6):
        (photos / f"{number}.png").unlink()

    with pytest.raises(FileNotFoundError, match=r"5 of 6 .*: 1.png, 2.png, 3.png, …"):
        read_tagged(path, photos)
    with pytest.raises(FileNotFoundError, match=r"there is no .*elsewhere"):
        read_tagged(path, tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"a folder of photos, .* is a file"):
        read_tagged(path, path)


def test_photos_of_another_size_are_refused_when_loaded(tmp_path):
    path, photos = data_set(tmp_path, [image(1)], [annotation(1, 9)])
    Pillow.new("RGB", (5, 4)).save(photos / "1.png")
    [one] = read_tagged(path, photos).images

    with pytest.raises(ValueError, match=r"1\.png: expected 4 x 6 .*got 4 x 5.*EXIF"):
        one.load()


@pytest.mark.parametrize(("width", "height"), [(6, 4), (4, 6)])
def test_turned_photos_are_read_as_they_were_annotated(tmp_path, width, height):
    path, photos = data_set(tmp_path, [image(1, width, height)], [annotation(1, 9)])
    exif = Pillow.Exif()
    exif[0x0112] = 6
    Pillow.new("RGB", (6, 4)).save(photos / "1.png", exif=exif)

    [one] = read_tagged(path, photos).images

    assert one.load().shape == (height, width, 3)


MINI = Path(os.environ.get("WSIS_COCO_MINI", "missing"))


@pytest.mark.skipif(
    not (MINI / "annotations").is_dir(),
    reason="needs WSIS_COCO_MINI, a folder with images/ and annotations/",
)
def test_real_annotations_are_read_as_pycocotools_reads_them():
    path = MINI / "annotations" / "instances_val.json"
    data = CocoData(images=MINI / "images", val_json=path, classes="voc")
    annotated, reference = data.val(), COCO(str(path))
    chosen = data.category_ids()

    for tagged, truth in zip(annotated.tagged.images, annotated.truths, strict=True):
        of_image = reference.imgToAnns[tagged.id]
        found = [one for one in of_image if one["category_id"] in chosen]
        assert [rle.decode(mask).sum() for mask in truth.masks] == [
            reference.annToMask(one).sum() for one in found
        ]
        assert truth.ignore.tolist() == [bool(one["iscrowd"]) for one in found]
        present = torch.zeros(20, dtype=torch.bool)
        present[truth.label - 1] = True
        assert tagged.tags.equal(present)
    assert annotated.tagged.images[0].load().shape[:2] == annotated.truths[0].size


@pytest.mark.parametrize("year", [2014, 2017])
def test_cocos_own_layout_is_found(tmp_path, year):
    root = write_coco(tmp_path / "coco", year=year)
    data = CocoData(root=root)
    tagged, annotated = data.train(), data.val()

    assert len(tagged.classes) == 80
    assert tagged.classes == tuple(COCO_CATEGORIES)
    assert data.category_ids() == tuple(COCO_CATEGORIES.values())
    assert tagged.name == f"instances_train{year}"
    assert len(tagged.images) == 3
    assert len(annotated.truths) == 2
    assert tagged.images[0].load().shape == (60, 80, 3)
    assert annotated.tagged.images[0].load().shape == (60, 80, 3)


def test_photos_may_lie_in_images(tmp_path):
    root = write_coco(tmp_path)
    (root / "images").mkdir()
    (root / "train2017").rename(root / "images" / "train2017")

    assert CocoData(root=root).train().images[0].load().shape == (60, 80, 3)


def test_what_is_given_goes_before_what_lies_in_the_root(tmp_path):
    path, photos = data_set(tmp_path, [image(1)], [annotation(1, 9)])
    data = CocoData(root=write_coco(tmp_path), train_json=path, images=photos)

    assert data.train().classes == ("cat", "dog")


def test_a_root_of_something_else_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"instances_train2017\.json"):
        CocoData(root=tmp_path)
    with pytest.raises(ValueError, match="'images', or 'root'"):
        CocoData()
