"""Objects and predictions are stretches of a row of 20 pixels; see ``drawing``."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.builders import match, strips
from tests.evaluation.drawing import blobs, found, sort, truth
from wsis.evaluation import (
    Anatomy,
    Evaluation,
    Kind,
    Rules,
    average,
    dissect,
    evaluate,
    voc_ap,
)
from wsis.evaluation.anatomy import KINDS, SIZES, repaired
from wsis.evaluation.kinds import FALSE, FOUND, IGNORED, MISSES
from wsis.evaluation.matches import Matches, tabulate
from wsis.geometry.masks import from_masks

CLASSES = ("cat", "dog")


def one_image(predictions, objects, *spans, ignore=(), classes=CLASSES):
    return dissect(
        [found(*predictions)],
        [truth(*objects, ignore=ignore)],
        [strips(*(spans or ((0, 1),)), width=20)],
        classes,
    )


def test_a_part_above_its_object_costs_half_the_precision():
    # Cat found at rank 2 of 2: AP 1/2. Without the part, or with it made whole, 1.
    made = one_image([(0.9, 1, 0, 3), (0.5, 1, 0, 10)], [(1, 0, 10)])

    part = made.kinds["part"]
    assert (part.count, part.share, part.top, part.other_class) == (1, 100, 1, 0)
    assert made.score == pytest.approx(50)
    assert part.gain == pytest.approx(50)
    assert made.kinds["false positives"].gain == pytest.approx(50)
    assert made.kinds["misses"].count == 0
    assert (made.predictions, made.found, made.objects) == (2, 1, 1)
    assert made.of_predictions == {1: ["part", "found"]}
    assert made.of_objects == {1: ["found"]}


def test_a_part_of_what_nobody_found_becomes_a_find():
    # Two cats, one found first: AP 1/2. The part made whole finds the other.
    made = one_image(
        [(0.9, 1, 0, 8), (0.5, 1, 10, 13), (0.4, 1, 11, 14)],
        [(1, 0, 8), (1, 10, 20)],
        (10, 16),
    )

    assert made.score == pytest.approx(50)
    assert made.kinds["part"].count == 2
    assert made.kinds["part"].gain == pytest.approx(50)
    # The other cat forgiven: one of one found, and before the parts.
    assert made.kinds["missed though proposed"].gain == pytest.approx(50)
    assert made.kinds["missed though proposed"].share == 100
    assert made.kinds["never proposed"].count == 0
    # Only the parts are among the two best: of two objects, two predictions.
    assert made.kinds["part"].top == 1


def test_a_class_put_right_helps_the_other_class():
    made = one_image([(0.9, 2, 0, 8)], [(1, 0, 8), (2, 15, 20)])

    # The dog has nothing right, the cat has no prediction: 0. Put right, the cat has 1.
    assert made.score == 0
    assert made.kinds["class"].other_class == 1
    assert made.kinds["class"].gain == pytest.approx(50)
    assert made.per_class["dog"]["class"].count == 1
    assert made.per_class["cat"]["class"].gain == pytest.approx(100)
    assert made.per_class["dog"]["class"].gain == 0


def test_an_error_with_another_class_is_removed():
    # A dog that is a part of the cat, and a find after it.
    made = one_image([(0.9, 2, 0, 3), (0.8, 2, 15, 20)], [(1, 0, 10), (2, 15, 20)])

    assert made.kinds["part"].other_class == 1
    # The dog's AP rises from 1/2 to 1; the cat stays missed.
    assert made.kinds["part"].gain == pytest.approx(25)


def test_duplicates_and_background_are_removed():
    made = one_image(
        [(0.9, 1, 0, 10), (0.8, 1, 0, 9), (0.7, 1, 16, 20), (0.6, 1, 10, 15)],
        [(1, 0, 10), (1, 10, 15)],
    )

    # Precision at the finds is 1 and 2/4: AP 3/4; without one false alarm 5/6.
    assert made.score == pytest.approx(75)
    for kind in ("duplicate", "background"):
        assert made.kinds[kind].count == 1
        assert made.kinds[kind].share == 50
        assert made.kinds[kind].gain == pytest.approx(100 * (5 / 6 - 3 / 4))
    assert made.kinds["false positives"].gain == pytest.approx(25)


def test_a_class_with_nothing_found_gains_nothing_from_forgiving_its_misses():
    made = one_image([], [(1, 0, 10)])

    assert made.kinds["never proposed"].count == 1
    assert made.kinds["never proposed"].gain == 0


def test_classes_without_objects_have_counts_and_no_gain():
    made = one_image([(0.9, 2, 12, 20)], [(1, 0, 10)])

    background = made.per_class["dog"]["background"]
    assert (background.count, background.share, background.gain) == (1, 100, 0)
    assert made.score == 0


def test_sizes_are_those_of_the_reference():
    size = (100, 100)
    masks = torch.zeros(3, *size, dtype=torch.bool)
    masks[0, :, :96] = True  # a large object of 9,600 pixels
    masks[1, :20, :20] = True  # a part of it
    masks[2, 50:60, 97:] = True  # background of 30 pixels
    from wsis.contracts import GroundTruth
    from wsis.geometry.masks import rles
    from wsis.geometry.predictions import Predictions

    proposals = from_masks(masks)
    encoded = rles(proposals, torch.arange(3))
    made = dissect(
        [
            Predictions(
                image_id=1,
                size=size,
                index=torch.arange(2),
                label=torch.ones(2, dtype=torch.long),
                score=torch.tensor([0.9, 0.8]),
                boxes=torch.zeros(2, 4),
                masks=encoded[1:],
            )
        ],
        [
            GroundTruth(
                image_id=1,
                size=size,
                label=torch.ones(1, dtype=torch.long),
                masks=encoded[:1],
                ignore=torch.zeros(1, dtype=torch.bool),
                area=torch.tensor([9600.0]),
            )
        ],
        [proposals],
        CLASSES,
    )

    assert made.per_size["large"]["part"].count == 1
    assert made.per_size["large"]["part"].gain == pytest.approx(100)
    assert made.per_size["small"]["background"].count == 1
    assert made.per_size["large"]["missed though proposed"].count == 1
    assert made.per_size["medium"]["false positives"].count == 0


@settings(max_examples=25)
@given(st.integers(0, 2**31))
def test_every_error_is_counted_once_and_no_repair_harms(seed):
    predictions, truths = blobs(images=4, classes=3, seed=seed)
    assume(any(bool((~one.ignore).any()) for one in truths))
    classes = ("a", "b", "c")
    proposals = [
        from_masks(torch.ones(1, *one.size, dtype=torch.bool)) for one in truths
    ]

    made = dissect(predictions, truths, proposals, classes)
    json.dumps(made.results(), allow_nan=False)

    expected = voc_ap(predictions, truths, classes, [0.5])["mAP50"]
    assert made.score == pytest.approx(100 * np.nanmean(expected))
    kinds = [kind for row in made.of_predictions.values() for kind in row]
    wrong = sum(made.kinds[kind].count for kind in FALSE)
    assert wrong == made.kinds["false positives"].count
    assert wrong == sum(kind not in (FOUND, IGNORED) for kind in kinds)
    assert made.found + made.kinds["misses"].count == made.objects
    assert made.predictions == made.found + wrong
    for kind in KINDS:
        assert made.kinds[kind].gain >= -1e-9
        for table, names in ((made.per_class, classes), (made.per_size, SIZES)):
            counts = [table[name][kind].count for name in names]
            assert sum(counts) == made.kinds[kind].count


@settings(max_examples=25)
@given(st.integers(0, 2**31))
def test_with_everything_repaired_all_is_found(seed):
    predictions, truths = blobs(images=4, classes=3, seed=seed)
    assume(any(bool((~one.ignore).any()) for one in truths))
    proposals = [
        from_masks(torch.ones(1, *one.size, dtype=torch.bool)) for one in truths
    ]
    sorted_ = sort(predictions, truths, proposals, ("a", "b", "c"), Rules())

    table = repaired(
        sorted_,
        np.isin(sorted_.kind, FALSE),
        np.isin(sorted_.object_kind, MISSES),
    )

    known = table[~np.isnan(table)]
    # Of a class nothing was found of, nothing is left to be found.
    assert np.isin(known.round(12), (0, 1)).all()
    for c in range(1, 4):
        of_class = sorted_.table.object_label == c
        if (of_class & (sorted_.object_kind == FOUND)).any():
            assert table[c - 1] == pytest.approx(1)


def test_the_average_of_runs_has_the_means_of_all_figures():
    one = one_image([(0.9, 1, 0, 3), (0.5, 1, 0, 10)], [(1, 0, 10)]).results()
    other = one_image([], [(1, 0, 10)]).results()

    mean = average([one, other])

    assert mean["score"] == pytest.approx(25)
    assert mean["kinds"]["part"]["count"] == 0.5
    assert mean["per_class"]["cat"]["never proposed"]["count"] == 0.5
    assert mean["rules"] == one["rules"]
    with pytest.raises(ValueError, match="at least one"):
        average([])
    strict = {**one, "rules": {**one["rules"], "iou": 0.75}}
    with pytest.raises(ValueError, match="same rules"):
        average([one, strict])
    with pytest.raises(ValueError, match="same classes"):
        average([one, {**one, "per_class": {}}])


def test_images_and_proposals_must_belong_together():
    with pytest.raises(ValueError, match=r"each of the 1 images.*got fewer"):
        dissect([found()], [truth((1, 0, 4))], [], CLASSES)
    with pytest.raises(ValueError, match="for the very images"):
        dissect([found(image=2)], [truth((1, 0, 4))], [strips((0, 1))], CLASSES)


def test_kinds_have_names_of_their_own():
    assert len({str(kind) for kind in Kind} | {FOUND, IGNORED}) == len(Kind) + 2


def test_one_table_serves_all_figures():
    predictions, truths = blobs(images=6, classes=3, seed=1)
    proposals = [from_masks(torch.ones(1, *one.size).bool()) for one in truths]
    names = ("a", "b", "c")

    table = tabulate(predictions, truths, names, across=True)

    assert Evaluation.of(table) == evaluate(predictions, truths, names)
    alone = match(predictions, truths, names)
    for name, column in asdict(Matches.of(table)).items():
        np.testing.assert_array_equal(column, getattr(alone, name))
    dissected = dissect(predictions, truths, proposals, names)
    assert Anatomy.of(table, truths, proposals).results() == dissected.results()
