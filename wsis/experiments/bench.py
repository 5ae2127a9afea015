"""Runs a bench: variants × seeds × folds under identical settings."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from wsis._support.provenance import versions
from wsis._support.randomness import generator
from wsis.contracts import Annotated, DataSource
from wsis.data.splits import Folds
from wsis.evaluation import Evaluation, oracle, random_scores
from wsis.experiments.design import Variant, common, identity, of_miners
from wsis.experiments.fingerprint import of_truths
from wsis.experiments.gathering import Gathered, pooled
from wsis.experiments.journal import Folder
from wsis.experiments.monitor import Monitor, Silent, Watch
from wsis.experiments.pool import doing
from wsis.experiments.records import Comparison, Run
from wsis.experiments.runner import Pipelines, Work
from wsis.experiments.shown import Shown
from wsis.experiments.verdicts import judge
from wsis.runs.pipeline import Pipeline, strategy
from wsis.runs.settings import Part


def compare(
    data: DataSource,
    compared: Sequence[Part] | Sequence[Variant],
    pipeline: Pipeline,
    *,
    seeds: Sequence[int] = (0,),
    jobs: int = 1,
    monitor: Monitor | None = None,
    folder: Path | None = None,
    fresh: bool = False,
    watch: Watch | None = None,
    folds: int | None = None,
) -> Comparison:
    """Trains and evaluates every variant with every seed on the same everything.

    Proposals and frozen features are made once; cues, initial weights, the images'
    order and the sampler's draws are those of the seed, where what is varied allows.
    Masks are read after training, by evaluation alone.

    With ``folds`` the images of both halves are parted (``Folds``), alike for all
    variants and seeds, and every variant trains once for each part and seed, on all
    images but that part. A seed's figures are then those of all images, each predicted
    by the model that has not seen it. Intervals cover which images there are and the
    seeds; not that another split would have given other models.

    Args:
        data: the data set; with several jobs it is pickled.
        compared: miners or variants, each once; the first is what the others are
            compared with.
        pipeline: everything else.
        seeds: every variant runs with each.
        jobs: processes, of one thread each where there are several; figures depend on
            the number of threads in the last digits only.
        monitor: is told of progress.
        folder: where every finished run is kept; those that are there already are not
            done again.
        fresh: forgets the runs that are there.
        watch: makes what looks on from outside training, for each run; pickled with
            several jobs.
        folds: how many; None takes the data set's own halves.

    Raises:
        LookupError: if a part is not installed.
        ValueError: if a part's settings are out of range, two variants are the same,
            the data have no tags to learn from, or the folder holds another bench; of
            folds, if there cannot be so many, or the training half has no masks.
    """
    monitor = monitor or Silent()
    variants = _variants(compared)
    if not seeds or jobs < 1:
        raise ValueError(f"expected seeds and jobs, got {list(seeds)} and {jobs}")
    shared, cache, device = pipeline.settings, pipeline.cache, pipeline.device
    pipelines = Pipelines(variants, shared, cache, device)
    for variant in variants:
        strategy(variant.miner, pipelines.of[variant.label].settings)
    split = None if folds is None else Folds(count=folds)
    work = Work(data, variants, pipelines, watch, split)
    identities = {
        variant.label: {
            **identity(variant, pipelines.of[variant.label]),
            "data": work.fingerprint,
            "versions": versions(),
        }
        for variant in variants
    }
    found = Gathered(
        folder=None
        if folder is None
        else Folder(root=folder, design=identities, fresh=fresh),
        folds=folds,
        first=seeds[0],
    )
    pairs = [(variant, seed) for seed in seeds for variant in variants]
    single = [(v, seed, k) for seed in seeds for k in found.parts for v in variants]
    missing = [
        (variant, seed, fold, seed == seeds[0])
        for variant, seed, fold in single
        if (variant.label, seed, fold) not in found.runs
    ]
    runs: dict[tuple[str, int], Run] = {}
    began = time.perf_counter()
    with doing(work, jobs, data, shared, cache, device, watch, split) as do:
        chores = work.chores()
        step = monitor.start("proposals and features", len(chores))
        for name in do(Work.prepare, chores, None):
            step(name)
        prepared = time.perf_counter() - began
        first = [(seeds[0], found.parts[0])] if missing else []
        for hints in do(Work.hints, first, None):
            for text in hints:
                monitor.say(text)
        for done in do(Work.run, missing, monitor):
            found.add(done)
        matches = {(v.label, s): found.matches(v.label, s) for v, s in pairs}
        shown = {v.label: found.shown(v.label) for v in variants}
        if folds is None:
            runs = {(v.label, s): found.runs[v.label, s, None] for v, s in pairs}
        # What is not known yet: of folds all, else what an older version left.
        whole = [
            (v.label, s, found.predictions(v.label, s))
            for v, s in pairs
            if folds is not None or (s == seeds[0] and shown[v.label] is None)
        ]
        step = monitor.start("errors by kind", len(whole)) if whole else step
        for label, seed, anatomy in do(Work.dissect, whole, None):
            if folds is not None:
                runs[label, seed] = pooled(
                    found.of_seed(label, seed),
                    matches[label, seed],
                    work.train.classes,
                    None if anatomy is None else anatomy.results(),
                )
            if seed == seeds[0]:
                known = shown[label]
                shown[label] = Shown.of(anatomy, known.mined if known else None)
            step(label)
    ordered = {(v.label, seed): matches[v.label, seed] for v, seed in _sorted(pairs)}
    step = monitor.start("oracle and random scores", 2)
    highest, chance = bounds(pipelines.of[variants[0].label], work.val, step)
    return Comparison(
        settings={
            **common([one.settings.resolved() for one in pipelines.of.values()]),
            "seeds": list(seeds),
            "device": str(device),
            "data": work.fingerprint,
        },
        data=work.description(),
        oracle=highest,
        random=chance,
        runs=[runs[variant.label, seed] for variant, seed in pairs],
        supervision=sorted(set().union(*(p.ledger for p in pipelines.of.values()))),
        prepare_seconds=prepared,
        pictures={v.label: found.predictions(v.label, seeds[0]) for v in variants},
        variants=_described(variants, pipelines),
        verdict=judge(ordered),
        truths=of_truths(list(work.val.truths)),
        folds=[found.runs[v.label, s, k] for v, s, k in single if k is not None],
        val=work.val,
        pipelines=dict(pipelines.of),
        shown={label: one for label, one in shown.items() if one is not None},
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


def _variants(compared: Sequence[Part] | Sequence[Variant]) -> list[Variant]:
    variants = [
        one if isinstance(one, Variant) else of_miners([one])[0] for one in compared
    ]
    labels = [variant.label for variant in variants]
    if not variants or len(set(labels)) != len(labels):
        raise ValueError(f"expected miners or variants, each once, got {labels}")
    return variants


def _sorted(pairs: list[tuple[Variant, int]]) -> list[tuple[Variant, int]]:
    """By variant in order, then by seed."""
    labels = list(dict.fromkeys(variant.label for variant, _ in pairs))
    return sorted(pairs, key=lambda pair: labels.index(pair[0].label))


def _described(variants: list[Variant], pipelines: Pipelines) -> list[dict[str, Any]]:
    return [
        {
            "label": variant.label,
            "miner": variant.miner.label,
            "sampler": pipelines.of[variant.label].sampler(variant.miner).label,
            "overrides": list(variant.overrides),
        }
        for variant in variants
    ]
