import warnings
from dataclasses import replace

import pytest
import torch

from wsis import InputWarning
from wsis.contracts import Annotated, GroundTruth, Points, Tagged, TaggedImage
from wsis.data.halves import (
    for_classes,
    summary,
    tagged_for,
    tell_repeated,
    tell_shared,
    tell_untagged,
)


def photo(name, *tags):
    load = lambda: pytest.fail("a photo was read")  # noqa: E731
    return TaggedImage(id=1, name=name, tags=torch.tensor(tags, dtype=bool), load=load)


def half(classes, *images):
    return Tagged(name="mine", classes=classes, images=images)


def of_labels(*labels):
    """An object of each class, of as many pixels as its label."""
    return GroundTruth(
        image_id=1,
        size=(1, 9),
        label=torch.tensor(labels),
        masks=[{"size": [1, 9], "counts": b"%d" % label} for label in labels],
        ignore=torch.tensor([label == 3 for label in labels]),
        area=torch.tensor(labels, dtype=torch.float32),
    )


def test_classes_are_matched_by_name():
    tagged = half(("Dog", "traffic_light"), photo("a", 1, 0), photo("b", 1, 1))
    annotated = Annotated(tagged=tagged, truths=[of_labels(1), of_labels(2, 1)])

    found = for_classes(annotated, ("traffic light", "dog"), "the run")

    assert found.tagged.classes == ("traffic light", "dog")
    assert [one.tags.tolist() for one in found.tagged.images] == [
        [False, True],
        [True, True],
    ]
    assert [truth.label.tolist() for truth in found.truths] == [[2], [1, 2]]
    assert for_classes(annotated, tagged.classes, "the run") is annotated


def test_classes_that_only_one_side_has_are_told():
    tagged = half(("ox", "dog", "cow", "cat"), photo("a", 1, 1, 0, 0))
    annotated = Annotated(tagged=tagged, truths=[of_labels(1, 2, 3)])

    with pytest.warns(InputWarning) as told:
        found = for_classes(annotated, ("sheep", "dog"), "the run")

    lacking, further = (str(one.message) for one in told)
    assert "mine lacks classes of the run (1): sheep;" in lacking
    # Nothing is tagged with the cow and the cat: nothing is left out of them.
    assert "1 classes that the run lacks" in further
    assert further.endswith("left out: ox (on 1 photos)")
    [truth] = found.truths
    assert truth.label.tolist() == [2]
    assert truth.area.tolist() == [2]
    assert truth.masks == [{"size": [1, 9], "counts": b"2"}]
    assert found.tagged.images[0].tags.tolist() == [False, True]


def test_data_without_one_class_are_refused():
    with pytest.raises(ValueError, match="classes of the run, cat, ox; mine has dog"):
        tagged_for(half(("dog",), photo("a", 1)), ("cat", "ox"), "the run")


def test_classes_that_nobody_tagged_are_named():
    classes = ("a", "b", "c", "d", "e")

    one, other = photo("a", 1, 0, 0, 0, 0), photo("b", 1, 0, 0, 0, 0)
    with pytest.warns(InputWarning, match=r"tagged b, c, d, …: nothing teaches 4 of 5"):
        tell_untagged(half(classes, one, other, photo("c", *5 * [0])))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tell_untagged(half(("a", "b"), photo("a", 1, 0), photo("b", 0, 1)))


def test_a_single_tagged_photo_is_told():
    with pytest.warns(InputWarning, match="mine has a single photo with tags, a:"):
        tell_untagged(half(("x",), photo("a", 1), photo("b", 0)))


def test_one_photo_with_different_tags_is_told():
    images = [photo("a", 1, 0), photo("b", 0, 1), photo("c", 0, 1), photo("d", 0, 1)]

    with pytest.warns(InputWarning, match=r"1 training photos .* tags: a and c;"):
        tell_repeated(images, ["x", "y", "x", "y"])


def test_photos_in_both_halves_are_counted():
    images = [photo("a", 1), photo("b", 1), photo("c", 1)]

    with pytest.warns(InputWarning, match=r"2 of 3 held-out photos .* pixels\): a, c;"):
        assert tell_shared(images, ["x", "y", "z"], ["z", "x", "w"], "held-out") == 2
    assert tell_shared(images, ["x", "y", "z"], ["w"]) == 0


def test_training_data_are_described_in_one_line():
    images = [
        TaggedImage(id=i, name=f"{i}.png", tags=torch.tensor(tags), load=lambda: None)
        for i, tags in enumerate([[True, False], [True, True], [False, False]])
    ]
    point = Points(xy=torch.zeros(1, 2), label=torch.ones(1, dtype=torch.long))
    images[0] = replace(images[0], points=point)
    tagged = Tagged(name="mine", classes=("cat", "dog"), images=images)

    assert summary(tagged) == (
        "data: mine: 3 photos of 2 classes (cat 2, dog 1); without tags: 1; points: 1"
    )
    nothing = replace(tagged, images=[])
    assert summary(nothing) == "data: mine: 0 photos of 2 classes (cat 0, dog 0)"
