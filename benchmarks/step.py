"""One training step on kept features beside the bare step of its head.

    python benchmarks/step.py
    python benchmarks/step.py --miner mist --proposals 500
    python benchmarks/step.py --label now --record

Trains on drawn scenes whose proposals and features are kept, as every run does after
its first pass. The bare step is what no training can go without: the network's
forward pass on features in memory, the backward pass from the mean of its scores, and
the optimiser. Every step of the training is followed by a bare one, so that whatever
else the machine does slows both; figures are medians, on a CPU of the processor's time.
Afterwards the same training runs once more with a clock around each part.

Prints one line of JSON: milliseconds by part and the three largest besides the network,
the processor's time until a run has made its first step, the peak memory of both, and
last the ratio of the two steps. ``--record`` keeps it as a row for
``benchmarks/speed.md``.
"""

import argparse
import datetime
import itertools
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any
from unittest import mock

import torch
from PIL import Image as Pillow
from torch import Tensor

from wsis._support.memory import peak_megabytes, reset_peak
from wsis._support.provenance import commit, device_in_words
from wsis.contracts import Tagged, TaggedImage
from wsis.cues.kept import Cues
from wsis.data.images import Reading
from wsis.data.scenes import Scenes
from wsis.features.frozen import FrozenFeatures
from wsis.geometry.overlap import Shared
from wsis.proposals.bags import KeptShared
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Settings
from wsis.training import loop, supervision
from wsis.training.network import Model
from wsis.training.supervision import Strategy

RESULTS = Path(__file__).parent / "results" / "step.jsonl"
NETWORK = ("forward", "backward", "optimiser")
SEED = 0

Times = list[float]


class Work:
    """A pipeline, its photos, and all that a run finds kept."""

    def __init__(self, pipeline: Pipeline, tagged: Tagged, miner: str) -> None:
        self.pipeline, self.tagged, self.miner = pipeline, tagged, miner
        self.bags = pipeline.bags(tagged.images)
        pipeline.prepare(self.bags)
        self.cues = pipeline.cues(self.bags, SEED)
        for bag in self.bags:
            _ = self.cues(bag)

    def train(self, rounds: int, between: Callable[[], None] = lambda: None) -> Times:
        """Train; return each step's seconds after a first pass over the photos."""
        times: Times = []
        start = now(self.pipeline.device)

        def tick(progress: object) -> None:
            nonlocal start
            del progress
            times.append(now(self.pipeline.device) - start)
            between()
            start = now(self.pipeline.device)

        steps = (rounds + 1) * len(self.bags)
        given: Any = {"bags": self.bags, "cues": self.cues, "steps": steps}
        self.pipeline.train(self.tagged, self.miner, SEED, **given, tick=tick)
        return times[len(self.bags) :]

    def bare(self) -> Callable[[], float]:
        """Return a bare step, which returns its seconds; the photos take turns."""
        pipeline = self.pipeline
        model = pipeline.model(len(self.tagged.classes), SEED).train()
        optimizer = pipeline.settings.schedule.build(model)
        scale = pipeline.train_views[0]
        pooled = itertools.cycle([pipeline.frozen(bag, scale) for bag in self.bags])

        def step() -> float:
            one = next(pooled)
            start = now(pipeline.device)
            scores = model(one)
            branches = (scores.anti_noise, *scores.branches)
            sum(branch.product.mean() for branch in branches).backward()
            optimizer.step()
            optimizer.zero_grad()
            return now(pipeline.device) - start

        return step

    def start(self) -> float:
        """Return the processor's seconds until a run that finds all kept has begun."""
        with tempfile.TemporaryDirectory() as folder:
            bags = self.pipeline.bags(self.tagged.images)
            checkpoint = Path(folder) / "checkpoint.safetensors"
            given: Any = {"bags": bags, "cues": self.cues, "checkpoint": checkpoint}
            start = process_time()
            self.pipeline.inputs(bags)
            self.pipeline.train(self.tagged, self.miner, SEED, **given, steps=1)
            return process_time() - start

    def parts(self, rounds: int) -> dict[str, float]:
        """Return the mean milliseconds that each part takes of a step."""
        seconds: dict[str, float] = defaultdict(float)
        seen = itertools.count(1)

        def forget() -> None:
            """Leave out the first pass, as the steps' times do."""
            if next(seen) == len(self.bags):
                seconds.clear()

        with clocks(self.pipeline.strategy(self.miner), seconds, self.pipeline.device):
            steps = self.train(rounds, forget)
        found = {part: one * 1e3 / len(steps) for part, one in seconds.items()}
        return found | {"rest": sum(steps) * 1e3 / len(steps) - sum(found.values())}


def now(device: torch.device) -> float:
    """Return the processor's seconds, or a device's once its work is done."""
    if device.type == "cpu":
        return process_time()
    torch.accelerator.synchronize(device)
    return perf_counter()


@contextmanager
def clocks(
    strategy: Strategy, seconds: dict[str, float], device: torch.device
) -> Iterator[None]:
    """Add up the seconds of every part of a step while the block runs."""
    timed: list[tuple[str, Any, str]] = [
        ("features", FrozenFeatures, "__call__"),
        ("overlaps", KeptShared, "__call__"),
        ("overlaps", Shared, "overlaps"),
        ("cues", Cues, "__call__"),
        ("forward", Model, "forward"),
        ("mining", type(strategy.miner), "__call__"),
        ("sampling", type(strategy.sampler), "__call__"),
        ("assignment", type(strategy.assigner), "__call__"),
        ("losses", supervision, "refinement_losses"),
        ("losses", supervision, "_anti_noise_losses"),
        ("backward", Tensor, "backward"),
        ("optimiser", loop, "descend"),
    ]

    def clocked(part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def clock(*given: Any, **named: Any) -> Any:
            start = now(device)
            found = call(*given, **named)
            seconds[part] += now(device) - start
            return found

        return clock

    with ExitStack() as stack:
        for part, owner, name in timed:
            call = clocked(part, getattr(owner, name))
            stack.enter_context(mock.patch.object(owner, name, call))
        yield


def peaked(device: torch.device, work: Callable[[], Any]) -> tuple[Any, float]:
    """Return a result, and the megabytes that it took at most above the start."""
    reset_peak(device)
    before = peak_megabytes(device)
    return work(), peak_megabytes(device) - before


def figures(work: Work, rounds: int) -> dict[str, Any]:
    """Return milliseconds, megabytes and the ratio."""
    device, bare = work.pipeline.device, work.bare()
    _, bare_peak = peaked(device, lambda: [bare() for _ in work.bags])
    _, peak = peaked(device, partial(work.train, 1))
    single: Times = []
    steps = work.train(rounds, lambda: single.append(bare()))
    parts = work.parts(1)
    # The first one may be the first that sees the photos' files settled.
    _, start = work.start(), work.start()
    ranked = sorted(parts, key=lambda part: -parts[part])
    step_ms, bare_ms = median(steps) * 1e3, median(single[len(work.bags) :]) * 1e3
    return {
        "parts_ms": {part: round(parts[part], 2) for part in ranked},
        "largest": [part for part in ranked if part not in NETWORK][:3],
        "start_ms_per_photo": round(start * 1e3 / len(work.bags), 2),
        "peak_mb": round(peak),
        "bare_peak_mb": round(bare_peak),
        "step_ms": round(step_ms, 2),
        "bare_ms": round(bare_ms, 2),
        "ratio": round(step_ms / bare_ms, 2),
    }


def filed(image: TaggedImage, folder: Path) -> TaggedImage:
    """Return an image that is read from a file, as photos are."""
    pixels, path = image.load(), folder / f"{image.id}.png"
    Pillow.fromarray(pixels).save(path, compress_level=1)
    return replace(image, load=Reading(path, pixels.shape[:2], True))


def record(found: dict[str, Any], label: str) -> None:
    """Keep a row of the table, in place of one of the same label and miner."""
    parts = found["parts_ms"]
    cells = {
        "wsis": label,
        "miner": found["miner"],
        "N": found["proposals"],
        "overlaps, ms": parts["overlaps"],
        "features, ms": parts["features"],
        "mining, ms": parts["mining"],
        "assignment, ms": parts["assignment"],
        "losses, ms": parts["losses"],
        "network, ms": round(sum(parts[name] for name in NETWORK), 2),
        "step, ms": found["step_ms"],
        "bare step, ms": found["bare_ms"],
        "ratio": found["ratio"],
        "start, ms a photo": found["start_ms_per_photo"],
        "peak MB": found["peak_mb"],
    }
    row = {
        "table": "step",
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "machine": found["machine"],
        "cells": cells,
    }
    key = label, found["miner"]
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    rows = [json.loads(line) for line in lines]
    kept = [r for r in rows if (r["cells"]["wsis"], r["cells"]["miner"]) != key]
    RESULTS.write_text("".join(json.dumps(one) + "\n" for one in [*kept, row]))


def main(arguments: list[str] | None = None) -> int:
    """Print the line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--proposals", type=int, default=1000)
    parser.add_argument("--miner", default="cim")
    parser.add_argument("--photos", type=int, default=12)
    parser.add_argument("--size", type=int, default=640, help="the photos' width")
    parser.add_argument("--rounds", type=int, default=5, help="passes over the photos")
    parser.add_argument("--set", action="append", default=[], help="key=value")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cache", help="folder to keep proposals and features in")
    parser.add_argument("--label", default="now", help="of the recorded row")
    parser.add_argument("--record", action="store_true", help="for speed.md")
    given = parser.parse_args(arguments)
    pairs = given.proposals // 4
    settings = Settings.read(
        [
            f"source.nodes={given.proposals - pairs}",
            f"source.pairs={pairs}",
            "backbone.weights=random",
            *given.set,
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        drawn = Scenes(train_images=given.photos, size=given.size).train()
        photos = [filed(one, Path(folder)) for one in drawn.images]
        tagged = replace(drawn, images=photos)
        cache = given.cache or folder
        pipeline = Pipeline.of(settings=settings, device=given.device, cache=cache)
        work = Work(pipeline, tagged, given.miner)
        found = {
            "miner": given.miner,
            "proposals": round(median(len(bag.proposals) for bag in work.bags)),
            "head": settings.head.label,
            "photos": given.photos,
            "threads": torch.get_num_threads(),
            "machine": device_in_words(pipeline.device),
            **figures(work, given.rounds),
        }
    print(json.dumps(found))
    if given.record:
        record(found, given.label)
    return 0


if __name__ == "__main__":
    sys.exit(main())
