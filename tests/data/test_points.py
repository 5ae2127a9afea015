import json
from functools import partial

import numpy as np
import pytest
import torch

from wsis.contracts import Annotated, DataSource, Tagged, TaggedImage
from wsis.data.points import Pointed, with_points


def images(*names):
    """Images of a cat, and of a potted plant but the first."""
    return Tagged(
        name="drawn",
        classes=("cat", "potted plant"),
        images=[
            TaggedImage(
                id=i,
                name=name,
                tags=torch.tensor([True, i > 0]),
                load=partial(np.zeros, (8, 10, 3), np.uint8),
            )
            for i, name in enumerate(names)
        ],
    )


TAGGED = images("a.jpg", "b, c.jpg", "d.jpg")


def written(path, text):
    path.write_text(text)
    return path


def coco(*annotations):
    return json.dumps(
        {
            "images": [{"id": 7, "file_name": "d.jpg", "width": 10, "height": 8}],
            "annotations": [
                {"image_id": 7, "category_id": 3, **one} for one in annotations
            ],
            "categories": [{"id": 3, "name": "Potted-Plant"}],
        }
    )


def test_a_csv_gives_its_images_points_in_order_and_leaves_the_others_without(tmp_path):
    file = written(
        tmp_path / "points.csv",
        "\ufefffile,x,y,class\n"
        "d.jpg,3.5,4,cat\n"
        '"b, c.jpg", 9, 0, Potted_Plant\n'
        "d.jpg,1,2,potted plant\n",
    )

    first, second, third = with_points(TAGGED, file).images

    assert first.points is None
    assert second.points.xy.tolist() == [[9.0, 0.0]]
    assert second.points.label.tolist() == [2]
    assert third.points.xy.tolist() == [[3.5, 4.0], [1.0, 2.0]]
    assert third.points.label.tolist() == [1, 2]
    assert third.tags.tolist() == [True, True]


def test_a_json_in_cocos_format_does_too(tmp_path):
    file = written(
        tmp_path / "points.json", coco({"point": [1, 2.5]}, {"point": [4, 3]})
    )

    *others, last = with_points(TAGGED, file).images

    assert [image.points for image in others] == [None, None]
    assert last.points.xy.tolist() == [[1.0, 2.5], [4.0, 3.0]]
    assert last.points.label.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,x,y\nd.jpg,1,2\n", "the columns file,x,y,class .*got 'file,x,y'"),
        ("", "the columns file,x,y,class .*got ''"),
        ("file,x,y,class\n", "has none"),
        ("file,x,y,class\nd.jpg,1,2\n", "line 2: expected file,x,y,class"),
        ("file,x,y,class\nd.jpeg,1,2,cat\n", r"line 2.*no image 'd.jpeg'.*'d.jpg'"),
        ("file,x,y,class\nd.jpg,1,2,cta\n", r"line 2.*'cta' \(did you mean 'cat'"),
        ("file,x,y,class\nd.jpg,one,2,cat\n", "line 2.*in pixels.*'one'"),
        ("file,x,y,class\nd.jpg,-1,2,cat\n", "line 2.*at least 0.*'-1'"),
        ("file,x,y,class\nd.jpg,nan,2,cat\n", "line 2.*in pixels"),
        ("file,x,y,class\na.jpg,1,2,potted plant\n", "line 2.*not tagged"),
        ('file,x,y,class\n"d.jpg,1,2,cat\n', "after line 1: expected CSV.*quote"),
    ],
)
def test_wrong_files_are_refused_by_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        with_points(TAGGED, written(tmp_path / "points.csv", text))


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ({}, r'annotations\[0\]: expected "point": \[x, y\], got null'),
        ({"point": [1]}, "expected"),
        ({"point": [None, 2]}, "in pixels.*None"),
    ],
)
def test_wrong_annotations_are_refused(tmp_path, annotation, message):
    with pytest.raises(ValueError, match=message):
        with_points(TAGGED, written(tmp_path / "points.json", coco(annotation)))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no"):
        with_points(TAGGED, tmp_path / "points.csv")
    with pytest.raises(ValueError, match=r"\.csv or \.json"):
        with_points(TAGGED, written(tmp_path / "points.txt", ""))


def test_other_abilities_are_those_of_the_data_set(tmp_path):
    class Plain:
        def train(self):
            return TAGGED

        def val(self):
            return None

    class Able(Plain):
        def category_ids(self):
            return 5, 9

        def train_truths(self):
            return []

    plain, able = (Pointed(source=one(), file=tmp_path) for one in (Plain, Able))

    assert plain.val() is None
    assert plain.category_ids() == (1, 2)
    assert able.category_ids() == (5, 9)
    assert able.train_truths() == []
    with pytest.raises(ValueError, match=r"Plain has none \(train_truths\)"):
        plain.train_truths()


def test_only_the_training_half_is_pointed_at(tmp_path):
    class Drawn:
        def train(self):
            return TAGGED

        def val(self):
            return Annotated(tagged=TAGGED, truths=[])

    file = written(tmp_path / "points.csv", "file,x,y,class\nd.jpg,1,2,cat\n")

    pointed = Pointed(source=Drawn(), file=file)

    assert isinstance(pointed, DataSource)
    assert pointed.train().images[2].points is not None
    assert pointed.val().tagged.images[2].points is None
