import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from pycocotools import mask as rle
from pycocotools.coco import COCO

from tests.data.layouts import write_coco
from wsis import InputWarning, plugins
from wsis.contracts import DataSource, Numbered
from wsis.data.annotations import UnknownClassError
from wsis.data.coco import CocoData, category_ids, read_annotated, read_tagged
from wsis.data.names import COCO_CATEGORIES
from wsis.evaluation import evaluate
from wsis.geometry import Predictions

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


@pytest.mark.parametrize("background", [False, True])
def test_photos_without_the_classes_are_background_where_that_is_said(
    tmp_path, background
):
    found = [annotation(1, 9), annotation(2, 2)]
    path, photos = data_set(tmp_path, [image(1), image(2), image(3)], found)

    data = CocoData(
        images=photos, train_json=path, classes="dog", background=background
    )
    tagged = data.train()

    assert [one.background for one in tagged.images] == [False, background, background]
    assert tagged.epoch == (1 if background else 3)


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
    found = [annotation(1, 4, LEFT), annotation(1, 5, "not looked at")]
    val, _ = data_set(tmp_path, [image(1)], found, other, name="val")
    data = CocoData(images=photos, train_json=train, val_json=val)

    assert isinstance(data, DataSource)
    assert isinstance(data, Numbered)
    with pytest.warns(InputWarning, match=r"val.json: objects of 1 .*left out: ox .1."):
        annotated = data.val()
    assert data.train().classes == annotated.tagged.classes == ("cat", "dog")
    assert annotated.truths[0].label.tolist() == [1]
    assert data.category_ids() == (4, 1)
    assert category_ids(train) == (2, 9)


@pytest.mark.parametrize("classes", ["all", "cat,dog"])
def test_a_class_that_validation_lacks_has_no_object_there(tmp_path, classes):
    train, photos = data_set(tmp_path, [image(1)], [annotation(1, 9)])
    found, only = [annotation(1, 4, RIGHT)], [{"id": 4, "name": "Dog"}]
    val, _ = data_set(tmp_path, [image(1)], found, only, name="val")
    data = CocoData(images=photos, train_json=train, val_json=val, classes=classes)

    with pytest.warns(
        InputWarning, match="val lacks classes of .*: cat; they get no figures"
    ):
        annotated = data.val()

    assert annotated.tagged.classes == ("cat", "dog")
    assert annotated.tagged.images[0].tags.tolist() == [False, True]
    truth = annotated.truths[0]
    assert (truth.label.tolist(), len(truth.masks)) == ([2], 1)
    assert data.category_ids() == (5, 4)


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
        ({"segmentation": None}, "expected polygons or run lengths"),
        ({"segmentation": []}, "at least one polygon, got none"),
        ({"segmentation": [[0, 0, 3, 3]]}, "at least three points"),
        ({"segmentation": [[0, 0, 3, 0, 3, float("nan")]]}, "at least three points"),
        ({"segmentation": [[0, 0, 3, 3, 1, 1]]}, "got a line or a point"),
        ({"segmentation": [[7, 0, 9, 0, 9, 4]]}, r"from \(7, 0\) to \(9, 4\)"),
        ({"segmentation": [[0, 0, 0.5, 0, 0.5, 1]]}, "are these fractions"),
        ({"segmentation": {"size": [6, 4], "counts": [24]}}, r"of size \[4, 6\]"),
        ({"segmentation": {"size": [4, 6], "counts": [24]}}, "the mask has none"),
        ({"segmentation": LEFT, "area": "12"}, "a number from 0 up as area"),
        ({"segmentation": LEFT, "area": -4}, "a number from 0 up as area, got -4"),
        ({"segmentation": LEFT, "area": float("nan")}, "as area, got nan"),
    ],
)
def test_objects_without_a_usable_mask_are_counted(tmp_path, changes, message):
    bad = [annotation(1, 9, **changes), annotation(1, 2, **changes)]
    found = [annotation(1, 9, RIGHT), *bad]
    path, photos = data_set(tmp_path, [image(1)], found)

    with pytest.raises(
        ValueError,
        match=rf"train\.json: 2 of 3 .*\[1\] .1\.png.: .*{message}.*masks=skip",
    ):
        read_annotated(path, photos)
    with pytest.warns(
        InputWarning, match=r"2 of 3 .*annotations\[2\] .*leaves them out"
    ):
        [truth] = read_annotated(path, photos, masks="skip").truths

    # An area that is none is not needed; the mask has its own.
    kept = [2, 2, 1] if "area" in changes else [2]
    assert truth.label.tolist() == kept
    assert truth.area.tolist() == [12] * len(kept)


def test_a_part_that_is_no_polygon_does_not_cost_the_object(tmp_path):
    found = [annotation(1, 9, [*LEFT, [0, 0, 3, 3]])]
    path, photos = data_set(tmp_path, [image(1)], found)
    data = CocoData(images=photos, val_json=path, masks="skip")

    with pytest.warns(InputWarning, match="1 of 1 objects"):
        [truth] = data.val().truths

    assert rle.area(truth.masks[0]) == 12


def test_a_file_without_one_usable_mask_is_refused(tmp_path):
    path, photos = data_set(tmp_path, [image(1)], [annotation(1, 9, [])])

    with (
        pytest.warns(InputWarning, match="1 of 1 objects"),
        pytest.raises(ValueError, match="no object has a usable mask"),
    ):
        read_annotated(path, photos, masks="skip")


@pytest.mark.parametrize("crowd", ["0", "false", None, 2, [0]])
def test_iscrowd_is_a_truth_value(tmp_path, crowd):
    found = [annotation(1, 9, LEFT), annotation(1, 9, RIGHT, iscrowd=crowd)]
    path, photos = data_set(tmp_path, [image(1)], found)

    for masks in ("refuse", "skip"):
        with pytest.raises(ValueError, match=r"true as iscrowd.* 1 times: ann.*\[1\]"):
            read_annotated(path, photos, masks=masks)
    for value, ignored in ((0, False), (1, True), (False, False), (True, True)):
        found[1]["iscrowd"] = value
        path, _ = data_set(tmp_path, [image(1)], found)
        assert read_annotated(path, photos).truths[0].ignore.tolist() == [
            False,
            ignored,
        ]


@pytest.mark.parametrize(
    ("outline", "hint"),
    [
        ([[0, 0, 3, 0, 3, 9, 0, 9]], "width and height those of the photos"),
        ([[0, 0, 3, 0, 3, 6, 0, 6]], "x and y swapped"),
    ],
)
def test_outlines_beyond_their_photo_are_told(tmp_path, outline, hint):
    found = [annotation(1, 9, LEFT), annotation(1, 9, outline)]
    path, photos = data_set(tmp_path, [image(1)], found)

    with pytest.warns(
        InputWarning, match=rf"1 outlines .*{hint}.*\[1\] .x from 0 to 3"
    ):
        truths = read_annotated(path, photos).truths

    assert [rle.area(mask) for mask in truths[0].masks] == [12, 12]


CORNER = [[2, 3, 60, 3, 60, 40, 2, 40]]


def test_objects_that_another_mark_ignores_are_told(tmp_path):
    marked = [annotation(1, 9, LEFT, ignore=1), annotation(1, 9, RIGHT, ignore=0)]
    crowd = annotation(1, 2, LEFT, ignore=1, iscrowd=1)
    path, photos = data_set(tmp_path, [image(1)], [*marked, crowd])

    with pytest.warns(InputWarning, match=r"1 of 3 objects .*: annotations\[0\]; set"):
        [truth] = read_annotated(path, photos).truths

    assert truth.ignore.tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("boxes", "told"),
    [
        ([[0, 0, 4, 2], [0, 1, 3, 2]], "1 of 2 outlines .* are x and y swapped"),
        ([[0, 0, 4, 2], [3, 0, 3, 1]], "2 of 2 outlines lie elsewhere than the boxes"),
        ([[0, 0, 2, 4], [3, 0, 3, 1]], r"1 of 2 .* annotations\[1\] \(x from 1 to 3"),
        ([[0, 0, 2, 3], [0, 0, 3, 3]], None),
        ([[0, 0, 0, 0], None], None),
        (["no box", [1, 2]], None),
    ],
)
def test_outlines_elsewhere_than_their_boxes_are_told(tmp_path, recwarn, boxes, told):
    outlines = [[[0, 0, 2, 0, 2, 4, 0, 4]], [[1, 0, 3, 0, 3, 3, 1, 3]]]
    both = zip(outlines, boxes, strict=True)
    found = [annotation(1, 9, outline, bbox=box) for outline, box in both]
    path, photos = data_set(tmp_path, [image(1)], found)

    read_annotated(path, photos)

    said = [str(one.message) for one in recwarn]
    assert len(said) == bool(told)
    assert not told or re.search(told, said[0])


@pytest.mark.parametrize(
    ("sides", "more", "told"),
    [
        ((640, 480), [[50, 50, 99, 50, 99, 100]], True),
        ((640, 480), [[50, 50, 101, 50, 99, 100]], False),
        ((300, 240), [[50, 50, 99, 50, 99, 100]], False),
    ],
)
def test_outlines_in_percent_are_told(tmp_path, recwarn, sides, more, told):
    found = [annotation(1, 9, CORNER), annotation(2, 9, more)]
    images = [image(1, *sides), image(2, *sides)]
    path, photos = data_set(tmp_path, images, found)

    truths = read_annotated(path, photos).truths

    assert rle.area(truths[0].masks[0]) == 58 * 37
    texts = [str(one.message) for one in recwarn]
    assert bool(texts) == told
    if told:
        assert "all 2 outlines lie in their photos' first 100 pixels" in texts[0]
        assert "(x from 2 to 60, y from 3 to 40, on 1.png of 640 x 480" in texts[0]


@pytest.mark.parametrize("number", [-3, 2**63, 2**100])
def test_any_whole_number_may_be_a_photos(tmp_path, number):
    found = [annotation(number, 9, LEFT), annotation(1, 9, LEFT)]
    path, photos = data_set(tmp_path, [image(number), image(1)], found)
    annotated = read_annotated(path, photos)

    figures = evaluate(oracle_of(annotated), annotated.truths, ("cat", "dog"))

    assert [truth.image_id for truth in annotated.truths] == [number, 1]
    assert figures.metrics["AP"] == pytest.approx(100)
    assert figures.per_class["cat"]["AP"] is None


def oracle_of(annotated):
    """The objects themselves as predictions."""
    return [
        Predictions.of_masks(
            one.image_id,
            one.size,
            one.masks,
            label=one.label,
            score=torch.ones(len(one.label)),
        )
        for one in annotated.truths
    ]


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


def test_photos_of_another_size_are_refused_at_once(tmp_path):
    path, photos = data_set(tmp_path, [image(1), image(2)], [annotation(1, 9)])
    for name in ("1.png", "2.png"):
        Pillow.new("RGB", (5, 4)).save(photos / name)

    with pytest.raises(
        ValueError, match=r"2 of 2 .*EXIF.*1\.png \(4 x 6 .* 4 x 5\), 2"
    ):
        read_tagged(path, photos)


def turned(photos, orientation, size=(6, 4)):
    """A photo 1.png whose upper left pixel, as stored, is red."""
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    photo = Pillow.new("RGB", size)
    photo.putpixel((0, 0), (255, 0, 0))
    photo.save(photos / "1.png", exif=exif)


def red(tagged):
    """Where the red pixel is: row and column."""
    [one] = tagged.images
    return tuple(np.argwhere(one.load()[..., 0] == 255)[0].tolist())


def test_turned_photos_are_read_as_they_were_annotated(tmp_path):
    path, photos = data_set(tmp_path, [image(1, 4, 6)], [annotation(1, 9)])
    turned(photos, 6)

    assert red(read_tagged(path, photos)) == (0, 3)

    path, photos = data_set(tmp_path, [image(1)], [annotation(1, 9)])
    turned(photos, 6)
    with pytest.warns(InputWarning, match="1 of 1 .*read as stored.*set upright=true"):
        assert red(read_tagged(path, photos)) == (0, 0)


@pytest.mark.parametrize(
    ("orientation", "size", "shown"),
    [
        (3, (6, 4), (3, 5)),
        (2, (6, 4), (0, 5)),
        (4, (6, 4), (3, 0)),
        (6, (4, 4), (0, 3)),
    ],
)
def test_photos_that_keep_their_size_are_told(tmp_path, orientation, size, shown):
    path, photos = data_set(tmp_path, [image(1, *size)], [annotation(1, 9)])
    turned(photos, orientation, size)

    with pytest.warns(InputWarning, match="1 of 1 .*as shown by.*1.png.*upright=false"):
        assert red(read_tagged(path, photos)) == shown
    assert red(read_tagged(path, photos, upright=True)) == shown
    assert red(read_tagged(path, photos, upright=False)) == (0, 0)


def test_upright_goes_before_the_size_that_a_tool_wrote(tmp_path):
    outline = [[0, 0, 4, 0, 4, 6, 0, 6]]
    path, photos = data_set(tmp_path, [image(1)], [annotation(1, 9, outline)])
    turned(photos, 6)
    options = {"images": photos, "val_json": path}

    with pytest.warns(InputWarning) as told:
        CocoData(**options).val()
    assert "read as stored" in str(told[0].message)
    assert "upright=true may read them right" in str(told[1].message)
    # As the command line reads --data coco:upright=true.
    given = {key: str(value) for key, value in options.items()} | {"upright": "true"}
    annotated = plugins.create("datasets", "coco", given).val()
    assert red(annotated.tagged) == (0, 3)
    assert annotated.truths[0].size == (6, 4)
    assert rle.area(annotated.truths[0].masks[0]) == 24


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


def test_areas_too_large_to_count_with_are_refused(tmp_path):
    box = [[0, 0, 3, 0, 3, 3, 0, 3]]
    path, photos = data_set(tmp_path, [image(1)], [annotation(1, 2, box, area=10**400)])

    with pytest.raises(ValueError, match="expected a number from 0 up as area"):
        read_annotated(path, photos)


def test_a_file_without_objects_is_refused_as_that(tmp_path):
    path, photos = data_set(tmp_path, [image(1)], [])

    with pytest.raises(ValueError, match="expected objects of cat, dog, got none"):
        read_annotated(path, photos)


def test_one_photo_under_two_spellings_is_told(tmp_path):
    twice = {**image(1), "id": 2, "file_name": "./1.png"}
    path, photos = data_set(tmp_path, [image(1), twice], [annotation(1, 2)])

    with pytest.warns(InputWarning, match=r"1 photos .* several ids.*: 1\.png"):
        read_tagged(path, photos)


def test_objects_that_are_listed_twice_are_told(tmp_path):
    objects = [annotation(1, 2, LEFT), annotation(1, 9, LEFT), annotation(1, 2, LEFT)]
    path, photos = data_set(tmp_path, [image(1)], objects)

    with pytest.warns(
        InputWarning, match=r"1 of 3 objects .*: annotations\[2\] \(1.png"
    ):
        read_annotated(path, photos)


def test_predictions_taken_for_truth_or_tags_are_told(tmp_path):
    objects = [annotation(1, 2, LEFT, score=0.5), annotation(1, 9, RIGHT)]
    path, photos = data_set(tmp_path, [image(1)], objects)

    told = r"train\.json: 1 of 2 annotations have scores: these are predictions"
    for read in (read_tagged, read_annotated):
        with pytest.warns(InputWarning, match=told):
            read(path, photos)


def test_crowds_alone_are_refused(tmp_path):
    found = [annotation(1, 9, LEFT, iscrowd=1), annotation(1, 2, RIGHT, iscrowd=1)]
    path, photos = data_set(tmp_path, [image(1)], found)

    with pytest.raises(ValueError, match=r"train\.json: all objects are crowds"):
        read_annotated(path, photos)
