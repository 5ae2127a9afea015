"""A tiny data set of coloured squares, for tests that train."""

from dataclasses import replace
from functools import partial

import numpy as np
import torch

from wsis.contracts import Annotated, GroundTruth, Tagged, TaggedImage
from wsis.data.points import Pointed
from wsis.geometry.masks import from_masks, rles
from wsis.runs.settings import Settings

CLASSES = ("red", "blue")
COLOURS = ((220, 40, 40), (40, 40, 220))
SIZE = (48, 64)

FAST = (
    "source.nodes=30",
    "source.pairs=10",
    "source.side=64",
    "train_sides=64",
    "test_sides=64",
    "backbone.weights=random",
    "head.width=8",
    "schedule.epochs=2",
)


def settings(*overrides):
    """Settings under which training takes a moment."""
    return Settings.read([*FAST, *overrides])


class Squares:
    """Images with one square each; ``truths`` may be taken away."""

    def __init__(self, train=6, val=3, seed=0):
        self.counts = {"train": train, "val": val}
        self.seed = seed

    def train(self):
        return self._tagged("train")

    def val(self):
        tagged = self._tagged("val")
        truths = [self._truth("val", image.id) for image in tagged.images]
        return Annotated(tagged=tagged, truths=truths)

    def _tagged(self, split):
        images = []
        for i in range(self.counts[split]):
            tags = torch.arange(2) == i % 2
            images.append(
                TaggedImage(
                    id=i,
                    name=f"{split} {i}",
                    tags=tags,
                    load=partial(self._load, split, i),
                )
            )
        return Tagged(name="squares", classes=CLASSES, images=images)

    def _truth(self, split, i):
        mask = torch.from_numpy(self._draw(split, i)[1])[None]
        return GroundTruth(
            image_id=i,
            size=SIZE,
            label=torch.tensor([i % 2 + 1]),
            masks=rles(from_masks(mask), torch.tensor([0])),
            ignore=torch.tensor([False]),
            area=mask.sum((1, 2)).float(),
        )

    def _load(self, split, i):
        return self._draw(split, i)[0]

    def _draw(self, split, i):
        random = np.random.default_rng([self.seed, split == "val", i])
        image = random.integers(90, 130, (*SIZE, 3), np.uint8)
        y, x = random.integers(2, 18), random.integers(2, 34)
        mask = np.zeros(SIZE, bool)
        mask[y : y + 26, x : x + 26] = True
        image[mask] = COLOURS[i % 2]
        return image, mask


class Masked(Squares):
    """Squares that know the objects of their training images, too."""

    def train_truths(self):
        return [self._truth("train", i) for i in range(self.counts["train"])]


class Crowded(Masked):
    """Squares whose training images have nothing but crowds."""

    def train_truths(self):
        found = super().train_truths()
        return [replace(one, ignore=torch.ones_like(one.ignore)) for one in found]


def pointed(folder, *halves, data=None):
    """Squares of which the images of ``halves`` have a point in the middle."""
    data = data or Masked(train=5, val=4)
    lines = [
        f"{image.name},32,24,{CLASSES[image.id % 2]}"
        for half in (data.train(), data.val().tagged)
        for image in half.images
        if image.name.split()[0] in halves
    ]
    file = folder / "points.csv"
    file.write_text("\n".join(["file,x,y,class", *lines]))
    return Pointed(source=data, file=file)
