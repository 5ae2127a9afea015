"""A folder as wsis predict writes it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from wsis._support.files import write_json
from wsis.evaluation import coco_data_set
from wsis.geometry.masks import encode
from wsis.geometry.predictions import Predictions
from wsis.report import REVIEW, review, write_review

CLASSES = ("dog", "<b>cat</b>", "owl")


@pytest.fixture
def found(tmp_path):
    """Three photos, two of one name: a dog twice, a dog and a cat, nothing."""
    names = ["one/a.png", "two/a.png", "b.png"]
    rows = [([1, 1], [0.8, 0.3]), ([1, 2], [0.4, 0.6]), ([], [])]
    predictions = []
    for i, (name, (labels, scores)) in enumerate(zip(names, rows, strict=True), 1):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pixels = np.full((20, 30, 3), 80 * i, np.uint8)
        Pillow.fromarray(pixels).save(tmp_path / name)
        masks = torch.zeros(len(labels), 20, 30, dtype=torch.bool)
        masks[:, 5:15, 5 * i : 20] = True
        one = Predictions.of_masks(
            i,
            (20, 30),
            encode(masks),
            label=torch.tensor(labels, dtype=torch.long),
            score=torch.tensor(scores, dtype=torch.float32),
        )
        predictions.append(replace(one, classes=CLASSES))
    folder = tmp_path / "found"
    folder.mkdir()
    ways = [f"../{name}" for name in names]
    coco = coco_data_set(names, predictions, CLASSES, (1, 2, 3), {}, ways)
    write_json(folder / "predictions.json", coco)
    tags = [frozenset({"dog"}), frozenset({"dog"}), frozenset({"owl"})]
    write_review(folder / REVIEW, names, review(predictions, tags))
    return folder
