"""Tunes: trains every setting of a sweep and asks the criteria."""

from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import torch

from wsis._support.files import digest
from wsis._support.journal import UNREAD
from wsis._support.progress import Monitor, Silent
from wsis._support.provenance import versions
from wsis.contracts import DataSource
from wsis.data.halves import summary, tell_shared
from wsis.data.splits import Split
from wsis.experiments._pool import doing
from wsis.experiments._preflight import prepared, ready
from wsis.experiments._provenance import describe
from wsis.experiments.runner import Plan, Work
from wsis.experiments.tuning.criteria import chance_ap
from wsis.experiments.tuning.folder import journal, resumed
from wsis.experiments.tuning.results import BY, Tuning, check_choice
from wsis.experiments.tuning.space import Space
from wsis.experiments.tuning.trial import prepare, trial
from wsis.experiments.variants import identity
from wsis.proposals.bags import keys_of
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import checked_seeds


def tune(
    data: DataSource,
    space: Space,
    pipeline: Pipeline,
    *,
    settings: int = 40,
    seeds: Sequence[int] = (0,),
    held_out: float = 0.25,
    views: int = 60,
    judged: bool = True,
    by: str = BY,
    jobs: int = 1,
    cluster: str | None = None,
    monitor: Monitor | None = None,
    folder: Path | None = None,
    fresh: bool = False,
) -> Tuning:
    """Train every setting with every seed, and rank them by held-out tags.

    Part of the training photos is held out. Criteria see the trained model and these
    photos' pixels and tags; the masks of the validation photos judge afterwards and
    choose nothing.

    Args:
        data: the data set; with several jobs it is pickled.
        space: the axes that are swept.
        pipeline: everything else; its settings are the space's.
        settings: how many, the default among them.
        seeds: every setting runs with each.
        held_out: share of the tagged training photos, in (0, 1).
        views: how many of them are looked at mirrored and smaller, too.
        judged: whether the validation photos' masks judge; else nobody asks for them.
        by: the criterion that chooses.
        jobs: processes, of one thread each where there are several.
        cluster: address of a Dask scheduler whose workers do the work instead, as in
            ``compare``.
        monitor: is told of progress.
        folder: where every finished trial is kept; those that are there already are not
            done again.
        fresh: forgets the trials that are there.

    Raises:
        LookupError: if there is no such criterion, or a part is not installed.
        ValueError: if a setting is out of range, there are too few photos, or the
            folder holds another tuning.
    """
    check_choice(by)
    seeds = checked_seeds(seeds)
    if jobs < 1 or views < 0:
        raise ValueError(f"expected jobs and views, got {jobs} and {views}")
    if space.shared != pipeline.settings:
        raise ValueError("expected a space over the pipeline's settings, got others")
    monitor = monitor or Silent()
    split = Split(source=data, share=held_out, judged=judged)
    variants = space.sample(settings)
    plan = Plan(
        data=split,
        variants=variants[:1],
        settings=pipeline.settings,
        cache=pipeline.cache,
        device=pipeline.device,
        folder=folder,
    )
    work = ready(plan, jobs if cluster is None else 1)
    held = split.held().images
    design = {
        **identity(variants[0], pipeline),
        "sweep": [axis.text for axis in space.axes],
        "data": describe(data, data.train(), split.val()),
        "held_out": held_out,
        "views": views,
        "judged": judged,
        "inputs": UNREAD,
        "versions": versions(),
    }
    if folder is not None:
        # Another tuning is refused before the photos are read.
        journal(folder, design, fresh=fresh).resumes()
    monitor.say(summary(work.train))
    [inputs] = work.inputs().values()
    bags = work.pipelines[variants[0].label].bags(held)
    keys = keys_of(bags)
    design["inputs"] = {**inputs, "held": digest(*keys)}
    work.compare_photos()
    learned = [bag.key for bag in work.bags(variants[0].label)[0]]
    tell_shared(held, keys, learned, "held-out")
    kept = None if folder is None else journal(folder, design, fresh=fresh)
    pairs = [(variant, seed) for variant in variants for seed in seeds]
    wanted = {(variant.label, seed) for variant, seed in pairs}
    finished = {} if kept is None else resumed(kept, wanted)
    missing = [
        (variant, seed, views)
        for variant, seed in pairs
        if (variant.label, seed) not in finished
    ]
    if missing:
        with closing(kept) if kept else nullcontext(), doing(work, jobs, cluster) as do:
            chores, looks = work.chores(), [(i, views) for i in range(len(held))]
            step = monitor.start("proposals and features", len(chores) + len(looks))
            done = do(Work.prepare, chores, None), do(prepare, looks, None)
            prepared(chain(*done), step)
            for hints in do(Work.hints, [(seeds[0], None)], None):
                for text in hints:
                    monitor.say(text)
            for one in do(trial, missing, monitor):
                if kept is not None:
                    kept.append(asdict(one))
                finished[one.label, one.seed] = one
    return Tuning(
        space=space,
        variants=variants,
        trials=[finished[variant.label, seed] for variant, seed in pairs],
        design={
            **design,
            "seeds": list(seeds),
            "tag_chance": chance_ap(
                torch.stack([image.tags for image in held]).numpy()
            ),
            "photos": {
                "train": len(work.train.images),
                "held_out": len(held),
                "val": len(work.val.tagged.images),
            },
        },
        by=by,
    )
