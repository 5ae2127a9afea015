import contextlib
import io
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.evaluation.drawing import blobs, found, truth
from tests.evaluation.oracles import (
    NAMES,
    coco_ap_by,
    with_hotcoco,
    with_pycocotools,
)
from wsis.contracts import GroundTruth
from wsis.evaluation import average_precision, coco_ap, evaluate, to_coco, voc_ap
from wsis.geometry.predictions import Predictions

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


def test_nothing_predicted_scores_0_by_voc() -> None:
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


def test_names_of_classes_decide_where_predictions_know_them() -> None:
    truths = [truth((1, 0, 4), (2, 9, 12))]
    made = found((0.9, 2, 0, 4), (0.8, 1, 9, 12))
    named = replace(made, classes=("DOG", "cat"))

    assert evaluate([made], truths, ("cat", "dog")).metrics["AP"] == 0
    assert evaluate([named], truths, ("cat", "dog")).metrics["AP"] == pytest.approx(100)
    further = replace(made, classes=("dog", "cat", "ox"))
    assert evaluate([further], truths, ("cat", "dog")) == evaluate(
        [named], truths, ("cat", "dog")
    )
    with pytest.raises(ValueError, match=r"classes cat, dog; got instances of ox; lea"):
        evaluate([replace(made, classes=("ox", "cat"))], truths, ("cat", "dog"))


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


# --- COCO's rules ---

MINI = Path(os.environ.get("WSIS_COCO_MINI", "missing"))


def as_a_user(
    predictions: list[Predictions],
    truths: list[GroundTruth],
    categories: list[int],
    folder: Path,
) -> list[float]:
    """AP, AP50, AP75, APs, APm, APl by pycocotools, from files."""
    objects = [
        {
            "image_id": image.image_id,
            "category_id": categories[int(image.label[i]) - 1],
            "segmentation": {
                "size": list(image.size),
                "counts": image.masks[i]["counts"].decode(),
            },
            "bbox": rle.toBbox(image.masks[i]).tolist(),
            "area": float(image.area[i]),
            "iscrowd": int(image.ignore[i]),
        }
        for image in truths
        for i in range(len(image.masks))
    ]
    annotations = {
        "info": {},  # pycocotools 2.0.10 asks for it.
        "images": [
            {"id": image.image_id, "height": image.size[0], "width": image.size[1]}
            for image in truths
        ],
        "categories": [{"id": c, "name": str(c)} for c in categories],
        "annotations": [{"id": i + 1, **one} for i, one in enumerate(objects)],
    }
    (folder / "objects.json").write_text(json.dumps(annotations))
    (folder / "results.json").write_text(json.dumps(to_coco(predictions, categories)))
    with contextlib.redirect_stdout(io.StringIO()):
        objects_read = COCO(folder / "objects.json")
        results = objects_read.loadRes(str(folder / "results.json"))
        evaluator = COCOeval(objects_read, results, "segm")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return [float(stat) for stat in evaluator.stats[:6]]


def assert_equal_to_pycocotools(
    predictions: list[Predictions],
    truths: list[GroundTruth],
    categories: list[int],
    folder: Path,
) -> None:
    table = coco_ap(predictions, truths, [str(c) for c in categories])
    expected = as_a_user(predictions, truths, categories, folder)
    assert list(table) == NAMES
    for name, stat in zip(NAMES, expected, strict=True):
        known = table[name][~np.isnan(table[name])]
        assert (known.mean() if len(known) else -1) == pytest.approx(stat, abs=1e-12)


def test_two_thirds_overlap_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    # IoU 0.8: found at 0.50, 0.55, … 0.80, 7 of 10 thresholds; 10 pixels are small.
    table = coco_ap([found((0.9, 1, 0, 8))], [truth((1, 0, 10))], ["cat", "dog"])

    assert table["AP"][0] == pytest.approx(0.7)
    assert table["AP50"][0] == table["AP75"][0] == pytest.approx(1)
    assert table["APs"][0] == pytest.approx(0.7)
    assert np.isnan(table["APl"][0])
    assert np.isnan(table["AP"][1])
    assert capsys.readouterr().out == ""


def test_nothing_predicted_scores_0() -> None:
    assert coco_ap([found()], [truth((1, 0, 10))], ["cat"])["AP"].tolist() == [0]


@settings(max_examples=15)
@given(st.integers(0, 2**31))
def test_equals_pycocotools_on_drawn_images(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    predictions, truths = blobs(images=6, classes=3, seed=seed)
    assume(any(bool((~image.ignore).any()) for image in truths))
    # pycocotools cannot read an empty list of results.
    assume(any(len(image) for image in predictions))
    folder = tmp_path_factory.mktemp("coco")
    assert_equal_to_pycocotools(predictions, truths, [4, 9, 30], folder)


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.sampled_from([12, 250]))
def test_equals_both_libraries_to_the_last_bit(seed: int, instances: int) -> None:
    """Also with ties, twin objects, areas not of the masks, and more than 100."""
    predictions, truths = blobs(
        images=6 if instances == 12 else 2, classes=2, seed=seed, instances=instances
    )
    draw = np.random.default_rng(seed)
    numbers = draw.permutation(50)[: len(truths)].tolist()
    predictions = [
        replace(one, image_id=i) for one, i in zip(predictions, numbers, strict=True)
    ]
    truths = [
        replace(
            one,
            image_id=i,
            label=one.label.repeat(2),
            masks=[*one.masks, *one.masks],
            ignore=torch.from_numpy(draw.random(2 * len(one.label)) < 0.3),
            area=one.area.repeat(2) * float(draw.choice([0.5, 1, 4])),
        )
        for one, i in zip(truths, numbers, strict=True)
    ]
    assume(any(bool((~image.ignore).any()) for image in truths))
    assert_equal_to_libraries(predictions, truths, ["a", "b"])


def test_equals_both_libraries_without_predictions() -> None:
    assert_equal_to_libraries([found()], [truth((1, 0, 10))], ["cat", "dog"])


def assert_equal_to_libraries(
    predictions: list[Predictions], truths: list[GroundTruth], classes: list[str]
) -> None:
    ours = coco_ap(predictions, truths, classes)
    assert list(ours) == NAMES
    for backend in (with_hotcoco, with_pycocotools):
        theirs = coco_ap_by(backend, predictions, truths, classes)
        for name in NAMES:
            np.testing.assert_array_equal(ours[name], theirs[name])


@pytest.mark.skipif(
    not (MINI / "annotations").is_dir(),
    reason="needs WSIS_COCO_MINI, a folder with annotations/instances_val.json",
)
def test_equals_pycocotools_on_photographs(tmp_path: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(MINI / "annotations" / "instances_val.json")
    categories = sorted(coco.getCatIds())
    draw = np.random.default_rng(0)
    predictions, truths = [], []
    for image in coco.loadImgs(sorted(coco.getImgIds())):
        size = (image["height"], image["width"])
        objects = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        masks = [coco.annToRLE(one) for one in objects]
        label = [categories.index(one["category_id"]) + 1 for one in objects]
        truths.append(
            GroundTruth(
                image_id=image["id"],
                size=size,
                label=torch.tensor(label, dtype=torch.long),
                masks=masks,
                ignore=torch.tensor([bool(one["iscrowd"]) for one in objects]).bool(),
                area=torch.tensor([float(one["area"]) for one in objects]).double(),
            )
        )
        # Each object shifted by a few pixels, two times, sometimes of a wrong class.
        shifted, labels = [], []
        for mask, c in zip(masks * 2, label * 2, strict=True):
            dense = np.roll(rle.decode(mask), draw.integers(-6, 7, 2), axis=(0, 1))
            shifted.append(rle.encode(np.asfortranarray(dense)))
            labels.append(c if draw.random() < 0.8 else int(draw.integers(1, 81)))
        predictions.append(
            Predictions(
                image_id=image["id"],
                size=size,
                index=torch.arange(len(labels)),
                label=torch.tensor(labels, dtype=torch.long),
                score=torch.from_numpy(draw.random(len(labels))).float(),
                boxes=torch.zeros(len(labels), 4),
                masks=shifted,
            )
        )

    assert sum(int(image.ignore.sum()) for image in truths) > 0
    assert_equal_to_pycocotools(predictions, truths, categories, tmp_path)
    assert_equal_to_libraries(predictions, truths, [str(c) for c in categories])
    metrics = evaluate(predictions, truths, [str(c) for c in categories]).metrics
    assert 0 < metrics["AP"] < metrics["AP50"] < 100
    assert 0 < metrics["mAP75"] < metrics["mAP25"] < 100


# --- Both ---


def test_percent_of_all_and_of_each_class() -> None:
    truths = [truth((1, 0, 10), (2, 10, 20))]
    predictions = [found((0.9, 1, 0, 8), (0.8, 3, 0, 8))]

    evaluation = evaluate(predictions, truths, ["cat", "dog", "cow"])

    # IoU 0.8 of cat, dog missed, no cow there.
    assert evaluation.metrics == pytest.approx(
        {
            "mAP25": 50,
            "mAP50": 50,
            "mAP70": 50,
            "mAP75": 50,
            "AP": 35,
            "AP50": 50,
            "AP75": 50,
            "APs": 35,
        }
    )
    assert evaluation.per_class["cat"]["AP"] == pytest.approx(70)
    assert evaluation.per_class["cat"]["APl"] is None
    assert evaluation.per_class["dog"]["mAP50"] == 0
    assert set(evaluation.per_class["cow"].values()) == {None}


def test_order_of_predictions_images_is_free() -> None:
    truths = [truth((1, 0, 4), image=1), truth((1, 5, 9), image=2)]
    predictions = [found((0.9, 1, 0, 4), image=1), found((0.8, 1, 5, 9), image=2)]

    one = evaluate(predictions, truths, ["cat"])

    assert one == evaluate(predictions[::-1], truths, ["cat"])


def test_refuses_two_classes_of_one_name() -> None:
    with pytest.raises(ValueError, match="classes to differ"):
        evaluate([found()], [truth((1, 0, 4))], ["cat", "cat"])
