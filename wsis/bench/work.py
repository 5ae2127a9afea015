"""One data set and the pipelines of all variants: what a process of a bench needs."""

import json
import time
from pathlib import Path
from typing import Any

import torch

from wsis.bags import Bag
from wsis.bench.design import Variant
from wsis.bench.fingerprint import describe
from wsis.bench.matches import Matches, match
from wsis.bench.monitor import Monitor, Silent, Watch
from wsis.bench.records import METRICS, Run
from wsis.bench.supervision import ledger, level
from wsis.config import Settings
from wsis.contracts import DataSource, Predictions
from wsis.cues.kept import Cues
from wsis.evaluation import dissect, evaluate
from wsis.memory import peak_megabytes, reset_peak
from wsis.pipeline import Pipeline

_OF_FEATURES = (
    *("source", "backbone", "head", "freeze"),
    *("train_sides", "train_flips", "test_sides", "test_flips"),
    *("resize", "max_side"),
)
_OF_CUES = (
    *("source", "backbone", "head", "cues"),
    *("train_sides", "resize", "max_side"),
)


class Pipelines:
    """The pipeline of each variant; variants of the same settings share one.

    Raises:
        LookupError: if a part is not installed.
        ValueError: if a setting is unknown or out of range.
    """

    def __init__(
        self, variants: list[Variant], shared: Settings, cache: Path, device: Any
    ) -> None:
        built: dict[str, Pipeline] = {}
        self.of: dict[str, Pipeline] = {}
        for variant in variants:
            settings = variant.settings(shared)
            key = _key(settings.resolved())
            if key not in built:
                built[key] = Pipeline(settings, cache, device)
            self.of[variant.label] = built[key]
            built[key].strategy(variant.miner)


class Work:
    """What a process needs to do any part of a bench."""

    def __init__(
        self,
        data: DataSource,
        variants: list[Variant],
        pipelines: Pipelines,
        watch: Watch | None = None,
    ) -> None:
        self.data, self.watch = data, watch
        self.pipelines = pipelines.of
        self.variants = variants
        self.train, self.val = data.train(), data.val()
        if self.train.classes != self.val.tagged.classes:
            raise ValueError(
                "expected the same classes in both halves, got "
                f"{self.train.classes} and {self.val.tagged.classes}"
            )
        self.fingerprint = describe(data, self.train, self.val)
        self._cues: dict[tuple[int, str], Cues] = {}
        self._bags: dict[str, tuple[list[Bag], list[Bag]]] = {}

    def bags(self, label: str) -> tuple[list[Bag], list[Bag]]:
        """A variant's training and validation bags."""
        pipeline = self.pipelines[label]
        key = _key({"source": pipeline.settings.resolved()["source"]})
        if key not in self._bags:
            self._bags[key] = (
                pipeline.bags(self.train.images),
                pipeline.bags(self.val.tagged.images),
            )
        return self._bags[key]

    def chores(self) -> list[tuple[str, int]]:
        """What ``prepare`` has to be called with: a variant and an image's place."""
        needed = {
            _key(self._resolved(variant.label, _OF_FEATURES)): variant.label
            for variant in reversed(self.variants)
        }
        count = len(self.train.images) + len(self.val.tagged.images)
        return [(label, i) for label in reversed(needed.values()) for i in range(count)]

    def prepare(self, label: str, index: int, monitor: Monitor | None) -> str:
        """Makes one image's proposals and features."""
        del monitor
        train, val = self.bags(label)
        bag = train[index] if index < len(train) else val[index - len(train)]
        self.pipelines[label].prepare([bag])
        return bag.image.name

    def run(
        self, variant: Variant, seed: int, monitor: Monitor | None
    ) -> tuple[Run, list[Predictions], Matches]:
        """Trains, predicts and evaluates."""
        monitor = monitor or Silent()
        pipeline, title = self.pipelines[variant.label], f"{variant.label}, seed {seed}"
        training, validation = self.bags(variant.label)
        cues = self._cues_of(variant.label, seed)
        watcher = self.watch(self.data, pipeline.source) if self.watch else None
        reset_peak(pipeline.device)
        total = pipeline.settings.schedule.images(len(training))
        step = monitor.start(f"{title}: train", total)
        began = time.perf_counter()
        model, progress = pipeline.train(
            self.train,
            variant.miner,
            seed,
            cues=cues,
            observer=watcher,
            tick=lambda progress: step(""),
        )
        trained = time.perf_counter()
        step = monitor.start(f"{title}: predict", len(validation))
        predictions = []
        for bag in validation:
            predictions.append(pipeline.predict(model, bag))
            step(bag.image.name)
        predicted = time.perf_counter()
        truths = list(self.val.truths)
        evaluation = evaluate(predictions, truths, self.train.classes)
        consumed = ledger(pipeline)
        run = Run(
            miner=variant.label,
            miner_settings={
                **variant.miner.resolved("miners"),
                "sampler": pipeline.sampler(variant.miner).label,
            },
            seed=seed,
            metrics={name: evaluation.metrics[name] for name in METRICS},
            per_class=evaluation.per_class,
            train_seconds=trained - began,
            predict_seconds=predicted - trained,
            peak_memory_mb=peak_megabytes(pipeline.device),
            skipped=progress.skipped,
            losses=progress.losses,
            overrides=list(variant.overrides),
            supervision=consumed,
            level=level({label for labels in consumed.values() for label in labels}),
            device=str(pipeline.device),
            anatomy=dissect(
                predictions,
                truths,
                (bag.proposals for bag in validation),
                self.train.classes,
            ).results()
            if any(not bool(truth.ignore.all()) for truth in truths)
            else None,
            trace=watcher.results() if watcher else None,
        )
        return run, predictions, match(predictions, truths, self.train.classes)

    def description(self) -> dict[str, Any]:
        """The data set in figures."""
        return {
            "name": self.train.name,
            "train_images": len(self.train.images),
            "val_images": len(self.val.tagged.images),
            "classes": list(self.train.classes),
        }

    def _cues_of(self, label: str, seed: int) -> Cues:
        self._cues = {key: kept for key, kept in self._cues.items() if key[0] == seed}
        key = seed, _key(self._resolved(label, _OF_CUES))
        if key not in self._cues:
            self._cues[key] = self.pipelines[label].cues(self.bags(label)[0], seed)
        return self._cues[key]

    def _resolved(self, label: str, fields: tuple[str, ...]) -> dict[str, Any]:
        resolved = self.pipelines[label].settings.resolved()
        return {name: resolved[name] for name in fields}


def _key(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, default=str)


def single_thread() -> None:
    """Several processes of several threads each would be in each other's way."""
    torch.set_num_threads(1)
