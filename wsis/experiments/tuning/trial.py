"""A trial: one setting trained with one seed, its criteria, and the masks' verdict."""

import time
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from wsis._support.progress import Monitor, Silent
from wsis._support.provenance import commit, versions
from wsis.contracts import Tagged
from wsis.data.splits import Split
from wsis.evaluation import evaluate
from wsis.experiments.runner import Work, attempt
from wsis.experiments.tuning._seen import evidence, others, see, tag_classifier
from wsis.experiments.tuning.criteria import CRITERIA
from wsis.experiments.tuning.space import DEFAULT
from wsis.experiments.variants import Variant
from wsis.report import METRICS
from wsis.runs.pipeline import Pipeline
from wsis.training.network import Model

LOSS = "loss"
"""The one criterion that looks at no held-out photo: training's last mean loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The figures of one setting and seed.

    Args:
        label: of the setting.
        seed: of initial weights, order, cues and sampling.
        criteria: by name, higher is better; None if one says nothing.
        metrics: by the masks of the validation photos, in percent; None without them.
        train_seconds: of training.
        look_seconds: of the criteria.
        judge_seconds: of predicting and evaluating the validation photos.
        losses: mean of each loss per epoch.
        versions, commit: with what it was made, as far as is known.
    """

    label: str
    seed: int
    criteria: dict[str, float | None]
    metrics: dict[str, float] | None
    train_seconds: float
    look_seconds: float
    judge_seconds: float
    losses: list[dict[str, float]]
    versions: dict[str, str] = field(default_factory=dict)
    commit: str | None = None


def trial(
    work: Work, variant: Variant, seed: int, views: int, monitor: Monitor | None
) -> Trial:
    """Train a variant without the photos held out, look at these, then judge.

    ``work`` is on a ``Split``, its default variant has the shared settings; ``views``
    photos are looked at mirrored and smaller, too.
    """
    split, monitor = cast(Split, work.plan.data), monitor or Silent()
    shared = work.pipelines[DEFAULT]
    # Built here and forgotten: each holds a backbone.
    pipeline = Pipeline(variant.settings(shared.settings), shared.cache, shared.device)
    total = pipeline.settings.schedule.images(work.train.epoch)
    step = monitor.start(f"{variant.label}, seed {seed}", total)
    began = time.perf_counter()
    model, progress = pipeline.train(
        work.train, variant.miner, seed, tick=lambda progress: step(""), monitor=monitor
    )
    trained = time.perf_counter()
    found = measure(model, pipeline, work.train, split.held(), views)
    found[LOSS] = -progress.losses[-1]["total"]
    looked = time.perf_counter()
    metrics = None
    if split.judged:
        bags = pipeline.test_bags(work.val.tagged.images)
        predictions = [pipeline.predict(model, bag) for bag in bags]
        figures = evaluate(predictions, list(work.val.truths), work.train.classes)
        metrics = {name: figures.metrics[name] for name in METRICS}
    return Trial(
        label=variant.label,
        seed=seed,
        criteria=found,
        metrics=metrics,
        train_seconds=trained - began,
        look_seconds=looked - trained,
        judge_seconds=time.perf_counter() - looked,
        losses=progress.losses,
        versions=versions(),
        commit=commit(),
    )


def measure(
    model: Model, pipeline: Pipeline, train: Tagged, held: Tagged, views: int
) -> dict[str, float | None]:
    """Return every criterion of a trained model; no mask can come in here.

    Args:
        model: trained on ``train``.
        pipeline: gives its features.
        train: teaches the tag classifier that ``evidence`` asks.
        held: tagged photos that training did not see; those without proposals are left
            out.
        views: how many are looked at mirrored and smaller, too.
    """
    features, [scale, *_] = pipeline.features(model), pipeline.test_views
    classifier = tag_classifier(pipeline, pipeline.bags(train.images))
    rows: dict[str, list[Any]] = {criterion.name: [] for criterion in CRITERIA}
    tags = []
    for i, bag in enumerate(pipeline.test_bags(held.images)):
        if not len(bag.proposals):
            continue
        response = evidence(pipeline, classifier, bag)
        seen = see(model, bag, features, scale, response, views=i < views)
        for criterion in CRITERIA:
            rows[criterion.name].append(criterion.look(seen).double().cpu().numpy())
        tags.append(bag.tags.numpy())
    if not tags:
        return dict.fromkeys(rows)
    present = np.stack(tags)
    return {one.name: one.join(np.stack(rows[one.name]), present) for one in CRITERIA}


def prepare(
    work: Work, index: int, views: int, monitor: Monitor | None
) -> tuple[str, Exception | None]:
    """Make the proposals and features of one photo held out, in all its views.

    ``work`` is on a ``Split``. Return the photo's name and any problem.
    """
    del monitor
    pipeline = work.pipelines[DEFAULT]
    split = cast(Split, work.plan.data)
    [bag] = pipeline.test_bags([split.held().images[index]])

    def make() -> None:
        if len(bag.proposals) and pipeline.settings.freeze:
            [scale, *_] = pipeline.test_views
            for look in (scale, *others(scale)) if index < views else (scale,):
                pipeline.frozen(bag, look)

    return bag.image.name, attempt(make)
