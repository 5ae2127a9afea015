import json

import pytest

from wsis import InputWarning
from wsis.data.annotations import AnnotationFile, UnknownClassError, classes_in
from wsis.data.names import VOC_CLASSES

CONTENT = {
    "images": [{"id": 7, "file_name": "a.jpg", "width": 6, "height": 4}],
    "annotations": [{"image_id": 7, "category_id": 3}],
    "categories": [{"id": 5, "name": "cat"}, {"id": 3, "name": "Dining-Table"}],
}


def written(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    return path


def changed(**changes):
    return CONTENT | changes


def test_all_classes_are_in_order_of_their_id(tmp_path):
    file = AnnotationFile.read(written(tmp_path, CONTENT))

    assert file.names("all") == ("Dining-Table", "cat")
    assert file.labels("all") == {3: 1, 5: 2}


@pytest.mark.parametrize(
    ("classes", "labels"),
    [
        ("cat", {5: 1}),
        ("CAT, dining_table", {5: 1, 3: 2}),
        (("dining table",), {3: 1}),
    ],
)
def test_names_match_whatever_their_case_and_dashes(tmp_path, classes, labels):
    file = AnnotationFile.read(written(tmp_path, CONTENT))

    assert file.labels(classes) == labels


def test_voc_are_twenty_classes_in_its_order(tmp_path):
    names = sorted(VOC_CLASSES, reverse=True)
    categories = [
        {"id": 10 * i, "name": name.replace(" ", "-")} for i, name in enumerate(names)
    ]
    content = changed(categories=categories, annotations=[])

    labels = AnnotationFile.read(written(tmp_path, content)).labels("voc")

    assert len(VOC_CLASSES) == 20
    assert [names[number // 10] for number in labels] == list(VOC_CLASSES)


def test_wrong_names_list_the_right_ones(tmp_path):
    file = AnnotationFile.read(written(tmp_path, CONTENT))

    with pytest.raises(UnknownClassError, match=r"'cta' \(did you mean 'cat'\?\)"):
        file.labels("cta")
    with pytest.raises(UnknownClassError, match="its classes are: Dining-Table, cat"):
        file.labels("voc")


@pytest.mark.parametrize(
    ("classes", "message"), [("cat,Cat", "'Cat' twice"), ((), "expected classes")]
)
def test_classes_are_chosen_once_and_at_least_one(tmp_path, classes, message):
    with pytest.raises(ValueError, match=message):
        AnnotationFile.read(written(tmp_path, CONTENT)).labels(classes)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no .*gone\.json"):
        AnnotationFile.read(tmp_path / "gone.json")
    with pytest.raises(ValueError, match="is a folder"):
        AnnotationFile.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [(b"", "is empty"), (b"{", "is not JSON"), (b"\xff\xfe{", "is not JSON")],
)
def test_files_that_are_not_json_are_refused(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_bytes(text)

    with pytest.raises(ValueError, match=rf"a\.json {message}"):
        AnnotationFile.read(path)


IMAGE = CONTENT["images"][0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "lacks images, annotations, categories"),
        ({"images": [], "annotations": []}, "lacks categories"),
        (changed(images={}), "expected images to be a list"),
        (changed(images=[]), "expected images, got an empty list"),
        (changed(categories=[]), "expected categories, got an empty list"),
        (changed(images=[{"id": 7}]), r"images\[0\].*lacks file_name, width, height"),
        (changed(annotations=[{}]), r"annotations\[0\].*lacks image_id, category_id"),
        (changed(annotations=[3]), r"annotations\[0\] to be an object"),
        (changed(images=[IMAGE, IMAGE]), "image id 7 is repeated"),
        (changed(images=[IMAGE | {"id": "7"}]), "image ids, got '7'"),
        (changed(images=[IMAGE | {"id": 7.0}]), "image ids, got 7.0"),
        (changed(images=[IMAGE | {"id": True}]), "image ids, got True"),
        (
            changed(images=[IMAGE | {"width": 0}]),
            "a width in whole pixels, got 4 and 0",
        ),
        (changed(images=[IMAGE | {"file_name": None}]), "a file name, got None"),
        (
            changed(annotations=[{"image_id": 8, "category_id": 3}]),
            r"annotations\[0\] has image_id 8",
        ),
        (
            changed(annotations=[{"image_id": [7], "category_id": 3}]),
            r"expected a whole number as image_id in annotations\[0\], got \[7\]",
        ),
        (
            changed(annotations=[{"image_id": 7, "category_id": 9}]),
            r"annotations\[0\] has category_id 9",
        ),
        (
            changed(categories=[{"id": 3, "name": "a"}, {"id": 3, "name": "b"}]),
            "category id 3 is repeated",
        ),
        *(
            (changed(categories=[{"id": 3, "name": name}]), "one line of visible text")
            for name in ("", " \u00a0", "\u200b", "a\nb", "a\x00")
        ),
        (
            changed(
                categories=[{"id": 3, "name": "a b"}, {"id": 5, "name": "A_b"}],
                annotations=[{"image_id": 7, "category_id": n} for n in (3, 5)],
            ),
            "category name 'A_b' is repeated: 3 and 5 both have objects",
        ),
    ],
)
def test_files_in_another_format_are_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=rf"a\.json: .*{message}"):
        AnnotationFile.read(written(tmp_path, content))


SHAPES = {"id": 0, "name": "shapes", "supercategory": "none"}
DISC = {"id": 4, "name": "disc", "supercategory": "shapes"}
SQUARE = {"id": 2, "name": "square", "supercategory": "Shapes"}


@pytest.mark.parametrize(
    ("categories", "used", "classes"),
    [
        # A root that an exporter prepends is no class, until it has objects.
        ([SHAPES, DISC, SQUARE], (2, 4), {"square": 2, "disc": 4}),
        ([SHAPES, DISC, SQUARE], (0, 2), {"shapes": 0, "square": 2, "disc": 4}),
        # A class may be its own supercategory, as COCO's person is.
        ([SHAPES | {"supercategory": "shapes"}], (), {"shapes": 0}),
        # Of two of a name, the one with objects is the class.
        ([SHAPES | {"name": "Disc"}, DISC, SQUARE], (4,), {"square": 2, "disc": 4}),
        ([SHAPES | {"name": "Disc"}, DISC], (), {"Disc": 0}),
    ],
)
def test_a_category_without_objects_may_be_no_class(
    tmp_path, categories, used, classes
):
    found = [{"image_id": 7, "category_id": number} for number in used]
    content = changed(categories=categories, annotations=found)

    assert AnnotationFile.read(written(tmp_path, content)).categories == classes


@pytest.mark.parametrize("number", [-1, 2**53 + 1, 2**100])
def test_any_whole_number_is_a_number(tmp_path, number):
    content = {
        "images": [IMAGE | {"id": number}],
        "annotations": [{"image_id": number, "category_id": number, "id": "any"}],
        "categories": [{"id": number, "name": "cat"}],
    }

    file = AnnotationFile.read(written(tmp_path, content))

    assert file.labels("all") == {number: 1}


def test_a_photo_under_two_ids_is_told(tmp_path):
    content = changed(images=[IMAGE, IMAGE | {"id": 8}])

    with pytest.warns(InputWarning, match=r"1 photos .* under several ids.*: a\.jpg"):
        AnnotationFile.read(written(tmp_path, content))


def test_some_classes_may_be_lacking_but_not_all(tmp_path):
    file = AnnotationFile.read(written(tmp_path, CONTENT))

    assert file.known("CAT, sheep") == ("CAT",)
    assert file.known(("cut", "Dining-Table")) == ("Dining-Table",)
    with pytest.raises(UnknownClassError, match="no class 'sheep'"):
        file.known("sheep,cow")
    with pytest.raises(UnknownClassError, match=r"'cut' .did you mean 'cat'"):
        file.known("cut,dining table")


NAMES = ("dog", "traffic light", "cat, grey", 'the "cat"')


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("dog", ["dog"]),
        ("Traffic_Light, DOG", ["traffic light", "dog"]),
        ("cat, grey", ["cat, grey"]),
        ('dog, "cat, grey"', ["dog", "cat, grey"]),
        ('the "cat"', ['the "cat"']),
    ],
)
def test_classes_are_named_in_a_text(tmp_path, text, found):
    assert classes_in(text, NAMES) == found

    categories = [{"id": i, "name": name} for i, name in enumerate(NAMES)]
    file = AnnotationFile.read(written(tmp_path, {**CONTENT, "categories": categories}))
    assert [NAMES[number] for number in file.labels(text)] == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected names of classes, got ''; the classes are: dog"),
        (" , ", "expected names of classes"),
        ("dog,", "there is no class ''"),
        ("dogs", r"there is no class 'dogs' \(did you mean 'dog'"),
    ],
)
def test_texts_that_name_no_class_are_refused(text, said):
    with pytest.raises(UnknownClassError, match=said):
        classes_in(text, NAMES)
