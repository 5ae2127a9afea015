import pytest

from tests.proposals.jobs import pixels
from wsis._support.checks import InputWarning
from wsis._support.files import sha256
from wsis.geometry.masks import empty
from wsis.proposals.importers import Found, matched
from wsis.proposals.making import Photo, file_photo


def photos(*names, numbers=None):
    numbers = numbers or [None] * len(names)
    return [
        Photo(name=name, load=pixels, number=number)
        for name, number in zip(names, numbers, strict=True)
    ]


def found(*names, numbered=False):
    return [Found(photo=name, read=empty, numbered=numbered) for name in names]


def pairs(matches):
    return {photo.name: one.photo for photo, one in matches}


def test_by_name_with_or_without_suffix_or_folder():
    wanted = found("b.jpg", "a", "train2014/c.jpg", "x", "y", "z", "w")
    with pytest.warns(InputWarning) as told:
        matches = matched(wanted, photos("a.jpg", "b.jpg", "c.jpg", "d.jpg"))

    assert pairs(matches) == {
        "a.jpg": "a",
        "b.jpg": "b.jpg",
        "c.jpg": "train2014/c.jpg",
    }
    assert list(pairs(matches)) == ["a.jpg", "b.jpg", "c.jpg"]
    assert [str(one.message) for one in told] == [
        "left out: 1 photos without proposals (d.jpg)",
        "left out: 4 proposals without a photo (x, y, z, …)",
    ]


def test_photos_that_have_changed_since_are_told(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"a photo")
    same = [Found(photo="a.png", read=empty, sha256=sha256(path))]

    matched(same, [file_photo(path)])
    path.write_bytes(b"another")
    with pytest.warns(InputWarning, match=r"have changed since .* \(1 of 1\): a\.png"):
        matched(same, [file_photo(path)])


def test_a_path_counts_before_a_name_and_a_name_before_its_stem():
    nested = photos("1.jpg", "sub/1.jpg", "sub/1.png")

    assert pairs(matched(found("1.jpg", "sub/1.jpg", "sub/1.png"), nested)) == {
        "1.jpg": "1.jpg",
        "sub/1.jpg": "sub/1.jpg",
        "sub/1.png": "sub/1.png",
    }


def test_dots_in_a_name_are_no_suffix():
    with pytest.raises(ValueError, match=r"those found are of a\.b"):
        matched(found("a.b"), photos("a.jpg"))
    assert pairs(matched(found("a.b"), photos("a.b.jpg"))) == {"a.b.jpg": "a.b"}


def test_another_suffix_is_told():
    with pytest.warns(InputWarning, match=r"1 photos .* another suffix \(a\.png\)"):
        matches = matched(found("a.png"), photos("a.jpg"))

    assert pairs(matches) == {"a.jpg": "a.png"}


def test_the_digits_of_a_name_are_a_number_which_is_told():
    names = ("COCO_val2014_000000000042.jpg", "000000000007.jpg")

    for numbered in (False, True):
        with pytest.warns(InputWarning, match="2 photos are matched by the digits of"):
            matches = matched(found("42", "7", numbered=numbered), photos(*names))
        assert pairs(matches) == {names[0]: "42", names[1]: "7"}
    with pytest.warns(InputWarning, match=r"1 photos are .* gives their numbers \(x9"):
        assert pairs(matched(found("9", "8"), photos("x9.jpg", "8.jpg"))) == {
            "x9.jpg": "9",
            "8.jpg": "8",
        }


def test_the_numbers_of_the_data_set_decide_what_is_known_by_number_alone():
    """Case 09: the photos' names are the numbers of other photos."""
    numbers = [2, 3, 4, 5, 6, 1]
    named = photos(*(f"{i}.png" for i in range(1, 7)), numbers=numbers)

    matches = matched(found(*map(str, numbers), numbered=True), named)

    assert pairs(matches) == {f"{i + 1}.png": str(n) for i, n in enumerate(numbers)}
    with pytest.raises(ValueError, match="those found are of 7"):
        matched(found("7", numbered=True), photos("7.png", numbers=[8]))


def test_a_file_named_as_its_photo_is_its_though_the_number_is_anothers():
    numbered = photos("7.jpg", "8.jpg", numbers=[8, 7])

    with pytest.warns(InputWarning, match=r"2 photos .* to others \(8 is 8.jpg, 7 is"):
        matches = matched(found("8", "7"), numbered)

    assert pairs(matches) == {"8.jpg": "8", "7.jpg": "7"}


def test_what_matches_twice_or_never_is_refused():
    for alone in (False, True):
        with pytest.raises(
            ValueError, match=r"of '3' match several photos: a3\.jpg, b3.*--val a file"
        ):
            matched(found("3", numbered=alone), photos("a3.jpg", "b3.jpg"))
    with pytest.raises(ValueError, match=r"of 'a' and of 'a\.jpg' both match a\.jpg"):
        matched(found("a", "a.jpg"), photos("a.jpg"))
    with pytest.raises(ValueError, match=r"1 photos \(a\.jpg\); those found are of b"):
        matched(found("b"), photos("a.jpg"))


def test_names_in_any_unicode_form_and_with_windows_folders():
    matches = matched(
        found("ka\u0308fer.png", "x\\b.png"), photos("k\u00e4fer.png", "b.png")
    )

    assert list(pairs(matches)) == ["k\u00e4fer.png", "b.png"]
