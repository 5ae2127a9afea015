"""Runs a bench: variants × seeds under identical settings, one data set."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from wsis.bench.design import Variant, common, identity, of_miners
from wsis.bench.fingerprint import of_truths
from wsis.bench.folder import (
    Folder,
    matches_path,
    predictions_path,
    read_predictions,
)
from wsis.bench.matches import Matches
from wsis.bench.monitor import Monitor, Silent, Watch
from wsis.bench.origin import versions
from wsis.bench.pool import doing
from wsis.bench.records import Comparison, Run
from wsis.bench.verdicts import judge
from wsis.bench.work import Pipelines, Work
from wsis.config import Part
from wsis.contracts import Annotated, DataSource, Predictions
from wsis.evaluation import Evaluation, oracle, random_scores
from wsis.pipeline import Pipeline
from wsis.randomness import generator


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
) -> Comparison:
    """Trains and evaluates every variant with every seed on the same everything.

    Proposals and frozen features are made once; cues, initial weights, the images'
    order and the sampler's draws are those of the seed, where what is varied allows.
    Masks are read after training, by evaluation alone.

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

    Raises:
        LookupError: if a part is not installed.
        ValueError: if a part's settings are out of range, two variants are the same,
            the data have no tags to learn from, or the folder holds another bench.
    """
    monitor = monitor or Silent()
    variants = _variants(compared)
    if not seeds or jobs < 1:
        raise ValueError(f"expected seeds and jobs, got {list(seeds)} and {jobs}")
    shared, cache, device = pipeline.settings, pipeline.cache, pipeline.device
    pipelines = Pipelines(variants, shared, cache, device)
    work = Work(data, variants, pipelines, watch)
    identities = {
        variant.label: {
            **identity(variant, pipelines.of[variant.label]),
            "data": work.fingerprint,
            "versions": versions(),
        }
        for variant in variants
    }
    kept = None
    finished: dict[tuple[str, int], Run] = {}
    if folder is not None:
        kept = Folder(root=folder, design=identities, fresh=fresh)
        finished = kept.finished()
    pairs = [(variant, seed) for seed in seeds for variant in variants]
    missing = [pair for pair in pairs if (pair[0].label, pair[1]) not in finished]
    matches: dict[tuple[str, int], Matches] = {}
    pictures: dict[tuple[str, int], list[Predictions]] = {}
    began = time.perf_counter()
    with doing(work, jobs, data, shared, cache, device, watch) as do:
        chores = work.chores()
        step = monitor.start("proposals and features", len(chores))
        for name in do(Work.prepare, chores, None):
            step(name)
        prepared = time.perf_counter() - began
        for run, predictions, found in do(Work.run, missing, monitor):
            key = run.miner, run.seed
            if kept is not None:
                kept.keep(run, predictions, found)
            finished[key] = run
            matches[key] = found
            if run.seed == seeds[0]:
                pictures[key] = predictions
    for variant, seed in pairs:
        key = variant.label, seed
        if folder is not None and key not in matches:
            matches[key] = Matches.load(matches_path(folder, *key))
        if folder is not None and key not in pictures and seed == seeds[0]:
            pictures[key] = read_predictions(predictions_path(folder, *key))
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
        runs=[finished[variant.label, seed] for variant, seed in pairs],
        supervision=sorted(set().union(*(p.ledger for p in pipelines.of.values()))),
        prepare_seconds=prepared,
        pictures={v.label: pictures[v.label, seeds[0]] for v in variants},
        variants=_described(variants, pipelines),
        verdict=judge(ordered),
        truths=of_truths(list(work.val.truths)),
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
