"""What holds for every overlap and every match, whatever is drawn."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.builders import match, random_proposals
from tests.evaluation.drawing import blobs
from tests.properties.problems import order, overlaps_by
from wsis.contracts import GroundTruth, Overlaps
from wsis.evaluation.matches import State, tabulate
from wsis.geometry.masks import areas, boxes, compact, crops, flip, rles, select
from wsis.geometry.overlap import box_overlaps, cross_iou, overlaps
from wsis.geometry.predictions import Predictions

seeds = st.integers(0, 2**31 - 1)
counts = st.integers(1, 9)
CLASSES = ("a", "b", "c")


def same(one: Overlaps, other: Overlaps) -> bool:
    return (
        one.iou.equal(other.iou)
        and one.containment.equal(other.containment)
        and one.area.equal(other.area)
    )


@settings(max_examples=25)
@given(seeds, counts)
def test_overlaps_follow_their_proposals(seed: int, count: int) -> None:
    proposals, by = random_proposals(count, (9, 11), seed), order(seed, count)
    here = overlaps(proposals)
    twice = torch.cat([by, by])

    assert same(overlaps(select(proposals, twice)), overlaps_by(here, twice))
    assert same(overlaps(flip(proposals)), here)
    assert same(overlaps(compact(select(proposals, by))), overlaps_by(here, by))


@settings(max_examples=25)
@given(seeds, counts)
def test_iou_and_containment_belong_together(seed: int, count: int) -> None:
    found = overlaps(random_proposals(count, (9, 11), seed))

    assert found.iou.equal(found.iou.T)
    assert (found.iou.diagonal() == 1).all()
    assert (found.containment.diagonal() == 1).all()
    assert (found.iou <= torch.minimum(found.containment, found.containment.T)).all()
    assert ((found.iou == 0) == (found.containment == 0)).all()
    shared = found.containment * found.area
    torch.testing.assert_close(shared, shared.T)


@settings(max_examples=25)
@given(seeds, counts)
def test_masks_follow_their_proposals(seed: int, count: int) -> None:
    proposals, by = random_proposals(count, (9, 11), seed), order(seed, count)
    moved = select(proposals, by)

    assert boxes(moved).equal(boxes(proposals)[by])
    assert areas(moved).equal(areas(proposals)[by])
    assert crops(moved, 3).equal(crops(proposals, 3)[by])
    every = torch.arange(count)
    assert rles(moved, every) == rles(proposals, by)
    assert cross_iou(moved, rles(proposals, every)).equal(
        cross_iou(proposals, rles(proposals, every))[by]
    )


@settings(max_examples=25)
@given(seeds, counts)
def test_no_overlap_changes_when_boxes_move_together(seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    low = torch.randint(9, (count, 2), generator=generator)
    side = 1 + torch.randint(9, (count, 2), generator=generator)
    drawn = torch.cat([low, low + side], 1).float()
    here, by = box_overlaps(drawn), order(seed, count)

    assert same(box_overlaps(drawn + 7), here)
    assert same(box_overlaps(drawn[:, [1, 0, 3, 2]]), here)
    assert same(box_overlaps(drawn[by]), overlaps_by(here, by))


# --- Matches -----------------------------------------------------------------------


def chosen(one: Predictions, by: Tensor) -> Predictions:
    return replace(
        one,
        index=one.index[by],
        label=one.label[by],
        score=one.score[by],
        boxes=one.boxes[by],
        masks=[one.masks[i] for i in by.tolist()],
    )


def drawn(seed: int) -> tuple[list[Predictions], list[GroundTruth]]:
    """Three images whose scores are all different, as ties break by place."""
    predictions, truths = blobs(images=3, classes=3, seed=seed)
    assume(not all(bool(truth.ignore.all()) for truth in truths))
    return [
        replace(one, score=(order(seed + i, len(one)) * 3 + i + 1) / 99)
        for i, one in enumerate(predictions)
    ], truths


@settings(max_examples=15)
@given(seeds)
def test_states_follow_their_predictions_and_images(seed: int) -> None:
    predictions, truths = drawn(seed)
    by = order(seed, 3).tolist()
    moved = [chosen(one, order(seed, len(one))) for one in predictions]

    here = match(predictions, truths, CLASSES)
    there = match(moved, [truths[i] for i in by], CLASSES)

    place = np.array(by)[there.image]
    back = np.lexsort((-there.score, place))
    np.testing.assert_array_equal(place[back], here.image)
    np.testing.assert_array_equal(there.state[back], here.state)
    np.testing.assert_array_equal(there.objects, here.objects[by])


@settings(max_examples=15)
@given(seeds)
def test_a_worse_copy_finds_nothing_and_changes_nothing(seed: int) -> None:
    predictions, truths = drawn(seed)
    worse = []
    for one in predictions:
        twice = chosen(one, torch.arange(2 * len(one)) % max(1, len(one)))
        lower = torch.arange(len(twice)) >= len(one)
        worse.append(replace(twice, score=twice.score - lower.float()))

    here = tabulate(predictions, truths, CLASSES)
    there = tabulate(worse, truths, CLASSES)

    for threshold in (0.25, 0.5, 0.75):
        state = there.voc(threshold)
        first = there.score > 0
        np.testing.assert_array_equal(state[first], here.voc(threshold))
        assert (state[~first] != State.FOUND).all()


@pytest.mark.parametrize("label", [1, 2, 3])
@settings(max_examples=10)
@given(seeds)
def test_classes_are_matched_apart(label: int, seed: int) -> None:
    predictions, truths = drawn(seed)
    alone = [
        chosen(one, (one.label == label).nonzero().flatten()) for one in predictions
    ]

    every = match(predictions, truths, CLASSES)
    one = match(alone, truths, CLASSES)

    np.testing.assert_array_equal(one.state, every.state[every.label == label])
