import pytest

from tests.proposals.jobs import pixels
from wsis.geometry.masks import empty
from wsis.proposals.importers import Found, matched
from wsis.proposals.making import Photo


def photos(*names, numbers=None):
    numbers = numbers or [None] * len(names)
    return [
        Photo(name=name, load=pixels, number=number)
        for name, number in zip(names, numbers, strict=True)
    ]


def found(*names):
    return [Found(photo=name, read=empty) for name in names]


def pairs(matches):
    return {photo.name: one.photo for photo, one in matches.pairs}


def test_by_name_with_or_without_suffix_or_folder():
    matches = matched(
        found("b.jpg", "a", "train2014/c.jpg", "x"),
        photos("a.jpg", "b.jpg", "c.jpg", "d.jpg"),
    )

    assert pairs(matches) == {
        "a.jpg": "a",
        "b.jpg": "b.jpg",
        "c.jpg": "train2014/c.jpg",
    }
    assert list(pairs(matches)) == ["a.jpg", "b.jpg", "c.jpg"]
    assert matches.photos == ["d.jpg"]
    assert matches.found == ["x"]


def test_by_number_of_the_name_or_of_the_data_set():
    names = ("COCO_val2014_000000000042.jpg", "000000000007.jpg")

    assert pairs(matched(found("42", "7"), photos(*names))) == {
        names[0]: "42",
        names[1]: "7",
    }
    numbered = photos("7.jpg", "8.jpg", numbers=[8, 7])
    # A name counts before a number.
    assert pairs(matched(found("9", "8"), photos("x9.jpg", "8.jpg"))) == {
        "x9.jpg": "9",
        "8.jpg": "8",
    }
    assert pairs(matched(found("8.jpg"), numbered)) == {"8.jpg": "8.jpg"}


def test_what_matches_twice_or_never_is_refused():
    with pytest.raises(ValueError, match=r"of '3' match several photos: a3\.jpg, b3"):
        matched(found("3"), photos("a3.jpg", "b3.jpg"))
    with pytest.raises(ValueError, match=r"of 'a' and of 'a\.jpg' both match a\.jpg"):
        matched(found("a", "a.jpg"), photos("a.jpg"))
    with pytest.raises(ValueError, match=r"1 photos \(a\.jpg\); those found are of b"):
        matched(found("b"), photos("a.jpg"))
