import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle

from tests.evaluation.drawing import blobs, found, truth
from wsis.contracts import GroundTruth, Predictions
from wsis.evaluation import average_precision, voc_ap

# pycocotools' decode has it under NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")

CLASSES = ("cat", "dog")


def ap50(predictions: list[Predictions], truths: list[GroundTruth]) -> list[float]:
    return voc_ap(predictions, truths, CLASSES)["mAP50"].tolist()


def test_all_found() -> None:
    truths = [truth((1, 0, 4), (2, 10, 16))]
    predictions = [found((0.9, 1, 0, 4), (0.8, 2, 10, 16))]

    table = voc_ap(predictions, truths, CLASSES)

    assert list(table) == ["mAP25", "mAP50", "mAP70", "mAP75"]
    assert all(ap.tolist() == [1, 1] for ap in table.values())


def test_nothing_predicted_scores_0() -> None:
    assert ap50([found()], [truth((1, 0, 4), (2, 5, 9))]) == [0, 0]


def test_class_without_objects_is_nan_whatever_is_predicted() -> None:
    ap = ap50([found((0.9, 1, 0, 4), (0.8, 2, 0, 4))], [truth((1, 0, 4))])
    assert ap[0] == 1
    assert np.isnan(ap[1])


def test_wrong_class_finds_nothing() -> None:
    assert ap50([found((0.9, 2, 0, 4))], [truth((1, 0, 4), (2, 10, 14))]) == [0, 0]


def test_one_of_two_missed() -> None:
    truths = [truth((1, 0, 4), (1, 10, 14), (2, 0, 1))]
    assert ap50([found((0.9, 1, 0, 4))], truths)[0] == 0.5


def test_area_by_hand() -> None:
    # hit, duplicate, hit, miss, hit of 4: precision 1, 1/2, 2/3, 1/2, 3/5
    truths = [truth((1, 0, 4), (1, 5, 8), (1, 10, 14), (1, 15, 20))]
    predictions = [
        found(
            (0.9, 1, 0, 4),
            (0.8, 1, 0, 4),
            (0.7, 1, 5, 8),
            (0.6, 1, 4, 5),
            (0.5, 1, 10, 14),
        )
    ]
    assert ap50(predictions, truths)[0] == pytest.approx((1 + 2 / 3 + 3 / 5) / 4)


def test_low_precision_is_lifted_to_what_more_recall_allows() -> None:
    # miss, hit, hit: precision 0, 1/2, 2/3
    truths = [truth((1, 0, 4), (1, 10, 14))]
    predictions = [found((0.9, 1, 5, 9), (0.8, 1, 0, 4), (0.7, 1, 10, 14))]
    assert ap50(predictions, truths)[0] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("stop", "expected"),
    [(5, [1, 1, 0, 0]), (7, [1, 1, 1, 0]), (2, [0, 0, 0, 0]), (3, [1, 0, 0, 0])],
)
def test_iou_equal_to_the_threshold_suffices(stop: int, expected: list[float]) -> None:
    table = voc_ap([found((0.9, 1, 0, stop))], [truth((1, 0, 10))], CLASSES)
    assert [ap[0] for ap in table.values()] == expected


def test_prediction_goes_to_the_object_it_overlaps_most_even_if_taken() -> None:
    # The second overlaps the second object by half, too, but the first by more.
    truths = [truth((1, 0, 8), (1, 6, 14))]
    predictions = [found((0.9, 1, 0, 8), (0.8, 1, 0, 14))]
    assert ap50(predictions, truths)[0] == 0.5


def test_hit_on_an_ignored_object_counts_neither_way() -> None:
    truths = [truth((1, 0, 4), (1, 10, 20), ignore=(1,))]
    predictions = [
        found((0.9, 1, 10, 20), (0.8, 1, 10, 19), (0.7, 1, 0, 4), (0.6, 1, 5, 9))
    ]
    assert ap50(predictions, truths)[0] == 1


def test_small_part_of_an_ignored_object_is_a_false_alarm() -> None:
    truths = [truth((1, 0, 4), (1, 10, 20), ignore=(1,))]
    predictions = [found((0.9, 1, 10, 12), (0.8, 1, 0, 4))]
    assert ap50(predictions, truths)[0] == 0.5


def test_equal_scores_keep_the_order_of_truths_then_of_predictions() -> None:
    truths = [truth((1, 0, 4), image=5), truth((1, 0, 4), image=2)]
    hit, miss = (0.5, 1, 0, 4), (0.5, 1, 8, 9)

    # hit, miss, miss, hit: precision 1 and 2/4; from image 2 on: miss, hit, hit, miss
    predictions = [found(miss, hit, image=2), found(hit, miss, image=5)]

    assert ap50(predictions, truths)[0] == pytest.approx((1 + 1 / 2) / 2)
    assert ap50(predictions, truths[::-1])[0] == pytest.approx(2 / 3)


def test_average_precision_of_numbers() -> None:
    ignore = np.array([False, True, False])
    hits = np.array([1, 0, 1, -1, 0, 2])
    # counted: 0, none, 0 again, 2
    assert average_precision(hits, ignore, 2) == pytest.approx((1 + 2 / 4) / 2)


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 3), st.sampled_from([0.25, 0.5, 0.75]))
def test_matches_the_plain_loop(seed: int, classes: int, threshold: float) -> None:
    predictions, truths = blobs(images=4, classes=classes, seed=seed)
    names = [str(c) for c in range(classes)]
    assume(any(bool((~image.ignore).any()) for image in truths))

    (table,) = voc_ap(predictions, truths, names, [threshold]).values()

    expected = [slow_ap(predictions, truths, c + 1, threshold) for c in range(classes)]
    np.testing.assert_allclose(table, expected, atol=1e-12)


def slow_ap(
    predictions: list[Predictions],
    truths: list[GroundTruth],
    label: int,
    threshold: float,
) -> float:
    """The devkit's VOCevaldet on dense masks."""
    everything = [
        (float(image.score[i]), k, rle.decode(image.masks[i]).astype(bool))
        for k, image in enumerate(predictions)
        for i in range(len(image))
        if image.label[i] == label
    ]
    objects = [
        [
            (rle.decode(mask).astype(bool), bool(ignored))
            for mask, c, ignored in zip(
                image.masks, image.label, image.ignore, strict=True
            )
            if c == label
        ]
        for image in truths
    ]
    count = sum(not ignored for image in objects for _, ignored in image)
    if count == 0:
        return float("nan")
    taken: set[tuple[int, int]] = set()
    true, false = 0, 0
    recalls, precisions = [0.0], [0.0]
    for _, k, mask in sorted(everything, key=lambda one: -one[0]):
        best, which = -1.0, -1
        for j, (other, _) in enumerate(objects[k]):
            overlap = float((mask & other).sum() / (mask | other).sum())
            if overlap > best:
                best, which = overlap, j
        if best >= threshold:
            if objects[k][which][1]:
                continue
            if (k, which) in taken:
                false += 1
            else:
                true += 1
                taken.add((k, which))
        else:
            false += 1
        recalls.append(true / count)
        precisions.append(true / (true + false))
    recalls.append(1.0)
    precisions.append(0.0)
    for i in range(len(precisions) - 2, -1, -1):
        precisions[i] = max(precisions[i], precisions[i + 1])
    return sum(
        (recalls[i] - recalls[i - 1]) * precisions[i] for i in range(1, len(recalls))
    )


def test_refuses_what_does_not_belong_together() -> None:
    one = [truth((1, 0, 4))]
    with pytest.raises(ValueError, match=r"without predictions: 1; without.*: 2"):
        voc_ap([found(image=2)], one, CLASSES)
    with pytest.raises(ValueError, match="one predictions per image, got several"):
        voc_ap([found(), found()], one, CLASSES)
    with pytest.raises(ValueError, match=r"size \(1, 30\).*size \(1, 20\)"):
        voc_ap([found(width=30)], one, CLASSES)
    with pytest.raises(ValueError, match=r"labels in 1…2, got Predictions with 3"):
        voc_ap([found((0.5, 3, 0, 4))], one, CLASSES)
    with pytest.raises(ValueError, match=r"labels in 1…2, got GroundTruth with 0"):
        voc_ap([found()], [truth((0, 0, 4))], CLASSES)
    with pytest.raises(ValueError, match="finite scores"):
        voc_ap([found((float("nan"), 1, 0, 4))], one, CLASSES)
    with pytest.raises(ValueError, match="at least one object to find"):
        voc_ap([found()], [truth((1, 0, 4), ignore=(0,))], CLASSES)


def test_refuses_masks_of_another_size_or_number() -> None:
    wide = found((0.5, 1, 0, 4), width=30)
    other = found((0.5, 1, 0, 4))
    mixed = Predictions(
        image_id=1,
        size=(1, 20),
        index=torch.arange(1),
        label=other.label,
        score=other.score,
        boxes=other.boxes,
        masks=wide.masks,
    )
    with pytest.raises(ValueError, match=r"masks of size \(1, 20\), got Pred.*30"):
        voc_ap([mixed], [truth((1, 0, 4))], CLASSES)
    short = Predictions(
        image_id=1,
        size=(1, 20),
        index=torch.arange(1),
        label=other.label,
        score=other.score,
        boxes=other.boxes,
        masks=[],
    )
    with pytest.raises(ValueError, match="1 labels, but 0 masks"):
        voc_ap([short], [truth((1, 0, 4))], CLASSES)
