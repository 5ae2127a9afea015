import contextlib
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from wsis.evaluation.coco import with_hotcoco, with_pycocotools

from tests.evaluation.drawing import blobs, found, truth
from wsis.contracts import GroundTruth, Predictions
from wsis.evaluation import coco_ap, evaluate, to_coco

# pycocotools' decode has it under NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")

NAMES = ["AP", "AP50", "AP75", "APs", "APm", "APl"]
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
    countable = any(bool((~image.ignore).any()) for image in truths)
    # pycocotools cannot read an empty list of results.
    if countable and any(len(image) for image in predictions):
        folder = tmp_path_factory.mktemp("coco")
        assert_equal_to_pycocotools(predictions, truths, [4, 9, 30], folder)


@settings(max_examples=15)
@given(st.integers(0, 2**31))
def test_both_backends_agree_to_the_last_bit(seed: int) -> None:
    predictions, truths = blobs(images=6, classes=3, seed=seed)
    if any(bool((~image.ignore).any()) for image in truths):
        assert_backends_agree(predictions, truths, ["a", "b", "c"])


def test_both_backends_agree_without_predictions() -> None:
    assert_backends_agree([found()], [truth((1, 0, 10))], ["cat", "dog"])


def assert_backends_agree(
    predictions: list[Predictions], truths: list[GroundTruth], classes: list[str]
) -> None:
    fast, reference = (
        coco_ap(predictions, truths, classes, backend)
        for backend in (with_hotcoco, with_pycocotools)
    )
    assert list(fast) == list(reference) == NAMES
    for name in NAMES:
        np.testing.assert_array_equal(fast[name], reference[name])


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
    assert_backends_agree(predictions, truths, [str(c) for c in categories])
    metrics = evaluate(predictions, truths, [str(c) for c in categories]).metrics
    assert 0 < metrics["AP"] < metrics["AP50"] < 100
    assert 0 < metrics["mAP75"] < metrics["mAP25"] < 100
