import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from unicodedata import normalize

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle

from tests.evaluation.drawing import blobs, found, truth
from tests.runs.refine.builders import predictions
from wsis import InputWarning
from wsis._support.files import sha256
from wsis.contracts import Annotated, Tagged, TaggedImage
from wsis.data.images import Reading
from wsis.data.segmentations import _runs
from wsis.evaluation import (
    TRUSTED,
    coco_data_set,
    evaluate,
    from_coco,
    matched,
    results_of,
    to_coco,
)
from wsis.geometry import Predictions

# pycocotools' decode has it under NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")


def test_one_result_by_hand() -> None:
    (result,) = to_coco([found((0.5, 2, 3, 5), image=9)], [4, 17])

    assert json.loads(json.dumps(result)) == {
        "image_id": 9,
        "category_id": 17,
        "segmentation": {"size": [1, 20], "counts": "32?"},  # 3, 2, 15
        "score": 0.5,
    }


def test_comes_back_as_it_went() -> None:
    predictions, truths = blobs(images=5, classes=2, seed=1)

    results = json.loads(json.dumps(to_coco(predictions, [4, 17])))
    back = from_coco(results, truths, [4, 17])

    for one, other in zip(predictions, back, strict=True):
        assert other.image_id == one.image_id
        assert other.size == one.size
        assert other.label.tolist() == one.label.tolist()
        assert other.score.tolist() == one.score.tolist()
        assert [dict(mask) for mask in other.masks] == list(one.masks)
        assert (other.index == -1).all()
    names = ["cat", "dog"]
    assert evaluate(back, truths, names) == evaluate(predictions, truths, names)


def test_best_first_with_boxes_and_empty_images() -> None:
    predictions = found((0.2, 1, 0, 4), (0.9, 1, 5, 9), (0.2, 1, 1, 2))
    truths = [truth((1, 0, 4), image=1), truth(image=2)]

    first, second = from_coco(to_coco([predictions], [7]), truths, [7])

    assert first.score.tolist() == pytest.approx([0.9, 0.2, 0.2])
    assert first.boxes.tolist() == [[5, 0, 9, 1], [0, 0, 4, 1], [1, 0, 2, 1]]
    assert second.image_id == 2
    assert len(second) == 0
    assert second.boxes.shape == (0, 4)


def test_reads_run_lengths_as_numbers() -> None:
    result = a_result(segmentation={"size": [1, 20], "counts": [3, 2, 15]})
    (image,) = from_coco([result], [truth()], [7])
    assert np.flatnonzero(rle.decode(image.masks[0])).tolist() == [3, 4]


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.floats(0, 1), st.integers(1, 400))
def test_run_lengths_are_those_of_the_mask(
    seed: int, share: float, pixels: int
) -> None:
    mask = np.random.default_rng(seed).random((pixels, 3)) < share
    encoded = rle.encode(np.asfortranarray(mask.astype(np.uint8)))

    runs = _runs(encoded["counts"].decode())

    values = np.arange(len(runs)) % 2
    assert (np.repeat(values, runs) == mask.T.ravel()).all()


def a_result(**changes: Any) -> dict[str, Any]:
    (result,) = to_coco([found((0.5, 1, 3, 5))], [7])
    return result | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_id": 3}, "result 0: image_id 3 is not in"),
        ({"image_id": "1"}, "expected a whole number as image_id, got '1'"),
        ({"category_id": 8}, r"category_id 8 is unknown; expected one of \[7\]"),
        ({"score": float("nan")}, "expected a finite score, got nan"),
        ({"score": "high"}, "expected a finite score, got 'high'"),
        ({"segmentation": [[0, 0, 4, 0]]}, "polygons of at least three points"),
        ({"segmentation": {"size": [2, 20], "counts": "32?"}}, r"size \[1, 20\], got"),
        ({"segmentation": {"size": [1, 20], "counts": "32>"}}, "add up to 1 x 20 pix"),
        ({"segmentation": {"size": [1, 20], "counts": "3é?"}}, "run lengths as counts"),
        ({"segmentation": {"size": [1, 20], "counts": ""}}, "run lengths as counts"),
        ({"segmentation": {"size": [1, 20], "counts": "32o"}}, "run lengths as counts"),
        (
            {"segmentation": {"size": [1, 20], "counts": "3" + 8 * "o" + "0"}},
            "as counts",
        ),
        ({"segmentation": {"size": [1, 20], "counts": [3, 2]}}, "add up to 1 x 20 pix"),
        ({"segmentation": {"size": [1, 20], "counts": [-3, 23]}}, "run lengths as"),
        ({"segmentation": {"size": [1, 20], "counts": None}}, "run lengths as counts"),
    ],
)
def test_refuses_a_damaged_result(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_coco([a_result(**changes)], [truth((1, 0, 4))], [7])


def test_refuses_missing_keys_and_what_is_no_list() -> None:
    result = a_result()
    del result["score"]
    with pytest.raises(ValueError, match=r"result 1: .*missing \['score'\]"):
        from_coco([a_result(), result], [truth()], [7])
    with pytest.raises(ValueError, match="result 0: expected an object, got 5"):
        from_coco([5], [truth()], [7])
    with pytest.raises(ValueError, match="expected a list of results, got a dict"):
        from_coco({"annotations": []}, [truth()], [7])


def test_refuses_a_label_without_category() -> None:
    with pytest.raises(ValueError, match="image 1: expected labels in 1…1, got 2"):
        to_coco([found((0.5, 2, 0, 4))], [7])


PHOTO = predictions((2, 0.75, (4, 8, 20, 30)), image_id=7)


def test_photos_annotations_and_categories_belong_together():
    empty = predictions(image_id=3)
    made = coco_data_set(
        ["a.png", "b.png"], [PHOTO, empty], ("cat", "dog"), (5, 9), {"year": 1}
    )

    assert made["info"] == {"year": 1}
    assert made["images"] == [
        {"id": 7, "file_name": "a.png", "width": 64, "height": 48},
        {"id": 3, "file_name": "b.png", "width": 64, "height": 48},
    ]
    [annotation] = made["annotations"]
    assert annotation.pop("segmentation")["size"] == [48, 64]
    assert annotation == {
        "id": 1,
        "image_id": 7,
        "category_id": 9,
        "score": 0.75,
        "bbox": [4, 8, 16, 22],
        "area": 16 * 22,
        "iscrowd": 0,
    }
    assert made["categories"] == [{"id": 5, "name": "cat"}, {"id": 9, "name": "dog"}]


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(ValueError, match="longer"):
        coco_data_set([], [PHOTO], ("cat", "dog"), (5, 9), {})
    with pytest.raises(ValueError, match="expected labels in 1…1, got 2"):
        coco_data_set(["a.png"], [PHOTO], ("cat",), (5,), {})


# --- Matched by name ---------------------------------------------------------------


def val(*names: str, classes: Sequence[str] = ("cat", "dog")) -> Annotated:
    """Photos 1, 2, … of one row; on each is a cat, and on the first a dog, too."""
    none = torch.zeros(len(classes), dtype=torch.bool)
    images = [
        TaggedImage(id=i, name=name, tags=none, load=lambda: pytest.fail("read"))
        for i, name in enumerate(names, 1)
    ]
    objects = [(1, 3, 5), (2, 9, 12)]
    truths = [truth(*objects[: 3 - i], image=i) for i in range(1, len(names) + 1)]
    tagged = Tagged(name="val", classes=tuple(classes), images=images)
    return Annotated(tagged=tagged, truths=truths)


def by(*photos: str, classes: Sequence[str] = ("dog", "cat")) -> dict[str, Any]:
    """A data set of a cat on each photo, 1, 2, …, as wsis predict writes it."""
    label = list(classes).index("cat") + 1
    made = [found((0.5, label, 3, 5), image=i) for i in range(1, len(photos) + 1)]
    numbers = range(1, len(classes) + 1)
    return coco_data_set(photos, made, classes, numbers, {})


def labels_of(predictions: Sequence[Predictions]) -> dict[int, list[int]]:
    return {one.image_id: one.label.tolist() for one in predictions}


def test_names_decide_and_not_numbers() -> None:
    half = val("10.png", "2.png", "sub/3.png")
    made = by("2.png", "elsewhere/10.png", "C:\\photos\\3.png")

    for content in (made, results_of(made)):
        content = json.loads(json.dumps(content))
        predictions, measured = matched(content, half, (1, 2))
        label = measured.tagged.classes.index("cat") + 1
        assert labels_of(predictions) == {1: [label], 2: [label], 3: [label]}
        evaluation = evaluate(predictions, measured.truths, measured.tagged.classes)
        assert evaluation.per_class["cat"]["AP"] == pytest.approx(100)
        assert evaluation.per_class["dog"]["AP"] == 0


def test_predictions_that_knew_the_tags_are_told() -> None:
    made = by("2.png") | {"info": {TRUSTED: 1}}
    [result] = results_of(made)

    for content in (made, [result]):
        with pytest.warns(InputWarning, match="predicted with their tags known"):
            matched(content, val("2.png"), (1, 2))


def test_results_keep_the_keys_of_coco_and_add_names() -> None:
    [result, _] = results_of(by("a.png", "b.png"))

    assert result == {
        "image_id": 1,
        "category_id": 2,
        "segmentation": {"size": [1, 20], "counts": "32?"},
        "score": 0.5,
        "file_name": "a.png",
        "category": "cat",
    }


def test_folders_decide_between_photos_of_one_name() -> None:
    half = val("b/1.png", "a/1.png")

    predictions, _ = matched(by("photos/a/1.png"), val("a/1.png"), (1, 2))
    assert labels_of(predictions) == {1: [2]}
    with pytest.warns(InputWarning, match=r"1 of 2 photos are not in .*: b/1\.png"):
        predictions, _ = matched(by("photos/a/1.png"), half, (1, 2))
    assert labels_of(predictions) == {1: [], 2: [2]}
    with pytest.raises(ValueError, match=r"of 1 photos fit several photos: 1\.png"):
        matched(by("1.png"), half, (1, 2))
    with pytest.raises(ValueError, match=r"of 1 photos fit several photos: d/1\.png"):
        matched(by("c/1.png", "d/1.png"), val("1.png"), (1, 2))


def test_other_photos_and_classes_are_left_out_and_told() -> None:
    made = by("1.png", "other.png", classes=("cat", "ox"))
    half = val("1.png")

    with pytest.warns(InputWarning) as told:
        predictions, measured = matched(made, half, (1, 2))

    lacking, photos = (str(one.message) for one in told)
    assert "val lacks classes of the file of predictions (1): ox;" in lacking
    assert "1 of 2 photos with predictions are not in the data set" in photos
    assert measured.tagged.classes == ("cat", "ox")
    assert labels_of(predictions) == {1: [1]}
    with pytest.raises(ValueError, match=r"set .1\.png., got .* x\.png"):
        matched(by("x.png"), half, (1, 2))
    with (
        pytest.warns(InputWarning, match=r"1 predictions are of classes .*lacks .cat."),
    ):
        matched(results_of(by("1.png")), val("1.png", classes=("dog", "ox")), (1, 2))


def test_numbers_that_may_be_of_wsis_predict_are_told() -> None:
    result = a_result(category_id=1)

    with pytest.warns(InputWarning, match=r"give its predictions\.json"):
        matched([result, result | {"image_id": 2}], val("2.png", "10.png"), (1, 2))
    with pytest.warns(InputWarning, match=r"1 of 2 photos are not in .*: 2\.png; a li"):
        predictions, _ = matched([result], val("10.png", "2.png"), (1, 2))
    assert labels_of(predictions) == {1: [1], 2: []}


def test_photos_that_a_list_does_not_name_are_told() -> None:
    half = val("1.png", "2.png")
    told = r"1 of 2 photos are not in .*: 2\.png; a list of results does not tell"

    with pytest.warns(InputWarning, match=told):
        predictions, _ = matched(results_of(by("1.png")), half, (1, 2))
    assert labels_of(predictions) == {1: [1], 2: []}


def test_each_name_decides_where_results_have_one_alone() -> None:
    half, made = val("2.png", "1.png"), by("1.png", "2.png", classes=("cat", "dog"))
    [first, second] = results_of(made)
    results = [first, second | {"score": 0.4}]
    without = lambda key: [  # noqa: E731
        {k: v for k, v in one.items() if k != key} for one in results
    ]

    with pytest.warns(InputWarning, match=r"numbers of classes, .*\(1 cat, 2 dog\)"):
        predictions, _ = matched(without("category"), half, (1, 2))
    assert [one.score.tolist() for one in predictions] == [[pytest.approx(0.4)], [0.5]]
    predictions, _ = matched(without("category"), half, (5, 1))
    assert labels_of(predictions) == {1: [2], 2: [2]}
    with pytest.warns(InputWarning, match="results without file_name are read by"):
        predictions, _ = matched(without("file_name"), half, (7, 8))
    assert labels_of(predictions) == {1: [1], 2: [1]}
    with pytest.raises(ValueError, match=r"file_name in every .* 1 lack them: res.* 1"):
        matched([without("category")[0], a_result()], half, (1, 2))


def test_photos_that_have_changed_since_are_told(tmp_path) -> None:
    half = val("a.png", "b.png")
    paths = [tmp_path / one.name for one in half.tagged.images]
    for path in paths:
        path.write_bytes(path.name.encode())
    images = [
        replace(one, load=Reading(path, (1, 20), True))
        for one, path in zip(half.tagged.images, paths, strict=True)
    ]
    half = replace(half, tagged=replace(half.tagged, images=images))
    made = by("b.png", "a.png")
    for one in made["images"]:
        one["sha256"] = sha256(tmp_path / one["file_name"])

    matched(made, half, (1, 2))
    paths[0].write_bytes(b"another photo")
    with pytest.warns(InputWarning, match=r"have changed .* \(1 of 2\): a\.png; if"):
        matched(made, half, (1, 2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"annotations": []}, "it has no list of images, categories"),
        (by("1.png") | {"images": [{"id": 1}]}, "id and file_name in all images"),
        (by("1.png") | {"images": []}, r"annotations\[0\]: expected image_id and"),
        (by("1.png") | {"annotations": [3]}, r"annotations\[0\]: expected image_id"),
        (
            by("1.png") | {"annotations": [{"image_id": 1, "category_id": 2}]},
            r"annotations\[0\] has no score; is this a file of true objects",
        ),
        (
            by("1.png") | {"categories": [{"id": 2, "name": 2}]},
            "a name as name in all categories, got 2",
        ),
        ([*results_of(by("1.png")), {}], "1 lack them: results 1"),
    ],
)
def test_files_without_names_in_place_are_refused(content: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        matched(content, val("1.png"), (1, 2))


def test_all_damaged_results_are_counted() -> None:
    bad = a_result(score="high")

    with pytest.raises(
        ValueError, match=r"2 of 3 results are wrong: result 0: .*; res"
    ):
        from_coco([bad, a_result(), bad], [truth()], [7])


@pytest.mark.parametrize("kind", ["images", "categories"])
def test_ids_that_are_given_twice_are_refused(kind: str) -> None:
    made = by("1.png", "2.png")
    made[kind][1]["id"] = made[kind][0]["id"]

    with pytest.raises(
        ValueError, match=f"expected {kind} with different ids, got 1 twice"
    ):
        matched(made, val("1.png", "2.png"), (1, 2))


def test_names_are_one_in_any_unicode_form() -> None:
    made = by(normalize("NFD", "käfer.png"))

    predictions, _ = matched(made, val(normalize("NFC", "käfer.png")), (1, 2))

    assert labels_of(predictions) == {1: [2]}


def test_categories_of_one_name_are_one_class() -> None:
    made = by("1.png")
    made["categories"].append({"id": 3, "name": "CAT"})
    other = {"category_id": 3, "score": 0.4}
    made["annotations"].append(made["annotations"][0] | other)

    predictions, measured = matched(made, val("1.png"), (1, 2))

    assert measured.tagged.classes == ("dog", "CAT")
    assert labels_of(predictions) == {1: [2, 2]}


def test_photos_under_several_ids_are_told() -> None:
    made = by("1.png", "1.png")
    made["annotations"][1]["score"] = 0.4
    with pytest.warns(InputWarning, match=r"1 photos are listed under several ids"):
        predictions, _ = matched(made, val("1.png"), (1, 2))

    assert labels_of(predictions) == {1: [2, 2]}


def test_predictions_without_a_usable_mask_are_told() -> None:
    outside = {"segmentation": [[20, 5, 25, 5, 25, 9]]}
    nothing = {"segmentation": {"size": [1, 20], "counts": [20]}}
    results = [a_result(), a_result(**outside), a_result(**nothing)]

    with pytest.warns(InputWarning, match=r"2 of 3 predictions .*result 1: .*result 2"):
        from_coco(results, [truth((1, 3, 5))], [7])
    with pytest.warns(InputWarning, match="no predictions in the file"):
        matched([], val("1.png"), (1, 2))


@pytest.mark.parametrize(
    ("outlines", "message"),
    [
        (
            [[5, 5, 50, 5, 50, 30]],
            "2 outlines reach .*height those of.* result 0 .x fr",
        ),
        ([[-9, 5, 30, 5, 30, 9]], "2 outlines reach .*result 0 .x from -9 to 30, .*on"),
        ([[5, 5, 19, 5, 19, 30]], "2 outlines reach beyond .* x and y swapped, or"),
    ],
)
def test_outlines_beyond_their_photo_are_told(outlines: Any, message: str) -> None:
    size = (20, 40)
    objects = replace(truth((1, 0, 4)), size=size)
    rows = [a_result(segmentation=outlines, score=score) for score in (0.5, 0.4)]

    with pytest.warns(InputWarning, match=message):
        [found] = from_coco(rows, [objects], [7])

    assert all(0 < rle.area(mask) < 800 for mask in found.masks)


def test_outlines_in_percent_are_told() -> None:
    objects = replace(truth((1, 0, 4)), size=(480, 640))
    rows = [a_result(segmentation=[[5, 5, 90, 5, 90, 80]])]

    with pytest.warns(InputWarning, match="all 1 outlines lie .*percent of the photos"):
        from_coco(rows, [objects], [7])


@pytest.mark.parametrize("score", [10**400, True])
def test_scores_are_numbers_of_a_size_to_count_with(score: Any) -> None:
    with pytest.raises(ValueError, match="result 0: expected a finite score"):
        from_coco([a_result(score=score)], [truth((1, 3, 5))], [7])


def test_predictions_that_are_listed_twice_are_told() -> None:
    made = [a_result(), a_result(score=0.4), a_result(score=0.4)]

    with pytest.warns(InputWarning, match=r"1 of 3 .* listed before, .*: result 2;"):
        from_coco(made, [truth((1, 3, 5))], [7])


def test_predictions_on_photos_of_another_size_are_refused() -> None:
    made = by("a.png", "b.png")
    half = val("a.png", "b.png")
    [first, second] = made["images"]
    height, width = half.truths[1].size

    del first["width"]
    matched(made, half, (1, 2))
    second["width"] = 2 * width
    size = rf"b.png .{height} x {2 * width}, not {height} x {width}"
    with pytest.raises(ValueError, match=rf"1 photos are of another size .*{size}"):
        matched(made, half, (1, 2))
