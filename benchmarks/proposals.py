"""How well a proposal source covers the objects of a COCO-format folder.

    python benchmarks/proposals.py --images DIR --annotations A.json --limit 40

Prints, for every budget of proposals, the average best overlap and the recall at IoU
0.5 and 0.7 over all objects (crowds left out), also over large ones, and the seconds
per image. The annotations are only measured against.
"""

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco

from wsis import plugins
from wsis.contracts import Rle
from wsis.overlaps import cross_iou

BUDGETS = (100, 200, 300, 500, 700, 1000)
LARGE = 0.04
"""Share of the image from which an object counts as large."""


def objects(annotation: Path, limit: int) -> dict[str, list[Rle]]:
    """Masks of the first ``limit`` photos that have any, by file name."""
    content = json.loads(annotation.read_text())
    images = {image["id"]: image for image in content["images"]}
    found: dict[str, list[Rle]] = defaultdict(list)
    for record in content["annotations"]:
        image = images[record["image_id"]]
        if record.get("iscrowd"):
            continue
        mask = record["segmentation"]
        if isinstance(mask, list):
            parts = coco.frPyObjects(mask, image["height"], image["width"])
            mask = coco.merge(parts)
        if coco.area(mask):
            found[image["file_name"]].append(mask)
    return {name: found[name] for name in sorted(found)[:limit]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--source", default="region_tree")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    settings = dict(item.split("=", 1) for item in arguments.set)
    source = plugins.create("sources", arguments.source, settings)
    best, shares, seconds, counts = [], [], [], []
    for name, masks in objects(arguments.annotations, arguments.limit).items():
        image = np.asarray(Image.open(arguments.images / name).convert("RGB"))
        start = time.perf_counter()
        proposals = source(image)
        seconds.append(time.perf_counter() - start)
        counts.append(len(proposals))
        iou = cross_iou(proposals, masks).numpy()
        best.append(np.stack([iou[:budget].max(0) for budget in BUDGETS], 1))
        shares.append(coco.area(masks) / image[..., 0].size)
    overlap, large = np.concatenate(best), np.concatenate(shares) > LARGE

    print(
        f"{source}\n{len(seconds)} photos, {len(overlap)} objects, {large.sum()} large"
    )
    print(f"{np.mean(counts):.0f} proposals, {np.mean(seconds):.2f} s per photo")
    print("budget    ABO   R@.5   R@.7   large: ABO   R@.5   R@.7")
    for budget, column in zip(BUDGETS, overlap.T, strict=True):
        figures = [
            figure
            for part in (column, column[large])
            for figure in (part.mean(), (part >= 0.5).mean(), (part >= 0.7).mean())
        ]
        line = "  ".join(f"{100 * figure:5.1f}" for figure in figures)
        print(f"{budget:6}  {line[:19]}       {line[21:]}")


if __name__ == "__main__":
    main()
