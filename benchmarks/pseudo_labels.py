r"""Prints how many pseudo labels of the drawn scenes are right, by what is trusted.

The masks of training scenes are read here, after training, and nowhere else.

    wsis train --recipe paper-small --data scenes --out run \
      --set source.nodes=400 --set source.pairs=200
    python benchmarks/pseudo_labels.py run
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from wsis import Scenes
from wsis._support.places import cache_folder
from wsis.contracts import GroundTruth
from wsis.evaluation.matches import Meeting
from wsis.geometry.predictions import Predictions
from wsis.runs.refine import Trust
from wsis.runs.run import load_run

TRUSTS = [
    *(Trust(min_score=score) for score in (0.05, 0.1, 0.2, 0.3, 0.5)),
    Trust(min_score=1, top_per_tag=1),
    Trust(top_per_tag=1),
]


def main() -> None:
    """Print a row of a table for every way to trust."""
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
    """Return how many labels are right, and how many objects are hit, of how many.

    A label is right, and hits an object of its class, if their IoU is above 0.5.
    """
    right, hit, objects = 0, 0, 0
    for labels, truth in zip(trusted, truths, strict=True):
        clear = ~truth.ignore
        objects += int(clear.sum())
        good = torch.from_numpy(Meeting.of(labels.masks, truth.masks).iou) > 0.5
        good &= labels.label[:, None] == truth.label
        right += int(good.any(1).sum())
        hit += int((good.any(0) & clear).sum())
    return right, hit, objects


if __name__ == "__main__":
    main()
