import pytest

from tests.runs.refine.builders import predictions
from wsis.evaluation import coco_data_set

FOUND = predictions((2, 0.75, (4, 8, 20, 30)), image_id=7)


def test_photos_annotations_and_categories_belong_together():
    empty = predictions(image_id=3)
    made = coco_data_set(
        ["a.png", "b.png"], [FOUND, empty], ("cat", "dog"), (5, 9), {"year": 1}
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
        coco_data_set([], [FOUND], ("cat", "dog"), (5, 9), {})
    with pytest.raises(ValueError, match="expected labels in 1…1, got 2"):
        coco_data_set(["a.png"], [FOUND], ("cat",), (5,), {})
