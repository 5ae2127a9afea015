"""Where the time of the plain command on photos goes, by step.

    python benchmarks/prepare.py --images DIR --annotations A.json
    python benchmarks/prepare.py ... --label now --record

Runs the recipe ``photos-small`` from an empty cache on photos of a COCO-format folder,
spread evenly over it: makes proposals, feature maps, pooled features, cues and
overlaps, trains, teaches the class map and predicts. Prints one line of JSON with the
milliseconds of one core a photo, or a step, by step: medians, not of the clock on the
wall. Of the masks, tags alone are read. ``--record`` keeps it as a row for
``benchmarks/speed.md``.
"""

import argparse
import datetime
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from wsis._support.provenance import commit, device_in_words
from wsis.data.coco import CocoData
from wsis.runs.pipeline import Pipeline

RESULTS = Path(__file__).parent / "results" / "prepare.jsonl"


class Ticks:
    """The milliseconds of one core between calls; told of nothing else."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.last = time.process_time()

    def __call__(self, *told: object) -> None:
        """Note the time since the last call."""
        now = time.process_time()
        self.times.append(1e3 * (now - self.last))
        self.last = now

    def start(self, name: str, steps: int) -> "Ticks":
        """Count the steps of work that is named, as a monitor does."""
        del name, steps
        self.last = time.process_time()
        return self


def each(items: list[Any], work: Callable[[Any], Any]) -> float:
    """Return the median milliseconds of work on an item."""
    ticks = Ticks()
    for item in items:
        work(item)
        ticks()
    return median(ticks.times)


def figures(pipeline: Pipeline, tagged: Any, steps: int) -> dict[str, float]:
    """Return milliseconds by step, in the order in which a run takes them."""
    bags = pipeline.bags(tagged.images)
    [scale] = pipeline.train_views
    _ = [bag.key for bag in bags]
    found = {
        "proposals": each(bags, lambda bag: bag.proposals),
        "maps": each(bags, lambda bag: pipeline.frozen.map(bag, scale)),
        "pooled features": each(bags, lambda bag: pipeline.frozen(bag, scale)),
    }
    cues = pipeline.cues(bags, 0)
    _ = cues(bags[0])  # learns from all
    found["cues"] = each(bags[1:], cues)
    found["overlaps"] = each(bags, pipeline.shared)
    training, mapping = Ticks(), Ticks()
    given: Any = {"tick": training, "monitor": mapping}
    model, _ = pipeline.train(
        tagged, "cim", 0, bags=bags, cues=cues, steps=steps, **given
    )
    # A first pass reads what later ones find in memory.
    found["training step"] = median(training.times[len(bags) :])
    found["class map step"] = median(mapping.times)
    found["prediction"] = each(bags, lambda bag: pipeline.predict(model, bag))
    return {name: round(value, 1) for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=20)
    parser.add_argument("--steps", type=int, default=100, help="of training")
    parser.add_argument("--label", default="now", help="of the recorded row")
    parser.add_argument("--record", action="store_true", help="for speed.md")
    given = parser.parse_args()
    torch.set_num_threads(1)

    tagged = CocoData(images=given.images, train_json=given.annotations).train()
    every = max(1, len(tagged.images) // given.photos)
    tagged = replace(tagged, images=tagged.images[::every][: given.photos])
    with tempfile.TemporaryDirectory() as cache:
        pipeline = Pipeline.of(recipe="photos-small", device="cpu", cache=cache)
        found = figures(pipeline, tagged, given.steps)
    print(json.dumps(found))
    if given.record:
        row = {
            "table": "prepare",
            "date": datetime.date.today().isoformat(),
            "commit": commit(),
            "machine": device_in_words(pipeline.device),
            "cells": {"wsis": given.label, **{f"{k}, ms": v for k, v in found.items()}},
        }
        lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
        kept = [x for x in lines if json.loads(x)["cells"]["wsis"] != given.label]
        RESULTS.write_text("".join(x + "\n" for x in [*kept, json.dumps(row)]))


if __name__ == "__main__":
    main()
