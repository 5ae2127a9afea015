"""Exact overlaps of 1,000 proposals: ours beside two other ways, in one run.

    python benchmarks/overlaps.py

For proposals of a region tree and for masks from anywhere, on a drawn 480 × 640 image,
prints the seconds and the peak memory of

- ours, ``overlaps``; for masks from anywhere also with ``from_masks`` before it;
- pycocotools' IoU of the masks' run-length encodings, without and with the encoding;
- the plain loop that counts the pixels of every pair. Some of its pairs are timed and
  the rest is extrapolated; it needs the dense masks, which are not counted.

All values are compared: IoU to the last digit of float32.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from pycocotools import mask as coco
from torch import Tensor

from wsis._support.memory import peak_megabytes, reset_peak
from wsis.contracts import Proposals
from wsis.geometry.masks import dense, from_masks
from wsis.geometry.overlap import overlaps
from wsis.proposals import RegionTree

HEIGHT, WIDTH = 480, 640
CPU = torch.device("cpu")


def ellipses(count: int, generator: np.random.Generator) -> Tensor:
    """Return masks anywhere, in any direction, with half axes of 10 to 200 pixels."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    masks = np.empty((count, HEIGHT, WIDTH), dtype=bool)
    for mask in masks:
        cy, cx = generator.uniform(0, (HEIGHT, WIDTH))
        a, b = generator.uniform(10, 200, 2)
        cos, sin = np.cos(t := generator.uniform(0, np.pi)), np.sin(t)
        u, v = (x - cx) * cos + (y - cy) * sin, (y - cy) * cos - (x - cx) * sin
        mask[:] = (u / a) ** 2 + (v / b) ** 2 < 1
        mask[int(cy), int(cx)] = True
    return torch.from_numpy(masks)


def photo(generator: np.random.Generator) -> np.ndarray:
    """Return a picture of noisy ellipses over each other."""
    image = np.full((HEIGHT, WIDTH, 3), 128.0)
    for mask in ellipses(60, generator).numpy():
        image[mask] = generator.uniform(0, 255, 3)
    noise = generator.normal(0, 12, image.shape)
    return (image + noise).clip(0, 255).astype(np.uint8)


def measured(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the fastest call's seconds and its peak of megabytes above the start."""
    seconds = []
    reset_peak(CPU)
    before = peak_megabytes(CPU)
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), peak_megabytes(CPU) - before


def dense_masks(proposals: Proposals) -> Tensor:
    return dense(proposals, torch.arange(len(proposals)))


def compare(name: str, proposals: Proposals, pairs: int, repeats: int) -> None:
    """Time all ways, check that they agree and print one table."""
    masks = dense_masks(proposals)
    pixels = masks.numpy()
    # COCO's column order, made ready so that only the encoding itself is timed.
    columns = np.asfortranarray(pixels.transpose(1, 2, 0).view(np.uint8))
    encoded = coco.encode(columns)
    crowd = [0] * len(encoded)
    chosen = np.random.default_rng(1).integers(len(pixels), size=(pairs, 2))
    ours = overlaps(proposals).iou.numpy()

    area = pixels.sum((1, 2))

    def loop() -> list[float]:
        shared = [(pixels[i] & pixels[j]).sum() for i, j in chosen]
        return list(shared / (area[chosen].sum(1) - shared))

    assert np.array_equal(ours[tuple(chosen.T)], np.array(loop(), dtype=np.float32))
    theirs = coco.iou(encoded, encoded, crowd).astype(np.float32)
    assert np.array_equal(ours, theirs)

    rows = {
        "ours": measured(lambda: overlaps(proposals), repeats),
        "ours, from dense masks": measured(
            lambda: overlaps(from_masks(masks)), repeats
        ),
        "pycocotools": measured(lambda: coco.iou(encoded, encoded, crowd), repeats),
        "pycocotools, from dense masks": measured(
            lambda: coco.iou(made := coco.encode(columns), made, crowd), repeats
        ),
    }
    seconds, memory = measured(loop, 1)
    every = len(pixels) * (len(pixels) - 1) // 2
    rows[f"pixel loop, from {pairs} of {every} pairs"] = (
        seconds * every / pairs,
        memory,
    )
    print(f"\n{name}: {len(proposals)} masks, {proposals.members.shape[1]} regions")
    print(f"{'':44} seconds     ratio   peak MB")
    for way, (seconds, memory) in rows.items():
        ratio = seconds / rows["ours"][0]
        print(f"{way:44} {seconds:7.3f}  {ratio:7.1f}x  {memory:8.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    generator = np.random.default_rng(arguments.seed)
    source = RegionTree(nodes=3 * arguments.count // 4, pairs=arguments.count // 4)
    start = time.perf_counter()
    proposals = source(photo(generator))
    print(f"region tree: {time.perf_counter() - start:.2f} s")
    settings = arguments.pairs, arguments.repeats
    compare("proposals of a region tree", proposals, *settings)
    masks = ellipses(arguments.count, generator)
    compare("masks from anywhere", from_masks(masks), *settings)
    print("\nall values agree")


if __name__ == "__main__":
    main()
