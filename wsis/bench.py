"""Compares mining strategies under identical settings: miners × seeds, one data set."""

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
import torchvision

from wsis import __version__
from wsis.config import Part, Settings, settings_hash
from wsis.contracts import Annotated, DataSource, Predictions
from wsis.cues.kept import Cues
from wsis.evaluation import Evaluation, evaluate, oracle, random_scores
from wsis.memory import peak_megabytes, reset_peak
from wsis.pipeline import Pipeline
from wsis.randomness import generator

METRICS = ("mAP25", "mAP50", "mAP70", "mAP75", "AP")
BOUNDS = ("mAP25", "mAP50", "mAP70", "mAP75", "ABO")


@runtime_checkable
class Monitor(Protocol):
    """Is told of progress; the command line draws bars with it."""

    def start(self, title: str, total: int) -> Callable[[str], None]:
        """A stage begins; the returned function is called after each of its steps."""
        ...


class Silent:
    """Tells nobody."""

    def start(self, title: str, total: int) -> Callable[[str], None]:
        """Returns a function that does nothing."""
        del title, total
        return lambda note: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One miner, trained and evaluated with one seed.

    Args:
        miner: its label.
        miner_settings: all of them.
        seed: of initial weights, order, cues and sampling.
        metrics: in percent.
        per_class: the same of each class.
        train_seconds: of training, cached features excluded.
        predict_seconds: of predicting the validation images.
        peak_memory_mb: highest during training and prediction.
        skipped: training images left out, by reason.
        losses: mean of each loss per epoch.
    """

    miner: str
    miner_settings: dict[str, Any]
    seed: int
    metrics: dict[str, float]
    per_class: dict[str, dict[str, float | None]]
    train_seconds: float
    predict_seconds: float
    peak_memory_mb: float
    skipped: dict[str, int]
    losses: list[dict[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a comparison found; ``results`` turns it into JSON-like values.

    Args:
        settings: everything that is identical for all runs.
        data: name, numbers of images, classes.
        oracle: what the proposals allow, in percent.
        random: what they give by chance, in percent.
        runs: in the order of seeds, then of miners.
        supervision: the labels consumed.
        prepare_seconds: for proposals and frozen features, cached ones included.
        pictures: each miner's predictions on the validation images, first seed.
    """

    settings: dict[str, Any]
    data: dict[str, Any]
    oracle: Evaluation
    random: Evaluation
    runs: list[Run]
    supervision: list[str]
    prepare_seconds: float
    pictures: dict[str, list[Predictions]] = field(default_factory=dict)

    def results(self) -> dict[str, Any]:
        """The content of ``results.json``."""
        return {
            "settings": self.settings,
            "settings_hash": settings_hash(self.settings),
            "versions": versions(),
            "data": self.data,
            "supervision": self.supervision,
            "prepare_seconds": self.prepare_seconds,
            "oracle": {name: self.oracle.metrics[name] for name in BOUNDS},
            "random": {name: self.random.metrics[name] for name in METRICS},
            "oracle_per_class": self.oracle.per_class,
            "runs": [{name: getattr(run, name) for name in _RUN} for run in self.runs],
        }


_RUN = tuple(Run.__dataclass_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a comparison's table: mean and deviation over seeds, in percent."""

    name: str
    seeds: int
    mean: dict[str, float]
    deviation: dict[str, float | None]


def table(results: dict[str, Any]) -> list[Row]:
    """The rows of ``results.json``: the miners in order, then oracle and random."""
    rows = []
    labels = list(dict.fromkeys(run["miner"] for run in results["runs"]))
    for label in labels:
        found = [r["metrics"] for r in results["runs"] if r["miner"] == label]
        columns = {name: [metrics[name] for metrics in found] for name in METRICS}
        rows.append(
            Row(
                name=label,
                seeds=len(found),
                mean={name: fmean(values) for name, values in columns.items()},
                deviation={
                    name: stdev(values) if len(values) > 1 else None
                    for name, values in columns.items()
                },
            )
        )
    for name in ("oracle", "random"):
        rows.append(Row(name=name, seeds=1, mean=results[name], deviation={}))
    return rows


def compare(
    data: DataSource,
    miners: Sequence[Part],
    pipeline: Pipeline,
    *,
    seeds: Sequence[int] = (0,),
    jobs: int = 1,
    monitor: Monitor | None = None,
) -> Comparison:
    """Trains and evaluates every miner with every seed on the same everything.

    Proposals and frozen features are made once; cues, initial weights, the images'
    order and the sampler's draws are those of the seed. Masks are read after training,
    by evaluation alone.

    Args:
        data: the data set; with several jobs it is pickled.
        miners: what is compared, each once.
        pipeline: everything else.
        seeds: every miner runs with each.
        jobs: processes, of one thread each where there are several; figures depend on
            the number of threads in the last digits only.
        monitor: is told of progress.

    Raises:
        LookupError: if a miner is not installed.
        ValueError: if a miner's settings are out of range, two miners are the same, or
            the data have no tags to learn from.
    """
    monitor = monitor or Silent()
    labels = [miner.label for miner in miners]
    if not miners or len(set(labels)) != len(labels):
        raise ValueError(f"expected miners, each once, got {labels}")
    if not seeds or jobs < 1:
        raise ValueError(f"expected seeds and jobs, got {list(seeds)} and {jobs}")
    for miner in miners:
        pipeline.strategy(miner)
    work = _Work(data, pipeline)
    began = time.perf_counter()
    with _doing(work, jobs) as do:
        step = monitor.start("proposals and features", len(work.bags))
        for name in do(_Work.prepare, [(i,) for i in range(len(work.bags))], None):
            step(name)
        prepared = time.perf_counter() - began
        pairs = [(miner, seed) for seed in seeds for miner in miners]
        runs: list[Run] = []
        pictures: dict[str, list[Predictions]] = {}
        for run, predictions in do(_Work.run, pairs, monitor):
            runs.append(run)
            pictures.setdefault(run.miner, predictions)
    step = monitor.start("oracle and random scores", 2)
    highest, chance = bounds(pipeline, work.val, step)
    return Comparison(
        settings=_identical(pipeline, seeds),
        data=work.description(),
        oracle=highest,
        random=chance,
        runs=runs,
        supervision=sorted(pipeline.ledger),
        prepare_seconds=prepared,
        pictures=pictures,
    )


def bounds(
    pipeline: Pipeline, val: Annotated, step: Callable[[str], None] = lambda note: None
) -> tuple[Evaluation, Evaluation]:
    """What a pipeline's proposals allow at best (oracle), and give by chance (random).

    Args:
        pipeline: makes the proposals and selects instances.
        val: the images and their objects.
        step: is called after each of the two.
    """
    bags = pipeline.bags(val.tagged.images)
    truths, classes = val.truths, val.tagged.classes
    highest = oracle((bag.proposals for bag in bags), truths, classes)
    step("oracle")
    chance = random_scores(
        (bag.proposals for bag in bags),
        truths,
        classes,
        pipeline.settings.selection,
        generator(0, "random scores"),
    )
    step("random scores")
    return highest, chance


class _Work:
    """One data set and one pipeline: what a process needs to do any part of a bench."""

    def __init__(self, data: DataSource, pipeline: Pipeline) -> None:
        self.data = data
        self.pipeline = pipeline
        self.train, self.val = data.train(), data.val()
        if self.train.classes != self.val.tagged.classes:
            raise ValueError(
                "expected the same classes in both halves, got "
                f"{self.train.classes} and {self.val.tagged.classes}"
            )
        self.training = pipeline.bags(self.train.images)
        self.validation = pipeline.bags(self.val.tagged.images)
        self.bags = [*self.training, *self.validation]
        self.cues: dict[int, Cues] = {}

    def prepare(self, index: int, monitor: Monitor | None) -> str:
        """Makes one image's proposals and features."""
        del monitor
        bag = self.bags[index]
        self.pipeline.prepare([bag])
        return bag.image.name

    def run(
        self, miner: Part, seed: int, monitor: Monitor | None
    ) -> tuple[Run, list[Predictions]]:
        """Trains, predicts and evaluates."""
        monitor = monitor or Silent()
        pipeline, title = self.pipeline, f"{miner.label}, seed {seed}"
        if seed not in self.cues:
            self.cues = {seed: pipeline.cues(self.training, seed)}
        reset_peak(pipeline.device)
        total = pipeline.settings.schedule.images(len(self.training))
        step = monitor.start(f"{title}: train", total)
        began = time.perf_counter()
        model, progress = pipeline.train(
            self.train,
            miner,
            seed,
            cues=self.cues[seed],
            tick=lambda progress: step(""),
        )
        trained = time.perf_counter()
        step = monitor.start(f"{title}: predict", len(self.validation))
        predictions = []
        for bag in self.validation:
            predictions.append(pipeline.predict(model, bag))
            step(bag.image.name)
        predicted = time.perf_counter()
        evaluation = evaluate(predictions, self.val.truths, self.train.classes)
        run = Run(
            miner=miner.label,
            miner_settings={
                **miner.resolved("miners"),
                "sampler": pipeline.sampler(miner).label,
            },
            seed=seed,
            metrics={name: evaluation.metrics[name] for name in METRICS},
            per_class=evaluation.per_class,
            train_seconds=trained - began,
            predict_seconds=predicted - trained,
            peak_memory_mb=peak_megabytes(pipeline.device),
            skipped=progress.skipped,
            losses=progress.losses,
        )
        return run, predictions

    def description(self) -> dict[str, Any]:
        """The data set in figures."""
        return {
            "name": self.train.name,
            "train_images": len(self.training),
            "val_images": len(self.validation),
            "classes": list(self.train.classes),
        }


Do = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]], "Monitor | None"], Any]
"""Calls a method of ``_Work`` with each of some arguments; results in order."""


@contextmanager
def _doing(work: _Work, jobs: int) -> Iterator[Do]:
    if jobs == 1:
        yield lambda method, calls, monitor: (
            method(work, *call, monitor) for call in calls
        )
        return
    pipeline = work.pipeline
    given = (work.data, pipeline.settings, pipeline.cache, pipeline.device)
    with ProcessPoolExecutor(
        jobs, get_context("spawn"), initializer=_begin, initargs=given
    ) as pool:

        def do(
            method: Callable[..., Any],
            calls: Sequence[tuple[Any, ...]],
            monitor: Monitor | None,
        ) -> Iterator[Any]:
            step = monitor.start("runs", len(calls)) if monitor else None
            for result in pool.map(_call, [method] * len(calls), calls):
                if step is not None:
                    step("")
                yield result

        try:
            yield do
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


_of_process: list[_Work] = []


def _begin(
    data: DataSource, settings: Settings, cache: Path, device: torch.device
) -> None:
    torch.set_num_threads(1)
    _of_process[:] = [_Work(data, Pipeline(settings, cache, device))]


def _call(method: Callable[..., Any], call: tuple[Any, ...]) -> Any:
    return method(_of_process[0], *call, None)


def versions() -> dict[str, str]:
    """Of wsis and what its figures depend on."""
    return {
        "wsis": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
    }


def _identical(pipeline: Pipeline, seeds: Sequence[int]) -> dict[str, Any]:
    return {
        **pipeline.settings.resolved(),
        "seeds": list(seeds),
        "device": str(pipeline.device),
    }
