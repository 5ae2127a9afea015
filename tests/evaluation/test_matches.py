"""Objects and predictions are stretches of a row of 20 pixels; see ``drawing``."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from tests.builders import match
from tests.evaluation.drawing import blobs, found, strip, truth
from wsis.evaluation.matches import (
    ANY_SIZE,
    COCO,
    SIZES,
    VOC,
    Matches,
    Meeting,
    State,
    finds,
    joined,
    nearest,
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


# --- Tables ---


def table(*instances, objects=(), ignore=(), classes=("a", "b"), **more):
    return tabulate(
        [found(*instances)], [truth(*objects, ignore=ignore)], classes, **more
    )


def test_objects_are_found_at_these_overlaps_and_sizes() -> None:
    assert VOC == (0.25, 0.5, 0.7, 0.75)
    assert (
        pytest.approx((0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)) == COCO
    )
    assert (State.FOUND, State.FALSE, State.NEITHER) == (1, 0, -1)
    assert {
        "small": (0, 1024),
        "medium": (1024, 9216),
        "large": (9216, np.inf),
    } == SIZES
    assert (0, np.inf) == ANY_SIZE


def test_a_table_numbers_predictions_and_objects_image_by_image() -> None:
    predictions = [
        found((0.9, 1, 0, 4), (0.8, 2, 0, 4), (0.7, 1, 10, 14)),
        found((0.6, 2, 3, 9), (0.5, 1, 3, 9), image=4),
    ]
    truths = [
        truth((2, 0, 8), (1, 0, 6), ignore=(0,)),
        truth((2, 4, 9), (2, 2, 8), image=4),
    ]

    one = tabulate(predictions, truths, CLASSES)

    assert one.image.tolist() == [0, 0, 0, 1, 1]
    assert one.label.tolist() == [1, 2, 1, 2, 1]
    assert one.score.dtype == np.float64
    assert one.score.tolist() == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5])
    assert one.area.tolist() == [4, 4, 4, 6, 6]
    # Of its class alone: the second prediction of image 1 has no object.
    assert one.target.tolist() == [1, 0, 1, 2, -1]
    assert one.overlap.tolist() == [4 / 6, 4 / 8, 0, 5 / 6, 0]
    assert one.object_image.tolist() == [0, 0, 1, 1]
    assert one.object_label.tolist() == [2, 1, 2, 2]
    assert one.object_area.tolist() == [8, 6, 5, 6]
    assert one.object_area.dtype == np.float64
    assert one.ignore.tolist() == [True, False, False, False]
    # By COCO's rule the ignored object is met by the prediction's share, 1.
    assert one.pairs.tolist() == [[0, 1], [1, 0], [3, 2], [3, 3]]
    assert one.pair_overlap.tolist() == [4 / 6, 1, 5 / 6, 5 / 7]
    assert list(one.image_id) == [1, 4]
    assert one.classes == CLASSES
    assert [meeting.shared.shape for meeting in one.meetings] == [(3, 2), (2, 2)]


def test_pixels_across_classes_are_counted_where_they_are_asked_for() -> None:
    drawn = ((0.9, 1, 0, 4), (0.8, 2, 2, 6))
    own, every = (table(*drawn, objects=((2, 0, 6),), across=x) for x in (False, True))

    assert own.meetings[0].shared.tolist() == [[0], [4]]
    assert every.meetings[0].shared.tolist() == [[4], [4]]
    assert every.target.tolist() == own.target.tolist() == [-1, 0]
    assert every.overlap.tolist() == own.overlap.tolist() == [0, 4 / 6]
    assert every.pairs.tolist() == own.pairs.tolist() == [[1, 0]]
    assert table(*drawn, objects=((2, 0, 6),)).meetings[0].shared[0, 0] == 0


def test_pairs_begin_at_half_the_union() -> None:
    one = table((0.9, 1, 0, 10), (0.8, 1, 0, 9), objects=((1, 0, 20),))

    assert one.pairs.tolist() == [[0, 0]]
    assert one.pair_overlap.tolist() == [0.5]


def test_each_classs_predictions_come_best_first() -> None:
    drawn = found((0.5, 2, 0, 1), (0.9, 1, 0, 1), (0.5, 1, 0, 1), (0.7, 3, 0, 1))
    later = found((0.5, 1, 0, 1), (0.9, 1, 0, 1), (0.6, 2, 0, 1), image=2)
    objects = [truth((1, 0, 1)), truth(image=2)]
    one = tabulate([drawn, later], objects, CLASSES)

    by_image, turned = one.best_first(), one.best_first(np.array([1, 0]))

    assert [some.tolist() for some in by_image] == [[1, 5, 2, 4], [6, 0], [3]]
    assert [some.tolist() for some in turned] == [[5, 1, 4, 2], [6, 0], [3]]
    few = table(
        (0.5, 2, 0, 4), objects=((1, 0, 4),), classes=("a", "b", "c", "d")
    ).best_first()
    assert [some.tolist() for some in few] == [[], [0], [], []]


def test_sizes_include_both_ends() -> None:
    one = table(objects=((1, 0, 4), (1, 0, 6), (2, 0, 8), (2, 0, 9)), ignore=(3,))

    assert one.to_find().tolist() == [True, True, True, False]
    assert one.to_find((4.0, 6.0)).tolist() == [True, True, False, False]
    assert one.to_find((5.0, 8.0)).tolist() == [False, True, True, False]
    assert one.counts().tolist() == [2, 1]
    assert one.counts((6.0, 8.0)).tolist() == [1, 1]
    assert one.counts((7.0, 8.0)).tolist() == [0, 1]
    assert one.counts((10.0, 20.0)).tolist() == [0, 0]


def test_a_hit_reaches_the_threshold() -> None:
    one = table((0.9, 1, 0, 5), (0.8, 1, 0, 4), objects=((1, 0, 10),))

    assert one.hits(0.5).tolist() == [0, -1]
    assert one.hits(0.4).tolist() == [0, 0]
    assert one.voc(0.5).tolist() == [State.FOUND, State.FALSE]
    assert one.voc(0.4).tolist() == [State.FOUND, State.FALSE]
    assert one.voc(0.51).tolist() == [State.FALSE, State.FALSE]


def test_nearest_takes_the_first_of_several_and_none_of_others() -> None:
    overlap = np.array([[0.0, 0.5, 0.5], [0.9, 0.2, 0.0], [0.0, 0.0, 0.0]])
    among = np.array([[True, True, True], [False, True, True], [False, True, True]])

    assert nearest(overlap, among).tolist() == [1, 1, 1]
    assert nearest(overlap, ~among).tolist() == [-1, 0, 0]
    assert nearest(np.zeros((2, 0)), np.zeros((2, 0), bool)).tolist() == [-1, -1]
    assert nearest(np.zeros((0, 2)), np.zeros((0, 2), bool)).tolist() == []


def test_the_best_hit_finds_and_hits_on_ignored_objects_are_excused() -> None:
    hit = np.array([0, 0, 1, 1, 2, -1, 2])
    score = np.array([0.5, 0.9, 0.7, 0.7, 0.1, 1.0, 0.2])
    ignore = np.array([False, False, True])

    state = finds(hit, score, ignore)

    F, X, N = State.FOUND, State.FALSE, State.NEITHER
    assert state.tolist() == [X, F, F, X, N, X, N]
    assert state.dtype == np.int8
    assert finds(hit[:1], score[:1], ~ignore).tolist() == [N]
    assert finds(np.array([-1]), score[:1], ignore).tolist() == [X]
    # No hit is none on the last object.
    assert finds(np.array([-1]), score[:1], ~ignore).tolist() == [X]


def test_coco_looks_at_a_hundred_of_an_image_and_class_in_order_of_scores() -> None:
    """Numbers 99 and 100 of 101, the best given last."""
    spans = [(0.9 - i / 1000, 1, 12, 14) for i in range(98)]
    for late, state in ((0.5, State.FOUND), (0.4, State.NEITHER)):
        drawn = [(0.45, 1, 15, 20), *spans, (0.44, 1, 15, 19), (late, 1, 0, 10)]
        one = table(*drawn, objects=((1, 0, 10),))
        found_at_half = one.coco()[:, 0]

        assert found_at_half[-1] == state
        # All others are looked at, but for the last in order.
        others = [State.FALSE] * 100
        if state == State.FOUND:
            others[-1] = State.NEITHER
        assert found_at_half[:-1].tolist() == others


def test_by_cocos_rule_sizes_of_predictions_include_both_ends() -> None:
    drawn = [(0.9 - i / 100, 1, 10, 10 + i) for i in (3, 4, 6, 7)]
    one = table(*drawn, objects=((1, 0, 5),))

    F, N = State.FALSE, State.NEITHER
    assert one.coco((4.0, 6.0))[:, 0].tolist() == [N, F, F, N]
    assert one.coco()[:, 9].tolist() == [F, F, F, F]


def test_by_cocos_rule_an_object_to_find_comes_before_a_crowd() -> None:
    """A crowd covers everything; a plain object that fits is taken all the same."""
    objects = ((1, 0, 20), (1, 0, 10))
    one = table((0.9, 1, 0, 6), (0.8, 1, 0, 6), objects=objects, ignore=(0,))

    state = one.coco()

    F, N = State.FOUND, State.NEITHER
    # IoU 0.6 with the object up to the third threshold, then the crowd excuses.
    assert state[0].tolist() == [F, F, F, *[N] * 7]
    assert state[1].tolist() == [N] * 10


def test_by_cocos_rule_a_full_overlap_reaches_every_threshold() -> None:
    one = table((0.9, 1, 0, 19), (0.8, 1, 0, 19), objects=((1, 0, 20), (1, 0, 19)))

    state = one.coco()

    F, X = State.FOUND, State.FALSE
    assert state[0].tolist() == [F] * 10
    # 19 of 20 pixels are 0.95.
    assert state[1].tolist() == [F] * 10
    less = table((0.9, 1, 0, 18), objects=((1, 0, 20),)).coco()
    assert less[0].tolist() == [*[F] * 9, X]
    assert less.dtype == np.int8


def test_images_and_classes_without_pairs_have_states() -> None:
    one = table((0.9, 1, 0, 5), objects=((2, 0, 5),))

    assert one.coco().tolist() == [[State.FALSE] * 10]
    assert table(objects=((2, 0, 5),)).coco().shape == (0, 10)


def test_matches_count_objects_to_find_by_image_and_class() -> None:
    truths = [truth((2, 0, 4), (2, 6, 9), (1, 0, 3), ignore=(2,)), truth(image=2)]

    matches = match([found(), found(image=2)], truths, CLASSES)

    assert matches.objects.tolist() == [[0, 2, 0], [0, 0, 0]]
    assert matches.objects.dtype == np.int64
    assert matches.state.shape == (0, 14)


def test_a_word_is_kept_with_matches(tmp_path) -> None:
    predictions, truths = blobs(images=2, classes=3, seed=1)
    matches, path = match(predictions, truths, CLASSES), tmp_path / "m.safetensors"

    matches.save(path, {"predictions": "a", "other": "b"})
    assert Matches.about(path) == {"predictions": "a", "other": "b"}
    matches.save(path)
    assert Matches.about(path) == {}

    for broken in (tmp_path / "missing", tmp_path / "half"):
        (tmp_path / "half").write_bytes(b"half")
        with pytest.raises(ValueError, match=rf"^{broken} holds no matches: "):
            Matches.about(broken)
    save_file({"image": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=rf"^{path} is damaged: 'label'"):
        Matches.load(path)


def test_joined_sets_count_images_on() -> None:
    some = [
        match([found((0.5, 1, 0, 4), image=i)], [truth((1, 0, 4), image=i)], CLASSES)
        for i in range(3)
    ]

    whole = joined(some)

    assert whole.image.tolist() == [0, 1, 2]
    assert whole.objects.tolist() == [[1, 0, 0]] * 3
    assert whole.state[:, 0].tolist() == [State.FOUND] * 3


def test_shares_reach_their_limits() -> None:
    meeting = Meeting.of([strip(0, 8), strip(9, 10)], [strip(4, 20), strip(6, 8)])

    assert meeting.shared.tolist() == [[4, 2], [1, 0]]
    assert meeting.area.tolist() == [8, 1]
    assert meeting.object_area.tolist() == [16, 2]
    assert meeting.iou.tolist() == [[4 / 20, 2 / 8], [1 / 16, 0]]
    assert meeting.coverage.tolist() == [[4 / 8, 2 / 8], [1, 0]]
    assert meeting.contains(0.25).tolist() == [[True, True], [False, False]]
    assert meeting.contains(0.0).tolist() == [[True, True], [True, False]]
    assert meeting.inside(0.5).tolist() == [[True, False], [True, False]]
    assert meeting.inside(0.51).tolist() == [[False, False], [True, False]]
    assert meeting.inside(0.0).tolist() == [[True, True], [True, False]]
