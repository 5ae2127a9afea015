import csv

import pytest
import torch

from wsis.geometry.masks import encode
from wsis.geometry.predictions import Predictions
from wsis.report import review, write_review

CLASSES = ("cat", "dog")


def found(*pairs):
    """Instances of one pixel each, by class and score."""
    masks = encode(torch.ones(len(pairs), 1, 1, dtype=torch.bool)) if pairs else []
    names, scores = zip(*pairs, strict=True) if pairs else ((), ())
    label = torch.tensor([1 + CLASSES.index(one) for one in names], dtype=torch.long)
    score = torch.tensor(scores, dtype=torch.float64)
    one = Predictions.of_masks(1, (1, 1), masks, label=label, score=score)
    return Predictions(
        **{name: getattr(one, name) for name in one.__slots__ if name != "classes"},
        classes=CLASSES,
    )


def tagged(*names):
    return frozenset(names)


def test_photos_come_by_doubt_with_reasons():
    photos = [
        (found(("cat", 0.8), ("cat", 0.1)), tagged("cat")),
        (found(("cat", 0.4)), tagged("cat", "dog")),
        (found(("cat", 0.2), ("dog", 0.02)), tagged("cat", "dog")),
        (found(("dog", 0.03)), tagged("dog")),
        (found(), None),
        (found(("dog", 0.5), ("cat", 0.05)), None),
    ]

    doubts = review(*zip(*photos, strict=True))

    assert [one.photo for one in doubts] == [1, 2, 4, 3, 0, 5]
    assert [one.doubt for one in doubts] == [1, 1, 1, 0.5, 0, 0]
    assert [one.reason for one in doubts] == [
        "no instance of dog",
        "dog: score 0.02, usual 0.03",
        "no instance",
        "dog: score 0.03, usual 0.03",
        "cat: score 0.8, usual 0.4",
        "dog: score 0.5, usual 0.03",
    ]
    assert [one.instances for one in doubts] == [1, 2, 0, 1, 2, 2]


def test_one_photo_of_a_class_is_not_doubted_for_its_score():
    [only] = review([found(("cat", 0.01))], [tagged("cat")])

    assert only.doubt == 0


def test_nothing_is_wrong_where_no_class_of_the_run_is():
    [nothing] = review([found()], [tagged()])

    assert (nothing.doubt, nothing.reason) == (0, "no class of the run")


def test_the_table_survives_odd_names(tmp_path):
    doubts = review([found(("dog", 0.5)), found()], [tagged("dog"), tagged("dog")])
    names = ['a, "b"\n.png', "c;d.png"]

    write_review(tmp_path / "review.csv", names, doubts)
    with (tmp_path / "review.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    assert [row["photo"] for row in rows] == names[::-1]
    assert rows[0] == {
        "photo": "c;d.png",
        "doubt": "1.00",
        "reason": "no instance of dog",
        "tags_without_instance": "dog",
        "weakest_class": "",
        "score": "",
        "usual_score": "",
        "instances": "0",
    }
    assert float(rows[1]["score"]) == pytest.approx(0.5)
