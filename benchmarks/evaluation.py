"""Compares COCO's AP of wsis, hotcoco and pycocotools from the same masks, in one run.

    python -m benchmarks.evaluation --annotations instances_val.json

Predictions are the objects of the file, copied with a shift of up to 12 pixels, ten to
an object, with scores and sometimes classes at random. All figures are compared to the
last bit. Without a file, drawn scenes take its place. Other measurements of the same
predictions are timed beside them. Seconds are of the processor, all threads together,
as others may be using the machine.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from pycocotools import mask as rle

from tests.evaluation.oracles import coco_ap_by, with_hotcoco, with_pycocotools
from wsis.contracts import GroundTruth
from wsis.data.coco import read_annotated
from wsis.data.scenes.drawn import Scenes
from wsis.evaluation import coco_ap, dissect, evaluate, voc_ap
from wsis.evaluation.matches import Matches, tabulate
from wsis.geometry.masks import from_masks
from wsis.geometry.predictions import Predictions


def shifted(
    truth: GroundTruth, classes: int, copies: int, draw: np.random.Generator
) -> Predictions:
    masks, labels = [], []
    for mask, label in zip(truth.masks, truth.label.tolist(), strict=True):
        pixels = rle.decode(mask)
        for _ in range(copies):
            step = draw.integers(-12, 13, 2)
            masks.append(rle.encode(np.asfortranarray(np.roll(pixels, step, (0, 1)))))
            other = int(draw.integers(1, classes + 1))
            labels.append(other if draw.random() < 0.2 else label)
    score = np.sort(draw.random(len(masks)))[::-1].copy()
    return Predictions(
        image_id=truth.image_id,
        size=truth.size,
        index=torch.arange(len(masks)),
        label=torch.tensor(labels, dtype=torch.long),
        score=torch.from_numpy(score),
        boxes=torch.zeros(len(masks), 4),
        masks=masks,
    )


def fastest(work: Callable[[], object], repeats: int) -> float:
    """Processor seconds, of all threads, of the fastest call."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def report(
    predictions: Sequence[Predictions],
    truths: Sequence[GroundTruth],
    classes: Sequence[str],
    repeats: int,
) -> None:
    given = predictions, truths, classes
    ours = coco_ap(*given)
    for backend in (with_hotcoco, with_pycocotools):
        for name, row in coco_ap_by(backend, *given).items():
            np.testing.assert_array_equal(ours[name], row)
    whole = [from_masks(torch.ones(1, *one.size, dtype=torch.bool)) for one in truths]
    ways = {
        "AP, wsis": lambda: coco_ap(*given),
        "AP, hotcoco": lambda: coco_ap_by(with_hotcoco, *given),
        "AP, pycocotools": lambda: coco_ap_by(with_pycocotools, *given),
        "mAP by VOC's rules": lambda: voc_ap(*given),
        "AP and mAP": lambda: evaluate(*given),
        "matches of a bench": lambda: Matches.of(tabulate(*given)),
        "anatomy": lambda: dissect(predictions, truths, whole, classes),
    }
    objects = sum(len(one.masks) for one in truths)
    made = sum(len(one) for one in predictions)
    print(f"{len(truths)} images, {objects} objects, {made} predictions,", end=" ")
    print(f"{len(classes)} classes; mean AP {100 * np.nanmean(ours['AP']):.1f}")
    base = None
    for name, work in ways.items():
        seconds = fastest(work, repeats)
        base = base or seconds
        print(f"{name:20} {seconds:8.3f} s  {seconds / base:6.1f}x")
    print("COCO's figures agree to the last bit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--annotations", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.annotations is None:
        val = Scenes().val()
    else:
        folder = arguments.images or arguments.annotations.parent.parent / "images"
        val = read_annotated(arguments.annotations, folder)
    truths, classes = list(val.truths), val.tagged.classes
    draw = np.random.default_rng(0)
    predictions = [shifted(one, len(classes), arguments.copies, draw) for one in truths]
    report(predictions, truths, classes, arguments.repeats)


if __name__ == "__main__":
    main()
