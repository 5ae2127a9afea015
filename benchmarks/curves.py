"""How time and memory grow with photos, proposals, classes and instances.

    python benchmarks/curves.py
    python benchmarks/curves.py --record

Each figure has a process of its own, which trains on records that are drawn: an image
of 32 pixels, rectangles of a grid as its proposals, tags. Backbone and head are tiny,
so that figures tell how costs grow and not what a training costs. Features and cues
are kept in a cache, as every training on a frozen backbone keeps them: one pass makes
them all, then some steps read them. One number is varied, the others stay.

Prints one line of JSON a figure, with the processor's milliseconds of a training step
(median) and the megabytes that the process took at most above its start; then a line
for each number that was varied, with the slopes of both in log-log: 1 is growth in
proportion, 0 none. ``--record`` keeps these as rows for ``benchmarks/speed.md``.
"""

import argparse
import datetime
import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from wsis._support.memory import peak_megabytes, reset_peak
from wsis._support.provenance import commit, device_in_words
from wsis.contracts import (
    Image,
    Ledger,
    Overlaps,
    Proposals,
    Tagged,
    TaggedImage,
)
from wsis.proposals.bags import counted
from wsis.runs.pipeline import CPU, Pipeline
from wsis.runs.settings import Settings

RESULTS = Path(__file__).parent / "results" / "curves.jsonl"
GRID, CELL = 8, 4
"""Cells of a side, and pixels of a cell's side."""

BASE = {"photos": 40, "proposals": 500, "classes": 20, "instances": 2}
CURVES = {
    "proposals": (250, 500, 1_000, 2_000),
    "classes": (5, 20, 80, 320),
    "instances": (1, 2, 4, 8, 16),
    "photos": (400, 4_000, 40_000),
}
"""What is varied: records, proposals a record, classes, and tags a record, each of
which has its pseudo instances."""

MANY = {"proposals": 20}
"""What differs while photos are varied, as features of 40,000 fill a disk."""


@dataclass(frozen=True)
class Rectangles:
    """Rectangles of a grid of cells, the same in every record.

    Args:
        count: of the proposals.
    """

    version = 1
    count: int

    @property
    def ledger(self) -> Ledger:
        """Nobody labelled anything."""
        return frozenset()

    def origin(self, key: str) -> str:
        """Name them all alike."""
        del key
        return "rectangles"

    def get(self, key: str, load: Callable[[], Image]) -> Proposals:
        """Return the proposals of any record."""
        del key
        return self(load())

    def __call__(self, image: Image) -> Proposals:
        """Return the proposals of any record."""
        del image
        draw = np.random.default_rng(0)
        regions = torch.arange(GRID * GRID).view(GRID, GRID)
        members = torch.zeros(self.count, GRID, GRID, dtype=torch.bool)
        for member in members:
            top, left = draw.integers(0, GRID, 2)
            bottom, right = draw.integers((top, left), GRID)
            member[top : bottom + 1, left : right + 1] = True
        return Proposals(
            regions=regions.repeat_interleave(CELL, 0).repeat_interleave(CELL, 1),
            members=members.flatten(1),
            objectness=torch.linspace(1, 0, self.count),
            source="rectangles",
        )


class Shrinking(nn.Module):
    """A backbone that shrinks the image and mixes its channels."""

    version = 1
    channels, stride = 8, CELL
    mean, std = (127.0,) * 3, (60.0,) * 3
    ledger: Ledger = frozenset()

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, self.channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the map."""
        mixed: Tensor = self.mix(functional.avg_pool2d(images, self.stride))
        return mixed


@dataclass(frozen=True)
class First:
    """Cues that trust the first proposals, one for each tag."""

    version = 1

    @property
    def ledger(self) -> Ledger:
        """Nobody labelled anything."""
        return frozenset()

    def fit(self, maps: Any, tags: Tensor, generator: torch.Generator) -> "First":
        """Learn nothing."""
        del maps, tags, generator
        return self

    def __call__(
        self, image: TaggedImage, map: Tensor, proposals: Proposals, overlaps: Overlaps
    ) -> Tensor:
        """Return a cluster of one proposal for each tag."""
        del map, overlaps
        labels = torch.zeros(len(proposals), len(image.tags) + 1, dtype=torch.long)
        for i, c in enumerate(image.tags.nonzero().flatten().tolist()):
            labels[i, c + 1] = i + 1
        return labels


def drawn(number: int) -> Image:
    """Return the pixels of a record."""
    side = GRID * CELL
    return np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8)


def records(count: int, classes: int, tags: int) -> Tagged:
    """Return records whose pixels are drawn when they are asked for."""
    images = [
        TaggedImage(
            id=i,
            name=str(i),
            tags=(torch.arange(classes) - i) % classes < tags,
            load=partial(drawn, i),
        )
        for i in range(count)
    ]
    names = tuple(map(str, range(classes)))
    return Tagged(name="drawn", classes=names, images=images)


def measured(
    photos: int, proposals: int, classes: int, instances: int, steps: int
) -> dict[str, float]:
    """Return the milliseconds of a step and the megabytes above the start."""
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = Shrinking()
    settings = Settings.read(
        {
            "backbone": backbone,
            "source": Rectangles(proposals),
            "cues": First(),
            "head.width": 32,
            "head.reduced": 4,
            "train_sides": [GRID * CELL],
            "test_sides": [GRID * CELL],
        }
    )
    with tempfile.TemporaryDirectory() as cache:
        # What is loaded and made once is no cost of the records.
        run(Pipeline(settings, Path(cache) / "first"), 2, classes, instances, 4)
        reset_peak(CPU)
        before = peak_megabytes(CPU)
        pipeline = Pipeline(settings, Path(cache) / "second")
        times = run(pipeline, photos, classes, instances, steps)
        peak = peak_megabytes(CPU) - before
    return {"step_ms": round(median(times) * 1e3, 2), "peak_mb": round(peak, 1)}


def run(
    pipeline: Pipeline, photos: int, classes: int, instances: int, steps: int
) -> list[float]:
    """Make all features and cues, then train; return each step's seconds."""
    tagged = records(photos, classes, instances)
    bags = pipeline.bags(tagged.images)
    cues = pipeline.cues(bags, 0)
    cues = type(cues)(cues.labeller, cues.features, cues.scale, cues.cache, counted)
    scale = pipeline.train_views[0]
    for bag in bags:
        pipeline.frozen(bag, scale)
        cues(bag)
    times: list[float] = []
    start = process_time()

    def tick(progress: object) -> None:
        nonlocal start
        del progress
        times.append(process_time() - start)
        start = process_time()

    pipeline.train(tagged, "cim", 0, bags=bags, cues=cues, steps=steps, tick=tick)
    # The first step begins before the optimiser is made.
    return times[1:]


def alone(**numbers: int) -> dict[str, float]:
    """Return what ``measured`` does, from a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(measured, **numbers).result()


def slope(x: Iterable[float], y: Iterable[float]) -> float:
    """Return the slope of the line through points in log-log."""
    return round(float(np.polyfit(np.log([*x]), np.log([*y]), 1)[0]), 2)


def figures(
    curves: dict[str, tuple[int, ...]], steps: int
) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    """Yield each number that is varied with its figures."""
    for name, values in curves.items():
        found = []
        for value in values:
            numbers = BASE | (MANY if name == "photos" else {}) | {name: value}
            found.append({"varied": name, **numbers, **alone(**numbers, steps=steps)})
            print(json.dumps(found[-1]), flush=True)
        yield name, found


def row(name: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the cells of a number that is varied."""
    values = [one[name] for one in found]
    times, peaks = ([one[key] for one in found] for key in ("step_ms", "peak_mb"))
    return {
        "varied": name,
        "values": ", ".join(f"{value:,}" for value in values),
        "step, ms": ", ".join(map(str, times)),
        "slope of time": slope(values, times),
        "peak MB above the start": ", ".join(map(str, peaks)),
        "slope of memory": slope(values, peaks),
    }


def record(cells: dict[str, Any]) -> None:
    """Keep a row of the table, in place of one of the same number."""
    new = {
        "table": "curves",
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "machine": device_in_words(CPU),
        "cells": cells,
    }
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    rows = {one["cells"]["varied"]: one for one in map(json.loads, lines)}
    rows[cells["varied"]] = new
    RESULTS.write_text("".join(json.dumps(one) + "\n" for one in rows.values()))


def main(
    arguments: list[str] | None = None, curves: dict[str, tuple[int, ...]] = CURVES
) -> int:
    """Print the lines of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=40, help="of each figure")
    parser.add_argument("--only", choices=CURVES, help="vary this alone")
    parser.add_argument("--record", action="store_true", help="for speed.md")
    given = parser.parse_args(arguments)
    if given.only:
        curves = {given.only: curves[given.only]}
    for name, found in figures(curves, given.steps):
        cells = row(name, found)
        print(json.dumps(cells), flush=True)
        if given.record:
            record(cells)
    return 0


if __name__ == "__main__":
    sys.exit(main())
