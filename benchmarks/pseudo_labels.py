"""How right pseudo labels of the drawn scenes are, by what is trusted.

The masks of training scenes are looked at here, after the fact, and nowhere else.

wsis train --out run --set source.nodes=400 --set source.pairs=200
python benchmarks/pseudo_labels.py run
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from pycocotools import mask as rle

from wsis import Scenes
from wsis._support.places import cache_folder
from wsis.contracts import GroundTruth, Predictions
from wsis.runs.refine import Trust
from wsis.runs.run import load_run

TRUSTS = [
    *(Trust(min_score=score) for score in (0.05, 0.1, 0.2, 0.3, 0.5)),
    Trust(min_score=1, top_per_tag=1),
    Trust(top_per_tag=1),
]


def main() -> None:
    """Prints a row of a table for every way to trust."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--cache", type=Path, default=cache_folder(None))
    options = parser.parse_args()
    run = load_run(options.run, device="cpu", cache=options.cache)
    scenes = Scenes()
    images = scenes.train().images
    truths = scenes.train_truths()
    found = [run.find(image) for image in images]
    print("| min_score | top_per_tag | labels a photo | right | objects found |")
    print("|---|---|---|---|---|")
    for trust in TRUSTS:
        trusted = [trust(f, i.tags) for f, i in zip(found, images, strict=True)]
        labels = sum(map(len, trusted))
        right, hit, objects = compared(trusted, truths)
        print(
            f"| {trust.min_score:g} | {trust.top_per_tag} | {labels / len(images):.2f} "
            f"| {100 * right / max(1, labels):.1f} | {100 * hit / objects:.1f} |"
        )


def compared(
    trusted: Sequence[Predictions], truths: Sequence[GroundTruth]
) -> tuple[int, int, int]:
    """Labels with IoU above 0.5 to an object of their class; objects hit; objects."""
    right, hit, objects = 0, 0, 0
    for labels, truth in zip(trusted, truths, strict=True):
        clear = ~truth.ignore
        objects += int(clear.sum())
        if len(labels):
            crowds = [0] * len(truth.masks)
            iou = rle.iou(list(labels.masks), list(truth.masks), crowds)
            good = torch.from_numpy(iou) > 0.5
            good &= labels.label[:, None] == truth.label
            right += int(good.any(1).sum())
            hit += int((good.any(0) & clear).sum())
    return right, hit, objects


if __name__ == "__main__":
    main()
