"""Compares miners and variants under identical settings: variants × seeds × folds."""

import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from wsis._support.journal import UNREAD
from wsis._support.progress import Monitor, Silent
from wsis._support.provenance import versions
from wsis._support.randomness import generator
from wsis.contracts import Annotated, DataSource
from wsis.data.halves import summary
from wsis.data.splits import Folds
from wsis.evaluation import Evaluation, Trace, oracle, random_scores
from wsis.experiments import _ceiling, _free
from wsis.experiments._beside import shown_names
from wsis.experiments._pool import doing
from wsis.experiments._preflight import prepared, ready
from wsis.experiments._verdicts import judge
from wsis.experiments.folders import Kept, journal
from wsis.experiments.records import Beside, Comparison, RunRecord
from wsis.experiments.runner import Plan, Watch, Work
from wsis.experiments.variants import Compared, Variant, common, identity, variants_of
from wsis.report.shown import Shown
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Overrides, Settings, checked_seeds, dataset
from wsis.training.trackers import CURVES, TensorBoardTracker, Trackers, trackers


def compare(
    miners: Mapping[str, Compared] | Sequence[Compared] | str,
    data: DataSource | str,
    pipeline: Pipeline | None = None,
    *,
    seeds: int | Sequence[int] = 3,
    recipe: str | None = None,
    settings: Settings | Overrides = (),
    device: str | torch.device = "auto",
    cache: str | Path | None = None,
    jobs: int = 1,
    cluster: str | None = None,
    folder: str | Path | None = None,
    fresh: bool = False,
    folds: int | None = None,
    trace: bool | Watch = False,
    ceiling: bool | None = None,
    proposal_free: bool = False,
    monitor: Monitor | None = None,
    tracker: Trackers = (),
) -> Comparison:
    """Train and evaluate miners with several seeds, all else being the same.

    Proposals and frozen features are made once; cues, initial weights, the images'
    order and the sampler's draws are those of the seed. Masks are read before any work,
    to make sure that they can be, and after training, by evaluation alone. The ceiling
    alone is taught by masks, those of the training images.

    With ``folds`` the images of both halves are split (``Folds``), alike for all
    variants and seeds, and every variant trains once for each part and seed, on all
    images but that part. A seed's figures are then those of all images, each predicted
    by the model that has not seen it. Intervals cover which images there are and the
    seeds; they do not cover that another split would have given other models.

    Args:
        miners: by the name that tables give them, or one after another, or as text:
            ``"cim,mist:reading=box"``. Each is an object, a name with settings, or a
            ``Variant``. The others are compared with the first.
        data: the data set, or its name with settings; with several jobs it is
            pickled, as are the miners.
        pipeline: all else, ready, in place of recipe, settings, device and cache.
        seeds: how many, 0, 1, …; or which ones.
        recipe: name or file of a recipe; None takes what suits the data, as in
            ``wsis.train``.
        settings: what differs from the recipe, as in ``wsis.train``.
        device: where models are; ``auto`` takes the fastest.
        cache: folder for proposals, features and cues; None takes the user's.
        jobs: processes, of one thread each if there are several; figures depend on the
            number of threads in the last digits only.
        cluster: address of a Dask scheduler whose workers do the work instead; they
            have one thread each and see data and cache under the same paths.
        folder: keeps every finished run, so that the same call resumes there.
        fresh: forgets the runs that the folder has.
        folds: splits both halves anew into so many parts and holds out each in turn;
            None takes the data set's own halves.
        trace: also records what every branch is taught, judged by the training masks;
            or what makes another ``Watcher`` of each run.
        ceiling: also trains the same network with true masks in place of a miner, with
            every seed, and tells how much of that each miner reaches. None does so on
            drawn scenes, with the first seed, where that is one run more.
        proposal_free: also learns with every seed to group cells without proposals
            (``wsis.training.ProposalFree``), on the same features and tags.
        monitor: is told of progress.
        tracker: draws curves and figures of every run, as in ``wsis.train``: those of
            ``tensorboard:FOLDER`` in a folder each. Other processes get copies.

    Raises:
        LookupError: if a part is not installed.
        ValueError: if a part's settings are out of range, two miners have one name, the
            data have no tags to learn from, a miner or the data cannot be sent to
            another process, there cannot be so many folds, the training images have no
            masks for a ceiling, or the folder holds another comparison.
    """
    variants, data = variants_of(miners), dataset(data)
    if pipeline is None:
        pipeline = Pipeline.of(
            recipe=recipe, settings=settings, device=device, cache=cache, data=data
        )
    elif recipe or settings or cache or device != "auto":
        raise ValueError(
            "expected a pipeline, or recipe, settings, device and cache, got both"
        )
    seeds = checked_seeds(seeds)
    if folder is None:
        for one in trackers(tracker):
            if isinstance(one, TensorBoardTracker) and one.folder is None:
                raise ValueError("expected tensorboard:FOLDER, as nothing is kept")
    labels = [variant.label for variant in variants]
    if not labels or len(set(labels)) != len(labels):
        raise ValueError(f"expected miners or variants, each once, got {labels}")
    if jobs < 1:
        raise ValueError(f"expected jobs, got {jobs}")
    with (
        TemporaryDirectory(prefix="wsis-")
        if folder is None
        else nullcontext(str(folder))
    ) as place:
        root = Path(place)
        plan = Plan(
            data=data,
            variants=variants,
            settings=pipeline.settings,
            cache=pipeline.cache,
            device=pipeline.device,
            watch=Trace.of if trace is True else trace or None,
            folds=None if folds is None else Folds(count=folds),
            ceiling=ceiling,
            proposal_free=proposal_free,
            folder=root,
            tracker=tracker,
        )
        return _compared(
            plan, root, seeds, jobs, cluster, monitor or Silent(), fresh=fresh
        )


def _compared(
    plan: Plan,
    folder: Path,
    seeds: Sequence[int],
    jobs: int,
    cluster: str | None,
    monitor: Monitor,
    *,
    fresh: bool,
) -> Comparison:
    """Do the work of a plan that its folder does not hold yet."""
    variants, labels = plan.variants, [variant.label for variant in plan.variants]
    folds = None if plan.folds is None else plan.folds.count
    work = ready(plan, jobs if cluster is None else 1)
    of, first = work.pipelines, seeds[0]
    began = time.perf_counter()
    monitor.say(summary(work.train))
    taught = (seeds if plan.ceiling else seeds[:1]) if work.ceiling_of else []
    shared = {"data": work.fingerprint, "inputs": UNREAD, "versions": versions()}
    design = {x.label: {**identity(x, of[x.label]), **shared} for x in variants}
    tops = {
        name: {**_ceiling.identity(of[label]), **shared}
        for label, name in work.ceiling_of.items()
    }
    frees = {
        name: {**work.frees[label].identity(), **shared}
        for label, name in work.free_of.items()
    }
    # Another bench is refused before the photos are read.
    journal(folder, design, fresh=fresh).resumes()
    journal(folder / _ceiling.FOLDER, tops, fresh=fresh).resumes()
    journal(folder / _free.FOLDER, frees, fresh=fresh).resumes()
    inputs = work.inputs()
    work.compare_photos()

    def opened(root: Path, of_runs: dict[str, dict[str, Any]]) -> "closing[Kept]":
        made = {name: {**one, "inputs": inputs[name]} for name, one in of_runs.items()}
        return closing(
            Kept(root=root, design=made, fresh=fresh, folds=folds, first=first)
        )

    with (
        opened(folder, design) as kept,
        opened(folder / _ceiling.FOLDER, tops) as above,
        opened(folder / _free.FOLDER, frees) as beside,
        doing(work, jobs, cluster) as do,
    ):
        drawn = trackers(plan.tracker)
        if fresh and any(isinstance(one, TensorBoardTracker) for one in drawn):
            # Nobody else works in this folder now.
            shutil.rmtree(folder / CURVES, ignore_errors=True)
        missing = [(*key, key[1] == first) for key in _missing(kept, labels, seeds)]
        untaught = _missing(above, tops, taught)
        ungrouped = _missing(beside, frees, seeds)
        chores = work.chores()
        step = monitor.start("proposals and features", len(chores))
        prepared(do(Work.prepare, chores, None), step)
        seconds = time.perf_counter() - began
        for hints in do(Work.hints, [(first, kept.parts[0])] if missing else [], None):
            for text in hints:
                monitor.say(text)
        for done in do(Work.run, missing, monitor):
            kept.add(done)
        for done in do(Work.teach, untaught, monitor):
            above.add(done)
        for done in do(Work.group, ungrouped, monitor):
            beside.add(done)
        shown = {label: kept.shown(label) for label in labels}
        # Runs of folds are dissected together; a folder of an older version has none.
        whole = [
            (label, seed, kept.predictions(label, seed))
            for seed in seeds
            for label in labels
            if folds is not None or (seed == first and shown[label] is None)
        ]
        step = monitor.start("errors by kind", len(whole)) if whole else step
        errors = {}
        for label, seed, anatomy in do(Work.dissect, whole, None):
            errors[label, seed] = anatomy.results()
            if seed == first:
                known = shown[label]
                shown[label] = Shown.of(anatomy, known.mined if known else None)
            step(label)
    matches = {(x, seed): kept.matches(x, seed) for x in labels for seed in seeds}

    def whole_run(of: Kept, label: str, seed: int) -> RunRecord:
        if folds is None:
            return of.runs[label, seed, None]
        parts = [of.runs[label, seed, fold] for fold in of.parts]
        found = of.matches(label, seed)
        anatomy = errors.get((label, seed))
        return RunRecord.pooled(parts, found, work.train.classes, anatomy)

    def rows_of(
        row: str, of_rows: Kept, names: Mapping[str, str], seeds: Sequence[int]
    ) -> Beside | None:
        if not names:
            return None
        shown = shown_names(row, names)
        runs = [
            replace(whole_run(of_rows, name, seed), miner=shown[name])
            for seed in seeds
            for name in shown
        ]
        of_labels = {label: shown[name] for label, name in names.items()}
        return Beside(runs=runs, of=of_labels)

    step = monitor.start("oracle and random scores", 2)
    highest, chance = bounds(of[labels[0]], work.val, step)
    return Comparison(
        settings={
            **common([one.settings.resolved() for one in of.values()]),
            "seeds": list(seeds),
            "device": str(plan.device),
            "data": work.fingerprint,
        },
        data=work.description(),
        oracle=highest,
        random=chance,
        runs=[whole_run(kept, label, seed) for seed in seeds for label in labels],
        ceiling=rows_of(_ceiling.ROW, above, work.ceiling_of, taught),
        proposal_free=rows_of(_free.ROW, beside, work.free_of, seeds),
        supervision=sorted(set().union(*(one.ledger for one in of.values()))),
        prepare_seconds=seconds,
        pictures={label: kept.predictions(label, first) for label in labels},
        variants=[_described(variant, of[variant.label]) for variant in variants],
        verdict=judge(matches),
        truths=inputs[labels[0]]["truths"],
        folds=[]
        if folds is None
        else [kept.runs[x, s, k] for s in seeds for k in kept.parts for x in labels],
        val=work.val,
        pipelines=of,
        shown={label: one for label, one in shown.items() if one is not None},
    )


def bounds(
    pipeline: Pipeline, val: Annotated, step: Callable[[str], None] = lambda note: None
) -> tuple[Evaluation, Evaluation]:
    """Return what proposals allow at best (oracle), and what they give by chance.

    Args:
        pipeline: makes the proposals and selects instances.
        val: the images and their objects.
        step: is called after each of the two.
    """
    bags = pipeline.test_bags(val.tagged.images)
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


def _missing(
    kept: Kept, names: Iterable[str], seeds: Sequence[int]
) -> list[tuple[str, int, int | None]]:
    """Return name, seed and fold of the runs that a folder has not."""
    wanted = [(x, seed, k) for seed in seeds for k in kept.parts for x in names]
    return [key for key in wanted if key not in kept.runs]


def _described(variant: Variant, pipeline: Pipeline) -> dict[str, Any]:
    return {
        "label": variant.label,
        "miner": variant.miner.label,
        "sampler": pipeline.sampler(variant.miner).label,
        "overrides": list(variant.overrides),
    }
