import builtins
import io
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from wsis.geometry.masks import encode, from_masks, rles, to_dense
from wsis.geometry.predictions import Predictions


def found(*, classes=("cat", "dog"), load=None):
    """A cat on the left half of a 4 x 8 image and two dogs on its columns 4 to 5."""
    masks = torch.zeros(3, 4, 8, dtype=torch.bool)
    masks[0, :, :4], masks[1, :, 4:6], masks[2, :, 4:5] = True, True, True
    proposals = from_masks(masks)
    return Predictions(
        image_id=7,
        size=(4, 8),
        index=torch.tensor([4, 2, 9]),
        label=torch.tensor([1, 2, 2]),
        score=torch.tensor([0.9, 0.5, 0.125]),
        boxes=torch.tensor([[0, 0, 4, 4], [4, 0, 6, 4], [4, 0, 5, 4.0]]),
        masks=rles(proposals, torch.arange(3)),
        classes=classes,
        load=load,
    )


@pytest.mark.parametrize(
    ("given", "index"),
    [
        ({}, [4, 2, 9]),
        ({"min_score": 0.5}, [4, 2]),
        ({"classes": ["dog"]}, [2, 9]),
        ({"classes": [1]}, [4]),
        ({"classes": ["dog"], "min_score": 0.2}, [2]),
        ({"classes": []}, []),
    ],
)
def test_filters_by_score_and_class(given, index):
    kept = found().filter(**given)

    assert kept.index.tolist() == index
    assert len(kept.masks) == len(kept.boxes) == len(index)


@pytest.mark.parametrize("wrong", ["bird", 3, 0])
def test_a_class_that_is_not_there_is_refused(wrong):
    with pytest.raises(ValueError, match="expected classes among cat, dog, got"):
        found().filter(classes=[wrong])


@pytest.mark.parametrize("wrong", [float("nan"), -0.1, 50.0])
def test_a_score_that_none_can_have_is_refused(wrong):
    with pytest.raises(ValueError, match=r"min_score must be in \[0, 1\], got"):
        found().filter(min_score=wrong)


def test_takes_one_class_by_its_name():
    assert found().filter(classes="dog").index.tolist() == [2, 9]


def test_exclusive_instances_keep_what_no_better_one_has():
    masks = torch.zeros(4, 4, 8, dtype=torch.bool)
    masks[0, :, 2:6] = True  # the best, though it comes second
    masks[1, :, :4] = True
    masks[2, 1:3, 3:5] = True  # inside the best
    masks[3, :, 6:] = True
    alone = Predictions.of_masks(
        1,
        (4, 8),
        encode(masks[[1, 0, 2, 3]]),
        label=torch.tensor([1, 2, 1, 2]),
        score=torch.tensor([0.5, 0.9, 0.4, 0.4]),
        index=torch.tensor([1, 0, 2, 3]),
    ).exclusive()

    assert alone.index.tolist() == [1, 0, 3]
    dense = to_dense(alone.masks)
    assert dense[0].tolist() == [[True] * 2 + [False] * 6] * 4
    assert torch.equal(dense[1:], masks[[0, 3]])
    assert alone.boxes.tolist() == [[0, 0, 2, 4], [2, 0, 6, 4], [6, 0, 8, 4]]
    assert len(alone.chosen(torch.zeros(3, dtype=torch.bool)).exclusive()) == 0


def test_agreement_follows_its_instances():
    known = replace(found(), agreement=torch.tensor([1.0, 0.5, 0.0]))

    assert known.filter(classes=["dog"]).agreement.tolist() == [0.5, 0.0]
    assert found().filter(classes=["dog"]).agreement is None


def test_prints_in_one_line():
    assert repr(found()) == (
        "Predictions(3 on 8 x 4 pixels: cat 0.90, dog 0.50, dog 0.12)"
    )
    assert repr(found(classes=()).filter(min_score=0.6)) == (
        "Predictions(1 on 8 x 4 pixels: 1 0.90)"
    )


def test_becomes_coco_results():
    first, *_ = found().to_coco([11, 13])

    assert first["image_id"] == 7
    assert first["category_id"] == 11
    assert first["score"] == pytest.approx(0.9)
    assert first["segmentation"]["size"] == [4, 8]
    assert [one["category_id"] for one in found(classes=()).to_coco()] == [1, 2, 2]
    with pytest.raises(ValueError, match="labels in 1…1, got 2"):
        found().to_coco([11])


def test_draws_itself_where_the_photo_is_known():
    known = found(load=lambda: np.full((4, 8, 3), 128, np.uint8))

    picture = Pillow.open(io.BytesIO(known._repr_png_()))

    assert picture.size == (800, 400)
    assert known.draw().shape == (4, 8, 3)
    assert (known.draw()[:, :4] != 128).any()
    assert (known.draw()[:, 6:] == 128).all()
    assert found()._repr_png_() is None
    with pytest.raises(ValueError, match="know their photo"):
        found().draw()


@pytest.fixture
def supervision():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an OpenCV that is not there
        yield pytest.importorskip("supervision")


def test_becomes_supervision_detections_with_compact_masks(supervision):
    if not hasattr(supervision, "CompactMask"):
        pytest.skip("the installed supervision has no CompactMask")
    detections = found().to_supervision()

    assert detections.class_id.tolist() == [1, 2, 2]
    assert detections.data["class_name"].tolist() == ["cat", "dog", "dog"]
    assert isinstance(detections.mask, supervision.CompactMask)
    assert (np.asarray(detections.mask) == to_dense(found().masks).numpy()).all()
    assert detections.confidence.tolist() == pytest.approx([0.9, 0.5, 0.125])
    assert found().filter(min_score=1.0).to_supervision().mask is None


def test_an_old_supervision_gets_few_dense_masks(supervision, monkeypatch):
    monkeypatch.delattr(supervision, "CompactMask", raising=False)
    assert found().to_supervision().mask.sum((1, 2)).tolist() == [16, 8, 4]

    monkeypatch.setattr("wsis.geometry.predictions._DENSE", 0)
    with pytest.raises(ImportError, match=r"no CompactMask, .* pip install -U"):
        found().to_supervision()


def test_says_how_to_get_supervision(monkeypatch):
    whole = builtins.__import__

    def without(name, *rest):
        if name == "supervision":
            raise ImportError("no module")
        return whole(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="pip install supervision"):
        found().to_supervision()


def test_counted_classes_keep_their_best_instances():
    assert found().at_most({"dog": 1}).index.tolist() == [4, 2]
    assert found().at_most({"dog": 5, "cat": 0}).index.tolist() == [4, 2, 9]
    with pytest.raises(ValueError, match="at least 0, got dog -1"):
        found().at_most({"dog": -1})
    with pytest.raises(ValueError, match=r"whole counts of at least 0, got dog 1\.5"):
        found().at_most({"cat": 0, "dog": 1.5})
    with pytest.raises(ValueError, match="expected classes among"):
        found().at_most({"cow": 1})
