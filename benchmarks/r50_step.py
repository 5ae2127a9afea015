"""One training step of the full-size ResNet-50 recipe: its time and its peak memory.

    python benchmarks/r50_step.py --proposals 1000 --side 480

Forward, mining, losses, backward and a step of SGD on one drawn image. Momentum is
there before, as after any step but the first. Weights are random, which changes
neither. Prints a line of JSON a step.
"""

import argparse
import json
import time
from typing import get_args

import numpy as np
import torch

from wsis._support.memory import peak_megabytes, reset_peak
from wsis._support.randomness import generator, seeded
from wsis.contracts import Proposals, TaggedImage
from wsis.features.frozen import LiveFeatures
from wsis.features.scale import Scale
from wsis.geometry.overlap import overlaps
from wsis.runs.recipes import Recipe
from wsis.training._precision import computing
from wsis.training.network import Model
from wsis.training.schedule import Precision
from wsis.training.supervision import Strategy, supervise

CLASSES = 20


class DrawnBag:
    """An image of noise, and rectangles of a grid of cells as its proposals."""

    def __init__(self, height: int, width: int, count: int) -> None:
        draw = np.random.default_rng(0)
        self.pixels = draw.integers(0, 256, (height, width, 3), np.uint8)
        cell = 20
        rows, columns = height // cell, width // cell
        grid = torch.arange(rows * columns).view(rows, columns)
        regions = grid.repeat_interleave(cell, 0).repeat_interleave(cell, 1)
        members = torch.zeros(count, rows, columns, dtype=torch.bool)
        for member in members:
            top, left = draw.integers(0, rows), draw.integers(0, columns)
            bottom, right = draw.integers(top, rows), draw.integers(left, columns)
            member[top : bottom + 1, left : right + 1] = True
        self.proposals = Proposals(
            regions=regions,
            members=members.flatten(1),
            objectness=torch.linspace(1, 0, count),
            source="rectangles",
        )
        self.image = TaggedImage(
            id=1,
            name="noise",
            tags=torch.arange(CLASSES) < 2,
            load=lambda: self.pixels,
        )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--proposals", type=int, default=1000)
    options.add_argument("--side", type=int, default=480, help="the shorter side")
    options.add_argument("--device", default="cpu")
    options.add_argument("--precision", choices=get_args(Precision), default="float32")
    options.add_argument("--steps", type=int, default=1, help="a line for each")
    given = options.parse_args()
    device = torch.device(given.device)

    recipe = Recipe.read("voc12-cim-r50")
    settings = recipe.settings
    with seeded(0):
        backbone = settings.build("backbone", weights="random")
        head = settings.build("head", channels=backbone.channels)
        model = Model(head=head, classes=CLASSES, backbone=backbone).to(device)
    strategy = Strategy(
        miner=recipe.miner.build("miners"),
        sampler=settings.build("sampler"),
        assigner=settings.build("assigner"),
    )
    optimizer = settings.schedule.build(model)
    for parameter in (p for group in optimizer.param_groups for p in group["params"]):
        # Added to, as zeros alone take no memory before they are written to.
        momentum = torch.zeros_like(parameter).add_(1e-12)
        optimizer.state[parameter]["momentum_buffer"] = momentum
    bag = DrawnBag(given.side, given.side * 4 // 3, given.proposals)
    features = LiveFeatures(backbone, head)
    scale = Scale(given.side, False, settings.resize, settings.max_side)
    model.train()

    def step() -> dict[str, float]:
        reset_peak(device)
        began = time.perf_counter()
        with computing(given.precision, device):
            scores = model(features(bag, scale)).in_float32()
        forward = time.perf_counter()
        losses = supervise(
            scores,
            overlaps(bag.proposals).to(device),
            bag.image.tags.to(device),
            None,
            strategy,
            generator(0, "sampling"),
        )
        supervised = time.perf_counter()
        losses.total.backward()
        backward = time.perf_counter()
        optimizer.step()
        optimizer.zero_grad()
        stepped = time.perf_counter()
        return {
            "forward_s": round(forward - began, 1),
            "mining_and_losses_s": round(supervised - forward, 1),
            "backward_s": round(backward - supervised, 1),
            "sgd_s": round(stepped - backward, 1),
            "step_s": round(stepped - began, 1),
            "peak_gb": round(peak_megabytes(device) / 1024, 2),
            "loss": round(float(losses.total.detach()), 4),
        }

    known = {
        "proposals": given.proposals,
        "image": list(bag.pixels.shape[:2]),
        "device": given.device,
        "precision": given.precision,
        "threads": torch.get_num_threads(),
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    for _ in range(given.steps):
        print(json.dumps(known | step()), flush=True)


if __name__ == "__main__":
    main()
