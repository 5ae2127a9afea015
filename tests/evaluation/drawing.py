"""Objects and predictions as stretches of an image that is one row of 20 pixels."""

import numpy as np
import torch
from pycocotools import mask as rle

from wsis.contracts import GroundTruth, Rle
from wsis.evaluation import kinds
from wsis.evaluation.matches import tabulate
from wsis.geometry.predictions import Predictions

SIZE = (1, 20)


def strip(start: int, stop: int, width: int = 20) -> Rle:
    mask = np.zeros((1, width), np.uint8, order="F")
    mask[:, start:stop] = 1
    encoded: Rle = rle.encode(mask)
    return encoded


def truth(
    *objects: tuple[int, int, int], image: int = 1, ignore: tuple[int, ...] = ()
) -> GroundTruth:
    """Objects are (label, start, stop); ``ignore`` tells which ones don't count."""
    return GroundTruth(
        image_id=image,
        size=SIZE,
        label=torch.tensor([label for label, _, _ in objects], dtype=torch.long),
        masks=[strip(start, stop) for _, start, stop in objects],
        ignore=torch.tensor([i in ignore for i in range(len(objects))]).bool(),
        area=torch.tensor([float(stop - start) for _, start, stop in objects]),
    )


def found(
    *instances: tuple[float, int, int, int], image: int = 1, width: int = 20
) -> Predictions:
    """Instances are (score, label, start, stop)."""
    count = len(instances)
    spans = [(float(start), 0.0, float(stop), 1.0) for _, _, start, stop in instances]
    return Predictions(
        image_id=image,
        size=(1, width),
        index=torch.arange(count),
        label=torch.tensor([label for _, label, _, _ in instances], dtype=torch.long),
        score=torch.tensor([score for score, _, _, _ in instances]).float(),
        boxes=torch.tensor(spans).reshape(-1, 4),
        masks=[strip(start, stop, width) for _, _, start, stop in instances],
    )


def sort(predictions, truths, proposals, classes, rules) -> kinds.Sorted:
    """Tabulate, then sort."""
    table = tabulate(predictions, truths, classes, across=True)
    return kinds.sort(table, truths, proposals, rules)


def blobs(
    images: int, classes: int, seed: int, objects: int = 4, instances: int = 12
) -> tuple[list[Predictions], list[GroundTruth]]:
    """Random rectangles and noisy copies; with crowds, ties, empty images."""
    draw = np.random.default_rng(seed)
    predictions, truths = [], []
    for image in range(images):
        height, width = draw.integers(60, 140, 2).tolist()

        def rectangle(near: tuple[int, ...] | None, size: tuple[int, int]) -> Rle:
            height, width = size
            top, left = draw.integers(0, (height - 8, width - 8)).tolist()
            bottom, right = draw.integers((top + 4, left + 4), size).tolist()
            if near is not None:
                step = draw.integers(-4, 5, 4).tolist()
                top, left, bottom, right = (
                    max(0, a + b) for a, b in zip(near, step, strict=True)
                )
            mask = np.zeros(size, np.uint8, order="F")
            mask[top : max(bottom, top + 1), left : max(right, left + 1)] = 1
            encoded: Rle = rle.encode(mask)
            return encoded

        count = int(draw.integers(0, objects + 1))
        masks = [rectangle(None, (height, width)) for _ in range(count)]
        label = draw.integers(1, classes + 1, count)
        area = [float(rle.area(mask)) for mask in masks]
        truths.append(
            GroundTruth(
                image_id=image * 7,
                size=(height, width),
                label=torch.from_numpy(label),
                masks=masks,
                ignore=torch.from_numpy(draw.random(count) < 0.2),
                area=torch.tensor(area, dtype=torch.float32),
            )
        )
        chosen, labels = [], []
        for _ in range(int(draw.integers(0, instances + 1))):
            near, c = None, int(draw.integers(1, classes + 1))
            if count and draw.random() < 0.7:
                k = int(draw.integers(0, count))
                x, y, w, h = (int(v) for v in rle.toBbox(masks[k]))
                near, c = (y, x, y + h, x + w), int(label[k])
            chosen.append(rectangle(near, (height, width)))
            labels.append(c)
        # Scores of one digit, so that many are equal.
        score = np.sort(draw.integers(0, 10, len(chosen)) / 10)[::-1].copy()
        boxes = torch.zeros(len(chosen), 4)
        predictions.append(
            Predictions(
                image_id=image * 7,
                size=(height, width),
                index=torch.arange(len(chosen)),
                label=torch.tensor(labels, dtype=torch.long),
                score=torch.from_numpy(score).float(),
                boxes=boxes,
                masks=chosen,
            )
        )
    return predictions, truths
