import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from wsis._support.checks import InputWarning
from wsis.contracts import Annotated, DataSource, Tagged, TaggedImage, Traceable
from wsis.data.folder import FolderData
from wsis.data.images import Reading, readings
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
        ("file,x,y,class\nD.JPG,1,2,cat\n", r"no image 'D.JPG' \(did you .*'d.jpg'"),
        ("file,x,y,class\np/d.jpg,1,2,cat\n", r"no image 'p/d.jpg' .*'d.jpg'"),
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


HEAD = "file,x,y,class\n"


def test_fractions_are_no_pixels(tmp_path):
    text = HEAD + "a.jpg,0.5,0.25,cat\nd.jpg,1,0,cat\n"

    with pytest.raises(
        ValueError, match=r"all 2 points lie in \[0, 1\], as .*line 2: 0.5, 0.25"
    ):
        with_points(TAGGED, written(tmp_path / "points.csv", text))


def test_some_fractions_are_told(tmp_path):
    text = HEAD + "a.jpg,0.5,0.25,cat\nd.jpg,5,7,cat\nd.jpg,0,0,cat\n"

    with pytest.warns(InputWarning, match=r"first pixel.*\(1 of 3\): .*line 2"):
        with_points(TAGGED, written(tmp_path / "points.csv", text))
    text = HEAD + "a.jpg,1,.5,cat\nd.jpg,5,7,cat\nd.jpg,1,0,cat\n"
    with pytest.warns(InputWarning, match=r"first pixel.*\(1 of 3\): .*line 2"):
        with_points(TAGGED, written(tmp_path / "points.csv", text))


@pytest.mark.parametrize("form", ["csv", "json"])
def test_points_outside_their_photo_are_refused_together(tmp_path, form):
    if form == "csv":
        text = HEAD + "a.jpg,1,7,cat\na.jpg,10,7,cat\nd.jpg,120,2,cat\n"
    else:
        text = coco({"point": [1, 7]}, {"point": [10, 7]}, {"point": [120, 2]})
    file = written(tmp_path / f"points.{form}", text)

    with pytest.raises(ValueError, match=r"2 of 3 points are wrong") as raised:
        with_points(TAGGED, file)

    first, last = ("line 3", "line 4") if form == "csv" else ("[1]", "[2]")
    assert f"{first}: expected a point in its photo of 10 x 8" in str(raised.value)
    assert f"{last}: expected a point in its photo of 10 x 8" in str(raised.value)


def test_swapped_points_are_told(tmp_path):
    file = written(tmp_path / "points.csv", HEAD + "a.jpg,1,9,cat\n")

    with pytest.raises(ValueError, match="are x and y swapped or percent"):
        with_points(TAGGED, file)


def test_points_that_look_like_percent_are_told(tmp_path):
    large = partial(np.zeros, (480, 640, 3), np.uint8)
    photos = [replace(image, load=large) for image in TAGGED.images]
    lines = [f"d.jpg,{10 * i},{99 - 9 * i},cat\n" for i in range(5)]
    file = written(tmp_path / "points.csv", HEAD + "".join(lines))

    with pytest.warns(InputWarning, match="all 5 points .* percent"):
        with_points(replace(TAGGED, images=photos), file)


def test_the_size_is_that_of_the_header(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"never decoded")
    load = Reading(path, (8, 10), upright=True)
    photos = [replace(TAGGED.images[0], load=load)]
    file = written(tmp_path / "points.csv", HEAD + "a.jpg,9,8,cat\n")

    with pytest.raises(ValueError, match="10 x 8 pixels, got 9, 8"):
        with_points(replace(TAGGED, images=photos), file)


def test_all_that_the_data_set_lacks_is_named_together(tmp_path):
    text = HEAD + "z.jpg,1,2,cat\nd.jpg,1,2,dog\na.jpg,1,2,potted plant\n"

    with pytest.raises(
        ValueError,
        match=r"3 of 3 .*line 2: .*'z.jpg'.*; .*line 3: .*'dog'.*; .*line 4: .*not tag",
    ):
        with_points(TAGGED, written(tmp_path / "points.csv", text))


def test_names_match_in_either_unicode_form(tmp_path):
    image = replace(TAGGED.images[0], name="k\u00e4fer.jpg")
    file = written(tmp_path / "points.csv", HEAD + "ka\u0308fer.jpg,5,5,cat\n")

    [found] = with_points(replace(TAGGED, images=[image]), file).images

    assert found.points.xy.tolist() == [[5.0, 5.0]]


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
    assert isinstance(able, Traceable)
    assert isinstance(able, Pointed)
    assert not isinstance(plain, Traceable)

    class Mine(Pointed):
        pass

    assert type(Mine(source=Able(), file=tmp_path)) is Mine


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


def test_points_listed_twice_are_told(tmp_path):
    text = "file,x,y,class\na.jpg,1,2,cat\na.jpg,1.0,2,cat\n"

    with pytest.warns(InputWarning, match=r"before .*\(1\): .*line 3: a\.jpg, 1, 2"):
        with_points(TAGGED, written(tmp_path / "points.csv", text))


def test_columns_of_points_that_are_not_read_are_told(tmp_path):
    text = "file,x,y,class,Positive,id\na.jpg,1,2,cat,0,7\n"

    with pytest.warns(InputWarning, match=r"not read \(2\): id, positive; lines that"):
        with_points(TAGGED, written(tmp_path / "points.csv", text))


def test_points_of_photos_of_another_size_are_refused(tmp_path):
    read = Reading(tmp_path / "d.jpg", (16, 20), True)
    photos = [replace(one, load=read) for one in TAGGED.images]
    file = written(tmp_path / "points.json", coco({"point": [4, 2]}))

    with pytest.raises(ValueError, match=r"d\.jpg \(8 x 10 there, it has 16 x 20\)"):
        with_points(replace(TAGGED, images=photos), file)

    head = HEAD.strip() + ",Width,height\n"
    file = written(
        tmp_path / "points.csv", f"{head}a.jpg,4,2,cat,20,16\nd.jpg,4,2,cat,10,8\n"
    )
    message = (
        r"1 of 2 sizes .* line 3: d\.jpg \(8 x 10 there, it has 16 x 20\); .* Boxes"
    )
    with pytest.raises(ValueError, match=message):
        with_points(replace(TAGGED, images=photos), file)
    written(file, f"{head}a.jpg,4,2,cat,20,16\nd.jpg,4,2,cat,,\n")
    assert (
        with_points(replace(TAGGED, images=photos), file).images[2].points is not None
    )
    written(file, f"{head}a.jpg,4,2,cat,20,x\n")
    with pytest.raises(ValueError, match=r"line 2: expected numbers as .* 20 and x"):
        with_points(replace(TAGGED, images=photos), file)


def test_points_on_a_copy_say_which_photo_is_meant(tmp_path):
    draw = np.random.default_rng(0)
    for name, again in (("cat/a.png", "dog/b.png"), ("dog/c.png", "")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        photo = Pillow.fromarray(draw.integers(0, 255, (8, 10, 3)).astype(np.uint8))
        photo.save(tmp_path / name)
        if again:
            (tmp_path / "dog").mkdir()
            photo.save(tmp_path / again, compress_level=0)
    with pytest.warns(InputWarning, match=r"dog/b\.png is cat/a\.png"):
        tagged = FolderData(root=tmp_path).train()
    file = written(tmp_path / "p.csv", HEAD + "dog/b.png,1,5,dog\ndog/d.png,1,5,dog\n")

    message = (
        r"line 2: dog/b\.png is a copy of cat/a\.png, .* once: write cat/a\.png; "
        r".*no image 'dog/d\.png'"
    )
    with pytest.raises(ValueError, match=message):
        with_points(tagged, file)


def test_numbers_too_large_to_count_with_are_refused(tmp_path):
    file = written(tmp_path / "points.json", coco({"point": [10**400, 2]}))

    with pytest.raises(ValueError, match="expected x and y in pixels, at least 0"):
        with_points(TAGGED, file)


@pytest.mark.parametrize(
    ("orientation", "text", "told"),
    [
        (3, HEAD + "a.jpg,5,5,cat\n", True),
        (6, HEAD + "a.jpg,5,5,cat\n", True),
        (6, coco({"point": [5, 5]}).replace("d.jpg", "a.jpg"), True),
        (6, HEAD + "a.jpg,5,5,cat\na.jpg,5,9,cat\n", False),
        (1, HEAD + "a.jpg,5,5,cat\n", False),
    ],
)
def test_points_on_turned_photos_are_told(tmp_path, recwarn, orientation, text, told):
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    Pillow.new("RGB", (10, 8)).save(tmp_path / "a.jpg", exif=exif)
    [read] = readings(tmp_path, [("a.jpg", None)], upright=True)
    photo = replace(TAGGED.images[1], name="a.jpg", load=read)
    kind = "csv" if text.startswith(HEAD) else "json"

    with_points(
        replace(TAGGED, images=[photo]), written(tmp_path / f"points.{kind}", text)
    )

    said = [str(one.message) for one in recwarn]
    assert bool(said) == told
    assert not told or "1 photos with points are turned by EXIF data" in said[0]

    outside = written(tmp_path / "other.csv", HEAD + "a.jpg,9,5,cat\n")
    if orientation == 6:
        with pytest.raises(ValueError, match="EXIF data did not turn"):
            with_points(replace(TAGGED, images=[photo]), outside)
