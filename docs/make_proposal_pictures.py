"""Draws the best proposal of every object: what no strategy can exceed.

python docs/make_proposal_pictures.py docs/images/proposals.jpg
python docs/make_proposal_pictures.py look.jpg --data coco --images DIR --val JSON

A photo a row: the photo, then a tile per source with the best proposal of each object
and its IoU, then the objects. The documentation shows drawn scenes only.
"""

import argparse
import random
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from wsis import Scenes, plugins
from wsis.contracts import Annotated
from wsis.data.coco import CocoData
from wsis.geometry.drawing import overlay, resized, sheet
from wsis.geometry.masks import rles
from wsis.geometry.overlap import cross_iou


def main() -> None:
    """Writes one picture, and prints each source's average best overlap."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("--data", choices=("scenes", "coco"), default="scenes")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--val", type=Path)
    parser.add_argument("--sources", default="lab,hed")
    parser.add_argument("--photos", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", type=int, default=256)
    options = parser.parse_args()
    if options.data == "scenes":
        data = Scenes().val()
    else:
        data = CocoData(images=options.images, val_json=options.val).val()
    full = [i for i, t in enumerate(data.truths) if (~t.ignore).any()]
    chosen = sorted(random.Random(options.seed).sample(full, options.photos))
    sources = options.sources.split(",")
    tiles = [tile for i in chosen for tile in row(data, i, sources, options.side)]
    options.picture.parent.mkdir(parents=True, exist_ok=True)
    picture = Pillow.fromarray(sheet(tiles, len(sources) + 2))
    picture.save(options.picture, optimize=True, quality=85)


def row(data: Annotated, number: int, names: list[str], side: int) -> list[np.ndarray]:
    """The tiles of one photo."""
    pixels, truth = data.tagged.images[number].load(), data.truths[number]
    # Small ones on top, or large ones would hide them.
    order = truth.area.argsort().tolist()
    objects = [truth.masks[i] for i in order if not truth.ignore[i]]
    tiles = [resized(pixels, side)]
    for name in names:
        found = plugins.create("sources", name)(pixels)
        best, index = cross_iou(found, objects).max(0)
        print(f"{data.tagged.images[number].name} {name}: {best.mean():.3f}")
        captions = [f"{value:.2f}" for value in best.tolist()]
        tiles.append(overlay(pixels, rles(found, index), captions, side=side))
    return [*tiles, overlay(pixels, objects, side=side)]


if __name__ == "__main__":
    main()
