"""Makes sure, before any work, that a bench or a tuning can come to its end."""

from collections.abc import Callable, Iterable

import torch

from wsis._support.checks import few
from wsis._support.places import check_writable
from wsis._support.problems import Checks
from wsis.contracts import Annotated, GroundTruth
from wsis.evaluation.matches import tabulate
from wsis.experiments import _ceiling, _free
from wsis.experiments._beside import check_labels
from wsis.experiments._pool import check_pickle
from wsis.experiments.runner import Plan, Work
from wsis.geometry.predictions import Predictions
from wsis.report.page import check_templates


def ready(plan: Plan, jobs: int) -> Work:
    """Return the work of a plan, once all that can be known before it is known.

    Every strategy builds, the masks of the validation photos can be read and measured
    by, the folders can be written, other processes can be given the plan, and the page
    has its templates.

    Raises:
        LookupError: if a part is not installed.
        ValueError: if anything else is amiss; if several things are, it names all.
    """
    checks = Checks()
    work = checks.of(Work, plan)
    for place in (plan.folder, plan.cache):
        if place is not None:
            checks.of(check_writable, place)
    if jobs > 1:
        for variant in plan.variants:
            checks.of(check_pickle, f"the miner {variant.label!r}", variant)
        checks.of(check_pickle, "the data set", plan.data)
        checks.of(check_pickle, "what watches the runs", plan.watch)
        checks.of(check_pickle, "the tracker", plan.tracker)
    checks.of(check_templates)
    if work is not None and work.val.tagged.images:
        checks.of(_check_measurable, work.val)
    if work is not None and work.ceiling_of:
        checks.of(check_labels, _ceiling.ROW, [*work.ceiling_of])
        checks.of(_check_teachable, work)
    if work is not None and work.free_of:
        checks.of(check_labels, _free.ROW, [*work.free_of])
    checks.tell()
    assert work is not None
    return work


def prepared(
    done: Iterable[tuple[str, Exception | None]], step: Callable[[str], None]
) -> None:
    """Follow the preparation of photos: of each its name, and any problem.

    Raises:
        ValueError: if photos could not be prepared; names all.
    """
    checks = Checks()
    for name, problem in done:
        step(name)
        if problem is not None:
            checks.add(problem)
    checks.tell()


def _check_measurable(val: Annotated) -> None:
    """Read all masks, and measure by them as if nothing had been predicted."""
    images, truths = val.tagged.images, _read(val, "validation photos to measure by")
    none, whole = torch.zeros(0), torch.zeros(0, dtype=torch.long)
    nothing = [
        Predictions.of_masks(image.id, truth.size, [], label=whole, score=none)
        for image, truth in zip(images, truths, strict=True)
    ]
    tabulate(nothing, truths, val.tagged.classes)


def _check_teachable(work: Work) -> None:
    """Read all masks of the training photos, and look for those that can teach."""
    seen = work.seen(None)
    _ceiling.check_teachable(seen, _read(seen, "training photos to teach the ceiling"))


def _read(half: Annotated, what: str) -> list[GroundTruth]:
    images, truths, broken = half.tagged.images, [], []
    for i, image in enumerate(images):
        try:
            truths.append(half.truths[i])
        except (ValueError, LookupError, OSError) as error:
            broken.append(f"{image.name}: {error}")
    if broken:
        raise ValueError(
            f"expected masks of the {what}, those of {len(broken)} of {len(images)} "
            f"cannot be read: {few(broken)}"
        )
    return truths
