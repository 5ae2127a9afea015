import json
import shutil

import numpy as np
import pytest
from PIL import Image as Pillow

from wsis import InputWarning
from wsis.data import images_in, known_tags

CLASSES = ("cat", "dog", "Polar bear")


@pytest.fixture
def root(tmp_path):
    """Photos in cat/, dog/deeper/, polar-bear/ and new/, each of its own pixels."""
    names = ("cat/a", "cat/same", "dog/deeper/b", "polar-bear/c", "new/d")
    for i, name in enumerate(names):
        path = tmp_path / "root" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw = np.random.default_rng(i)
        Pillow.fromarray(draw.integers(0, 255, (8, 9, 3), np.uint8)).save(path)
    return tmp_path / "root"


def tags(*given, source=None):
    """The tags of photos by file name; those of none are None."""
    photos = images_in(given)
    known = known_tags(photos, given, CLASSES, source)
    named = zip(photos, known.of, strict=True)
    return {one.name: None if some is None else set(some) for one, some in named}


def table(folder, *rows, name="tags.csv"):
    path = folder / name
    path.write_text("\n".join(("file,tags", *rows)), encoding="utf-8")
    return path


@pytest.mark.parametrize("above", [False, True])
def test_folders_named_as_classes_tag_their_photos(root, above):
    assert tags(root.parent if above else root) == {
        "a.png": {"cat"},
        "same.png": {"cat"},
        "b.png": {"dog"},
        "c.png": {"Polar bear"},
        "d.png": None,
    }


@pytest.mark.parametrize("listed", [False, True])
def test_background_allows_no_class(root, listed):
    (root / "new").rename(root / "background")
    if listed:
        table(root, "background/d.png,background", "cat/a.png,cat")

    assert tags(root)["d.png"] == set()
    assert tags(root)["a.png"] == {"cat"}


def test_a_folder_called_background_is_one_beside_those_of_classes_alone(root):
    (root / "new").rename(root / "background")
    place = root / "background"
    (place / "cat").mkdir()
    shutil.copy(root / "dog/deeper/b.png", place / "cat/e.png")

    assert tags(place) == {"d.png": None, "e.png": {"cat"}}


def test_a_folder_itself_a_file_and_a_pattern_have_the_same_tags(root):
    assert tags(root / "dog") == {"b.png": {"dog"}}
    assert tags(root / "cat/a.png") == {"a.png": {"cat"}}
    assert tags(root / "*" / "[ad].png") == {"a.png": {"cat"}, "d.png": None}
    assert tags(root / "new") == {"d.png": None}


def test_a_photo_in_two_folders_has_both_tags(root):
    shutil.copy(root / "cat/same.png", root / "dog/other.png")
    Pillow.open(root / "cat/a.png").save(root / "polar-bear/again.bmp")

    for given in ([root / "cat"], [root]):
        found = tags(*given)
        assert found["same.png"] == {"cat", "dog"}
        assert found["a.png"] == {"cat", "Polar bear"}


def test_a_photo_in_folders_of_several_tags_is_told_once(root):
    shutil.copy(root / "cat/same.png", root / "dog/other.png")
    shutil.copy(root / "cat/same.png", root / "new/copy.png")
    photos = images_in([root])

    assert known_tags(photos, [root], CLASSES).again == {
        root / "dog/other.png": root / "cat/same.png"
    }
    rows = table(root.parent, *(f"{one},cat" for one in photos), name="all.csv")
    assert known_tags(photos, [root], CLASSES, rows).again == {}


def test_links_have_the_tags_of_all_their_folders(root):
    (root / "dog/link.png").symlink_to(root / "cat/a.png")

    with pytest.warns(InputWarning, match="links to other photos"):
        assert tags(root)["a.png"] == {"cat", "dog"}


def test_the_nearest_table_that_lists_a_photo_decides(root):
    table(root, "cat/a.png,dog; cat", "new/d.png,POLAR_BEAR", "gone.png,cat")
    table(root / "cat", "same.png,", name="Tags.CSV")

    for given in ([root], [root / "cat", root / "new", root / "dog"]):
        with pytest.warns(InputWarning, match=r"photos that are not .*: gone\.png; "):
            found = tags(*given)
        assert found["a.png"] == {"cat", "dog"}
        assert found["d.png"] == {"Polar bear"}
        assert found["same.png"] is None  # listed without a tag: not tagged
        assert found["b.png"] == {"dog"}


def test_a_table_that_cannot_be_read_is_refused_or_left_out(root):
    (root / "tags.csv").write_text("name,what\na,b\n")

    with pytest.raises(ValueError, match="expected the columns file,tags"):
        tags(root)
    with pytest.warns(InputWarning, match="the tags in .*root are not used"):
        assert tags(root / "cat")["a.png"] == {"cat"}


def test_tags_that_are_no_class_allow_nothing_and_are_told(root):
    table(root, "cat/a.png,horse", "new/d.png,cat|dog")

    with pytest.warns(InputWarning, match=r"\(2\): cat\|dog .*horse|horse .*cat\|dog"):
        found = tags(root)
    assert found["a.png"] == found["d.png"] == set()


def test_tags_are_given_as_table_json_or_folder(root, tmp_path):
    there = tmp_path / "elsewhere"
    there.mkdir()
    csv = table(there, "new/d.png,dog", "x/a.png,cat", name="mine.csv")
    content = {
        "images": [
            {"id": 1, "file_name": "d.png", "width": 9, "height": 8},
            {"id": 2, "file_name": "c.png", "width": 9, "height": 8},
        ],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 7}],
        "categories": [{"id": 7, "name": "Cat"}],
    }
    (there / "tags.json").write_text(json.dumps(content))

    found = tags(root, source=csv)
    assert (found["d.png"], found["a.png"], found["b.png"]) == ({"dog"}, {"cat"}, None)
    found = tags(root, source=there / "tags.json")
    assert (found["d.png"], found["c.png"]) == ({"cat"}, None)
    shutil.copy(root / "dog/deeper/b.png", there)
    assert tags(there / "b.png", source=root) == {"b.png": {"dog"}}
    with pytest.raises(FileNotFoundError, match="expected tags, there is no"):
        tags(root, source=there / "none.csv")
    with pytest.raises(ValueError, match="it has none of 1"):
        tags(root / "dog", source=csv)


def test_predictions_are_no_tags(root, tmp_path):
    box = [0, 0, 4, 4]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 6}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": box, "score": 0.1}
        ],
    }
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps(content))

    with pytest.raises(ValueError, match=r"predictions\.json, its .* have scores"):
        tags(root, source=path)


def test_tags_may_count_unless_a_class_has_that_name(root):
    table(root, "cat/a.png,dog:2;CAT", "new/d.png,dog:1;Polar bear:3")
    photos = images_in([root / "cat/a.png", root / "new/d.png"])

    known = known_tags(photos, [root], CLASSES)
    assert list(known.of) == [{"cat", "dog"}, {"dog", "Polar bear"}]
    assert list(known.counts) == [{"dog": 2}, {"dog": 1, "Polar bear": 3}]

    known = known_tags(photos, [root], (*CLASSES, "dog:2"))
    assert known.of[0] == {"cat", "dog:2"}
    assert list(known.counts) == [{}, {"dog": 1, "Polar bear": 3}]


def test_single_counts_one_of_each_tag_and_refuses_more(root):
    table(root, "cat/a.png,dog;CAT")
    photos = images_in([root / "cat/a.png", root / "new/d.png"])

    known = known_tags(photos, [root], CLASSES, single=True)
    assert list(known.counts) == [{"cat": 1, "dog": 1}, {}]

    table(root, "cat/a.png,dog:2;CAT")
    with pytest.raises(ValueError, match=r"on 1: .*a\.png \(dog 2\); leave one"):
        known_tags(photos, [root], CLASSES, single=True)


def test_rows_of_a_table_are_matched_in_either_unicode_form_or_told(root, tmp_path):
    (root / "new/d.png").rename(root / "new/k\u00e4fer.png")
    file = table(tmp_path, "new/ka\u0308fer.png,dog", name="full.csv")
    short = table(tmp_path, "ka\u0308fer.png,dog", "a.PNG,cat", name="short.csv")

    assert tags(root, source=file)["k\u00e4fer.png"] == {"dog"}
    told = r"short\.csv: tags of photos that are not .* \(1\): a\.PNG; .* \(4\): "
    with pytest.warns(InputWarning, match=told):
        assert tags(root, source=short)["k\u00e4fer.png"] == {"dog"}
