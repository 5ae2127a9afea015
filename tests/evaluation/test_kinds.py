"""Objects and predictions are stretches of a row of 20 pixels; see ``drawing``."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.builders import strips
from tests.evaluation.drawing import blobs, found, sort, truth
from wsis.evaluation import Kind, Rules
from wsis.evaluation.kinds import FOUND, IGNORED
from wsis.geometry.masks import from_masks, to_dense

CLASSES = ("cat", "dog")


def kinds(predictions, objects, *spans, ignore=(), rules=None):
    """Kinds of predictions and of objects; ``spans`` are the proposals."""
    proposals = strips(*(spans or ((0, 1),)), width=20)
    made = sort(
        [found(*predictions)],
        [truth(*objects, ignore=ignore)],
        [proposals],
        CLASSES,
        rules or Rules(),
    )
    return made.kind.tolist(), made.object_kind.tolist(), made.reference.tolist()


def kind_of(span, *objects, label=1, ignore=()):
    """Kind and reference of one prediction."""
    one, _, reference = kinds([(0.9, label, *span)], objects, ignore=ignore)
    return one[0], reference[0]


def test_a_find_and_what_finds_it_again():
    predictions = [(0.5, 1, 0, 8), (0.9, 1, 0, 9), (0.7, 1, 1, 10)]

    assert kinds(predictions, [(1, 0, 10)]) == (
        [Kind.DUPLICATE, FOUND, Kind.DUPLICATE],
        [FOUND],
        [0, 0, 0],
    )


def test_of_equal_scores_the_first_finds():
    predictions = [(0.5, 1, 0, 8), (0.5, 1, 0, 10)]

    assert kinds(predictions, [(1, 0, 10)])[0] == [FOUND, Kind.DUPLICATE]


def test_a_part_lies_inside_and_covers_too_little():
    assert kind_of((0, 4), (1, 0, 10)) == (Kind.PART, 0)
    # 3 of 4 pixels inside are just enough; 2 of 3 are not, its IoU is 2 / 11.
    assert kind_of((7, 11), (1, 0, 10)) == (Kind.PART, 0)
    assert kind_of((8, 11), (1, 0, 10)) == (Kind.SHIFTED, 0)


def test_whole_plus_contains_an_object_and_much_else():
    # Of 8 pixels, 6 are just enough to contain the object; 5 are not.
    assert kind_of((0, 20), (1, 5, 10)) == (Kind.WHOLE_PLUS, 0)
    assert kind_of((2, 20), (1, 0, 8)) == (Kind.WHOLE_PLUS, 0)
    assert kind_of((3, 20), (1, 0, 8)) == (Kind.SHIFTED, 0)


def test_merged_contains_several_objects_of_whatever_class():
    assert kind_of((0, 20), (1, 0, 5), (1, 10, 16)) == (Kind.MERGED, 1)
    assert kind_of((0, 20), (1, 0, 5), (2, 10, 16)) == (Kind.MERGED, 0)
    assert kind_of((0, 20), (1, 0, 5), (1, 10, 16), ignore=(1,)) == (
        Kind.WHOLE_PLUS,
        0,
    )


def test_the_right_mask_of_the_wrong_class():
    assert kind_of((0, 9), (1, 0, 10), label=2) == (Kind.CLASS, 0)
    assert kind_of((0, 5), (1, 0, 10), label=2) == (Kind.CLASS, 0)
    assert kind_of((0, 4), (1, 0, 10), label=2) == (Kind.PART, 0)


def test_its_own_class_is_found_before_another_is_mistaken():
    assert kind_of((0, 10), (2, 0, 10), (1, 0, 8)) == (FOUND, 1)


def test_an_error_refers_to_its_own_class_first_then_to_the_highest_iou():
    # Inside the dog with IoU 0.4, around the cat with IoU 0.25: it is a cat.
    assert kind_of((0, 8), (2, 0, 20), (1, 0, 2)) == (Kind.WHOLE_PLUS, 1)
    assert kind_of((0, 8), (2, 0, 20), (1, 0, 2), label=2) == (Kind.PART, 0)
    assert kind_of((0, 4), (1, 0, 20), (1, 0, 10)) == (Kind.PART, 1)
    assert kind_of((0, 2), (1, 0, 10), (1, 0, 10)) == (Kind.PART, 0)


def test_shifted_touches_and_background_does_not():
    assert kind_of((6, 16), (1, 0, 10)) == (Kind.SHIFTED, 0)
    # IoU 2 / 18 and 1 / 19.
    assert kind_of((8, 18), (1, 0, 10)) == (Kind.SHIFTED, 0)
    assert kind_of((9, 19), (1, 0, 10)) == (Kind.BACKGROUND, -1)
    assert kind_of((12, 19), (1, 0, 10)) == (Kind.BACKGROUND, -1)


def test_ignored_objects_excuse_and_explain_nothing():
    objects = [(1, 0, 10), (2, 10, 20)]

    assert kind_of((0, 9), *objects, ignore=(0,)) == (IGNORED, 0)
    assert kind_of((0, 4), *objects, ignore=(0,)) == (Kind.BACKGROUND, -1)
    assert kind_of((0, 9), *objects, label=2, ignore=(0,)) == (Kind.BACKGROUND, -1)


def test_misses_are_proposed_or_not():
    objects = [(1, 0, 10), (1, 10, 14), (2, 14, 20)]

    # The first has a proposal of IoU 0.5, the second one of 0.4.
    _, missed, _ = kinds([], objects, (0, 5), (4, 14), ignore=(2,))

    assert missed == [Kind.MISSED, Kind.UNPROPOSED, IGNORED]


def test_without_proposals_nothing_was_proposed():
    empty = from_masks(torch.ones(1, 1, 20, dtype=torch.bool))
    empty = type(empty)(
        regions=empty.regions,
        members=empty.members[:0],
        objectness=empty.objectness[:0],
        source="none",
    )

    made = sort([found()], [truth((1, 0, 4))], [empty], CLASSES, Rules())

    assert made.object_kind.tolist() == [Kind.UNPROPOSED]


def test_objects_are_numbered_over_all_images():
    made = sort(
        [found((0.9, 1, 0, 4), image=2), found((0.9, 1, 0, 4))],
        [truth((1, 0, 4)), truth((1, 0, 4), (1, 0, 20), image=2)],
        iter([strips((0, 4), width=20)] * 2),
        CLASSES,
        Rules(),
    )

    assert made.hit.tolist() == [0, 1]
    assert made.object_kind.tolist() == [FOUND, FOUND, Kind.UNPROPOSED]
    assert made.table.image_id == [1, 2]
    assert made.table.image.tolist() == [0, 1]
    assert made.table.object_image.tolist() == [0, 1, 1]


def test_rules_that_contradict_themselves_are_refused():
    with pytest.raises(ValueError, match=r"iou must be in \(0, 1\), got 1"):
        Rules(iou=1.0)
    with pytest.raises(ValueError, match=r"contained must be in \[0.667, 1\].*0.6"):
        Rules(contained=0.6)
    with pytest.raises(ValueError, match=r"near must be in \(0, 0.5\], got 0"):
        Rules(near=0.0)


@settings(max_examples=25)
@given(st.integers(0, 2**31))
def test_pixels_are_counted_exactly(seed):
    predictions, truths = blobs(images=2, classes=2, seed=seed)
    assume(any(bool((~one.ignore).any()) for one in truths))
    proposals = [
        from_masks(torch.ones(1, *one.size, dtype=torch.bool)) for one in truths
    ]
    rules = Rules()

    made = sort(predictions, truths, proposals, CLASSES, rules)

    kinds = iter(made.kind.tolist())
    for image, objects in zip(predictions, truths, strict=True):
        plain = _plain(image, objects, rules)
        assert [next(kinds) for _ in range(len(image))] == plain


def _plain(image, objects, rules):
    """The rules once more, pixel by pixel and one prediction at a time."""
    masks = to_dense(image.masks).numpy() if len(image) else []
    others = to_dense(objects.masks).numpy() if len(objects.masks) else []
    labels, ignore = objects.label.tolist(), objects.ignore.tolist()
    taken, kinds = set(), [None] * len(image)
    order = sorted(range(len(image)), key=lambda i: -image.score[i])
    for i in order:
        label, mask = int(image.label[i]), masks[i]
        iou = [(mask & o).sum() / (mask | o).sum() for o in others]
        covers = [(mask & o).sum() >= rules.contained * o.sum() for o in others]
        inside = [(mask & o).sum() >= rules.contained * mask.sum() for o in others]
        mine = [g for g in range(len(others)) if labels[g] == label]
        target = max(mine, key=lambda g: iou[g], default=None)
        real = [g for g in range(len(others)) if not ignore[g]]
        met = [g for g in real if covers[g] or inside[g]]
        met = [g for g in met if g in mine] or met
        best = max(met, key=lambda g: iou[g], default=None)
        if target is not None and iou[target] >= rules.iou:
            if ignore[target]:
                kinds[i] = IGNORED
            else:
                kinds[i] = Kind.DUPLICATE if target in taken else FOUND
                taken.add(target)
        elif any(iou[g] >= rules.iou for g in real):
            kinds[i] = Kind.CLASS
        elif best is not None and covers[best]:
            several = sum(covers[g] for g in real) > 1
            kinds[i] = Kind.MERGED if several else Kind.WHOLE_PLUS
        elif best is not None:
            kinds[i] = Kind.PART
        elif any(iou[g] >= rules.near for g in real):
            kinds[i] = Kind.SHIFTED
        else:
            kinds[i] = Kind.BACKGROUND
    return kinds


def test_many_predictions_on_one_image():
    spans = [(0.5, 1, 0, 4)] * 300

    assert kinds(spans, [(1, 0, 4)])[0] == [FOUND] + [Kind.DUPLICATE] * 299
