"""Objects and predictions are stretches of a row of 20 pixels; see ``drawing``."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from tests.evaluation.drawing import blobs, found, strip, truth
from wsis.evaluation.matches import (
    COCO,
    VOC,
    Matches,
    Meeting,
    State,
    joined,
    match,
    tabulate,
)
from wsis.geometry.masks import to_dense

CLASSES = ("a", "b", "c")
AT_50, COCO_50 = VOC.index(0.5), len(VOC) + COCO.index(0.5)


def assert_same(one: Matches, other: Matches) -> None:
    for name in (field.name for field in fields(Matches)):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_cocos_rule_takes_another_object_where_vocs_does_not() -> None:
    # The second overlaps the first object most, which is found already.
    objects = truth((1, 0, 10), (1, 4, 16))
    predictions = found((0.9, 1, 0, 10), (0.8, 1, 1, 12))

    [_, second] = match([predictions], [objects], ["a"]).state

    assert (second[AT_50], second[COCO_50]) == (State.FALSE, State.FOUND)


def test_a_crowd_excuses_what_lies_inside_by_cocos_rule_alone() -> None:
    objects = truth((1, 0, 4), (1, 6, 20), ignore=(1,))
    predictions = found((0.9, 1, 6, 9), (0.8, 1, 10, 12), (0.7, 1, 0, 2))

    state = match([predictions], [objects], ["a"]).state

    assert state[:, AT_50].tolist() == [State.FALSE, State.FALSE, State.FOUND]
    assert state[:, COCO_50].tolist() == [State.NEITHER, State.NEITHER, State.FOUND]


def test_only_the_best_hundred_of_a_class_and_image_are_looked_at_by_coco() -> None:
    spans = [(0.9, 1, 15, 20)] * 100
    predictions = found(*spans, (0.5, 1, 0, 10), (0.4, 2, 0, 10))

    state = match([predictions], [truth((1, 0, 10), (2, 0, 10))], ["a", "b"]).state

    assert state[-2:, AT_50].tolist() == [State.FOUND, State.FOUND]
    assert state[-2:, COCO_50].tolist() == [State.NEITHER, State.FOUND]


def test_of_another_size_objects_are_found_once_and_predictions_passed_over() -> None:
    table = tabulate(
        [found((0.9, 1, 0, 10), (0.8, 1, 0, 10), (0.7, 1, 12, 18))],
        [truth((1, 0, 10))],
        ["a"],
    )

    # Objects of ten pixels are too large, predictions of six are not.
    state = table.coco((0.0, 8.0))[:, 0]

    assert state.tolist() == [State.NEITHER, State.NEITHER, State.FALSE]
    assert not table.to_find((0.0, 8.0)).any()


def test_predictions_come_best_first_image_by_image() -> None:
    predictions = [
        found((0.5, 2, 0, 4), (0.9, 1, 0, 4), (0.5, 1, 0, 4)),
        found((0.7, 1, 0, 4), image=2),
    ]
    matches = match(predictions[::-1], [truth((1, 0, 4)), truth(image=2)], CLASSES)

    assert matches.image.tolist() == [0, 0, 0, 1]
    assert matches.label.tolist() == [1, 2, 1, 1]
    assert matches.score.tolist() == pytest.approx([0.9, 0.5, 0.5, 0.7])
    assert matches.objects.tolist() == [[1, 0, 0], [0, 0, 0]]


def test_an_empty_mask_meets_nothing() -> None:
    meeting = Meeting.of([strip(0, 0)], [strip(0, 4), strip(3, 3)])

    assert not meeting.iou.any()
    assert not meeting.coverage.any()
    assert not meeting.contains(0.75).any()
    assert not meeting.inside(0.75).any()


@settings(max_examples=25)
@given(st.integers(0, 2**31 - 1))
def test_pixels_are_counted_exactly(seed: int) -> None:
    [image], [objects] = blobs(images=1, classes=2, seed=seed)
    assume(len(image) and len(objects.masks))
    masks, others = to_dense(image.masks).numpy(), to_dense(objects.masks).numpy()

    every = Meeting.of(image.masks, objects.masks)
    own = Meeting.of(
        image.masks, objects.masks, (image.label.numpy(), objects.label.numpy())
    )

    for i, mask in enumerate(masks):
        for j, other in enumerate(others):
            shared = (mask & other).sum()
            assert every.shared[i, j] == shared
            assert every.iou[i, j] == shared / (mask | other).sum()
            assert every.coverage[i, j] == shared / mask.sum()
            assert every.contains(0.5)[i, j] == (shared and shared >= other.sum() / 2)
            assert every.inside(0.5)[i, j] == (shared and shared >= mask.sum() / 2)
            same = image.label[i] == objects.label[j]
            assert own.shared[i, j] == (shared if same else 0)


def test_sets_of_images_are_joined_in_their_order() -> None:
    predictions, truths = blobs(images=6, classes=3, seed=1)

    parts = [
        match(predictions[some], truths[some], CLASSES)
        for some in (slice(0, 2), slice(2, 3), slice(3, 6))
    ]

    assert_same(joined(parts), match(predictions, truths, CLASSES))


def test_matches_are_the_same_when_read_again(tmp_path) -> None:
    predictions, truths = blobs(images=6, classes=3, seed=1)
    matches = match(predictions, truths, CLASSES)
    path = tmp_path / "matches.safetensors"

    matches.save(path)

    assert_same(Matches.load(path), matches)
    # The names and types that folders have held from the first version on.
    assert {name: str(one.dtype) for name, one in load_file(path).items()} == {
        "image": "torch.int64",
        "label": "torch.int64",
        "score": "torch.float64",
        "state": "torch.int8",
        "objects": "torch.int64",
    }
    assert Matches.load(path).state.shape[1] == 14
    path.write_bytes(b"half")
    with pytest.raises(ValueError, match="damaged"):
        Matches.load(path)


def test_order_of_objects_breaks_ties_as_the_rules_say() -> None:
    """VOC's rule takes the first of twins, COCO's the last; each is found once."""
    objects = truth((1, 0, 10), (1, 0, 10))
    predictions = found((0.9, 1, 0, 10), (0.8, 1, 0, 10), (0.7, 1, 0, 10))

    state = match([predictions], [objects], ["a"]).state

    assert state[:, AT_50].tolist() == [State.FOUND, State.FALSE, State.FALSE]
    assert state[:, COCO_50].tolist() == [State.FOUND, State.FOUND, State.FALSE]
