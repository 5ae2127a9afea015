"""Compares mining strategies under identical settings: miners × seeds, one data set."""

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
import torchvision

import wsis
from wsis.bags import Bag
from wsis.config import Part, settings_hash
from wsis.contracts import Annotated, DataSource, Predictions, Tagged
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
    monitor: Monitor | None = None,
) -> Comparison:
    """Trains and evaluates every miner with every seed on the same everything.

    Proposals and frozen features are made once; cues, initial weights, the images'
    order and the sampler's draws are those of the seed. Masks are read after training,
    by evaluation alone.

    Raises:
        LookupError: if a miner is not installed.
        ValueError: if a miner's settings are out of range, two miners are the same, or
            the data have no tags to learn from.
    """
    monitor = monitor or Silent()
    labels = [miner.label for miner in miners]
    if not miners or len(set(labels)) != len(labels):
        raise ValueError(f"expected miners, each once, got {labels}")
    if not seeds:
        raise ValueError("expected at least one seed")
    for miner in miners:
        pipeline.strategy(miner)
    train, val = data.train(), data.val()
    if train.classes != val.tagged.classes:
        raise ValueError(
            f"expected the same classes in both halves, got {train.classes} and "
            f"{val.tagged.classes}"
        )
    training, validation = pipeline.bags(train.images), pipeline.bags(val.tagged.images)
    began = time.perf_counter()
    step = monitor.start("proposals and features", len(training) + len(validation))
    pipeline.prepare([*training, *validation], lambda bag: step(bag.image.name))
    prepared = time.perf_counter() - began
    runs: list[Run] = []
    pictures: dict[str, list[Predictions]] = {}
    for seed in seeds:
        cues = pipeline.cues(training, seed)
        for miner in miners:
            run, predictions = _run(
                pipeline, train, val, validation, miner, seed, cues, monitor
            )
            runs.append(run)
            pictures.setdefault(run.miner, predictions)
    step = monitor.start("oracle and random scores", 2)
    highest = oracle((bag.proposals for bag in validation), val.truths, train.classes)
    step("oracle")
    chance = random_scores(
        (bag.proposals for bag in validation),
        val.truths,
        train.classes,
        lambda scores, proposals, image_id: pipeline.settings.selection(
            scores, proposals, image_id=image_id
        ),
        generator(0, "random scores"),
    )
    step("random scores")
    return Comparison(
        settings=_identical(pipeline, seeds),
        data={
            "name": train.name,
            "train_images": len(train.images),
            "val_images": len(val.tagged.images),
            "classes": list(train.classes),
        },
        oracle=highest,
        random=chance,
        runs=runs,
        supervision=sorted(pipeline.ledger),
        prepare_seconds=prepared,
        pictures=pictures,
    )


def _run(
    pipeline: Pipeline,
    train: Tagged,
    val: Annotated,
    validation: Sequence[Bag],
    miner: Part,
    seed: int,
    cues: Cues,
    monitor: Monitor,
) -> tuple[Run, list[Predictions]]:
    reset_peak(pipeline.device)
    title = f"{miner.label}, seed {seed}"
    total = pipeline.settings.schedule.epochs * len(train.images)
    step = monitor.start(f"{title}: train", total)
    began = time.perf_counter()
    model, progress = pipeline.train(
        train, miner, seed, cues=cues, tick=lambda progress: step("")
    )
    trained = time.perf_counter()
    step = monitor.start(f"{title}: predict", len(validation))
    predictions = []
    for bag in validation:
        predictions.append(pipeline.predict(model, bag))
        step(bag.image.name)
    predicted = time.perf_counter()
    evaluation = evaluate(predictions, val.truths, train.classes)
    return Run(
        miner=miner.label,
        miner_settings=miner.resolved("miners"),
        seed=seed,
        metrics={name: evaluation.metrics[name] for name in METRICS},
        per_class=evaluation.per_class,
        train_seconds=trained - began,
        predict_seconds=predicted - trained,
        peak_memory_mb=peak_megabytes(pipeline.device),
        skipped=progress.skipped,
        losses=progress.losses,
    ), predictions


def versions() -> dict[str, str]:
    """Of wsis and what its figures depend on."""
    return {
        "wsis": wsis.__version__,
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
