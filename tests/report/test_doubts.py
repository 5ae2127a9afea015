import csv
from dataclasses import replace

import pytest
import torch

from wsis.geometry.masks import encode
from wsis.geometry.predictions import Predictions
from wsis.report import review, unplaced, write_review

CLASSES = ("cat", "dog")


def found(*instances, agreement=None):
    """Instances on 10 x 10 pixels: class, score, and box (4 x 4 by default)."""
    masks = torch.zeros(len(instances), 10, 10, dtype=torch.bool)
    for mask, (_, _, *box) in zip(masks, instances, strict=True):
        x0, y0, x1, y1 = box or (2, 2, 6, 6)
        mask[y0:y1, x0:x1] = True
    one = Predictions.of_masks(
        1,
        (10, 10),
        encode(masks) if instances else [],
        label=torch.tensor([1 + CLASSES.index(x[0]) for x in instances]).long(),
        score=torch.tensor([x[1] for x in instances], dtype=torch.float64),
    )
    known = None if agreement is None else torch.tensor(agreement)
    return replace(one, classes=CLASSES, agreement=known)


def tagged(*names):
    return frozenset(names)


def test_missing_tags_come_first_then_low_scores():
    photos = [
        (found(("cat", 0.8), ("cat", 0.1)), tagged("cat")),
        (found(("cat", 0.4)), tagged("cat", "dog")),
        (found(("cat", 0.2), ("dog", 0.02)), tagged("cat", "dog")),
        (found(("dog", 0.03)), tagged("dog")),
        (found(), None),
        (found(("dog", 0.5), ("cat", 0.05)), None),
    ]

    doubts = review(*zip(*photos, strict=True))

    assert [one.photo for one in doubts] == [1, 4, 2, 3, 0, 5]
    assert [one.doubt for one in doubts] == [1, 1, 0.5, 0.25, 0, 0]
    assert [one.missing for one in doubts][:2] == [("dog",), ()]
    assert [one.reasons for one in doubts] == [
        ("no instance of dog",),
        ("no instance",),
        ("cat: score below most of its class",),
        (),
        (),
        (),
    ]
    assert [one.instances for one in doubts] == [1, 0, 2, 1, 2, 2]
    assert doubts[2].usual_score == pytest.approx(0.4)


def test_classes_whose_masks_are_the_whole_photo_are_named():
    whole, small = ("cat", 0.9, 0, 0, 10, 9), ("cat", 0.5)
    photos = [found(whole, ("dog", 0.4)) for _ in range(3)]
    tags = [tagged("cat", "dog")] * 3

    assert unplaced(photos, tags) == ["cat"]
    assert unplaced(photos[:2], tags[:2]) == []
    others = [*photos, *(found(small) for _ in range(4))]
    assert unplaced(others, [*tags, *[None] * 4]) == []


def test_odd_sizes_masks_along_sides_and_branches_that_disagree():
    photos = [
        found(("cat", 0.5), agreement=[1.0]),
        found(("cat", 0.5, 2, 2, 7, 6), agreement=[1.0]),
        found(("cat", 0.5, 2, 2, 3, 3), agreement=[1.0]),
        found(("cat", 0.5, 0, 0, 10, 9), agreement=[1.0]),
        found(("cat", 0.5), agreement=[0.25]),
    ]

    doubts = review(photos, [tagged("cat")] * 5)

    assert [(one.photo, one.doubt) for one in doubts] == [
        (4, 0.75),
        (3, pytest.approx(0.3 + 3 / 8)),
        (2, 0.5),
        (1, 0.25),
        (0, 0),
    ]
    assert [one.reasons for one in doubts] == [
        ("cat: branches disagree",),
        ("cat: lies along three sides of the photo", "large for its class"),
        ("cat: small for its class",),
        (),
        (),
    ]


def test_the_only_photo_of_a_class_is_not_doubted_for_its_score():
    [only] = review([found(("cat", 0.01))], [tagged("cat")])

    assert (only.doubt, only.reasons) == (0, ())


def test_nothing_is_wrong_where_no_class_of_the_run_is():
    [nothing] = review([found()], [tagged()])

    reason = "tagged with none of the run's classes"
    assert (nothing.doubt, nothing.reasons) == (0, (reason,))


def test_the_table_survives_odd_names(tmp_path):
    doubts = review([found(("dog", 0.5)), found()], [tagged("dog"), tagged("dog")])
    names = ['a, "b"\n.png', "c;d.png"]

    write_review(tmp_path / "review.csv", names, doubts)
    with (tmp_path / "review.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    assert [row["photo"] for row in rows] == names[::-1]
    assert list(rows[0].values()) == [
        *("c;d.png", "1.00", "no instance of dog", "dog", ""),
        *("", "", "", "", "", "0"),
    ]
    assert list(rows[1].values()) == [
        *(names[0], "0.00", "", "", "dog"),
        *("0.5", "0.5", "0.16", "0.16", "", "1"),
    ]


def test_a_small_mask_is_not_odd_where_others_of_its_class_cover_the_photo():
    sizes = [(0, 0, 10, 10)] * 3 + [(2, 2, 6, 6)]
    photos = [found(("cat", 0.5, *box)) for box in sizes]

    doubts = review(photos, [tagged("cat")] * 4)

    assert [one.photo for one in doubts] == [0, 1, 2, 3]
    assert doubts[0].reasons[1] == (
        "covers most of the photo, as others of its class do"
    )
    assert (doubts[3].doubt, doubts[3].reasons) == (0, ())
