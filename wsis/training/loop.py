"""The training loop: one image at a time, from tags alone."""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, fields, is_dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from time import monotonic
from zlib import crc32

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from wsis import plugins
from wsis._support.checks import few, warn
from wsis._support.files import digest
from wsis._support.interrupts import held_back
from wsis._support.places import moved
from wsis._support.provenance import machine
from wsis._support.randomness import generator, seeded
from wsis.contracts import Calibrating, PseudoInstances, View
from wsis.features.frozen import Features, LiveFeatures, sample
from wsis.features.scale import Scale
from wsis.proposals.bags import Bag, SharedOf, counted
from wsis.training._precision import computing, rounding
from wsis.training.checkpoints import Order, Progress, TrainingState, made_from
from wsis.training.inference import NOT_FINITE, finite
from wsis.training.losses import background_loss
from wsis.training.network import Model, Scores
from wsis.training.ranks import ALONE, Ranks, check_statistics
from wsis.training.schedule import Precision, Schedule
from wsis.training.supervision import (
    Observer,
    PartError,
    Strategy,
    Teacher,
    supervise,
)

Clusters = Callable[[Bag], Int[Tensor, "N C1"] | None]
"""Gives the cues of a bag: the cluster labels of its proposals, or None."""


EVERY = 600.0
"""Seconds after which a checkpoint is written within an epoch."""


def fit(
    model: Model,
    bags: Sequence[Bag],
    features: Features,
    clusters: Clusters,
    strategy: Strategy,
    schedule: Schedule,
    *,
    seed: int,
    scales: Sequence[Scale],
    checkpoint: str | Path | None = None,
    steps: int | None = None,
    shared: SharedOf = counted,
    background: Sequence[Bag] = (),
    observer: Observer | None = None,
    teacher: Teacher | None = None,
    tick: Callable[[Progress], None] = lambda progress: None,
    ranks: Ranks = ALONE,
) -> Progress:
    """Train ``model`` in place on bags of proposals and their tags.

    The order of the images, the scale drawn for each and the sampler's draws depend on
    ``seed`` alone, so that strategies of one seed see the same.

    Args:
        model: on its device.
        bags: the training images.
        features: gives pooled features.
        clusters: gives cues.
        strategy: how branches supervise each other.
        schedule: how the weights move.
        seed: of everything drawn.
        scales: one is drawn for every step.
        checkpoint: written after every epoch and ten minutes, and when training stops;
            it resumes from there, with the result of training that never stopped.
        steps: stops after so many images in all.
        shared: counts the pixels that a bag's proposals share, or finds them kept.
        background: photos that show none of the classes. One of them goes with every
            image, pass after pass in another order.
        observer: sees what every branch is taught.
        teacher: tells what every branch is taught, in place of cues and miner.
        tick: called after every image, or every one that processes learn at once,
            and before an epoch is closed.
        ranks: the processes that train the model together, each with all that is given
            here but the checkpoint, which the first one's is. They learn from the
            images of a batch side by side, with the result of one process.

    Raises:
        CheckpointError: if the checkpoint is damaged or of another run.
        DivergedError: if losses or gradients are not finite, a few in a row.
        ValueError: if no image has both proposals and tags, or features or what a part
            gives are not finite.
    """
    descent = Descent(model, schedule, len(bags))
    sampling = generator(seed, "sampling")
    order = Order(generator(seed, "order"), partial(_epoch, len(bags), len(scales)))
    about = {}
    checkpoint = None if checkpoint is None else Path(checkpoint)
    if checkpoint is not None:
        about = made_from(
            model,
            schedule=asdict(schedule),
            strategy=_in_words(strategy),
            seed=seed,
            scales=[scale.name for scale in scales],
            machine=machine(model.device),
            **_inputs(bags, features, clusters, scales[0], teacher, background),
        )
    drawn = {"sampling": sampling}
    state = TrainingState(
        model, descent.optimizer, order, drawn, about, checkpoint, ranks
    )
    found = state.load()
    if found is None and isinstance(model.head, Calibrating):
        with torch.no_grad():
            some = (bag for bag in sample(bags) if len(bag.proposals))
            pooled = (features(bag, scales[0]) for bag in some)
            model.head.calibrate(one for one in pooled if isinstance(one, Tensor))
    ranks.agree(model)
    progress = found or Progress()
    last = schedule.images(len(bags)) if steps is None else steps

    def learn() -> None:
        before = progress.step
        # One image for each process, of one batch and one epoch.
        ends = (one - before % one for one in (schedule.batch, len(bags)))
        places = [next(order) for _ in range(min(ranks.count, last - before, *ends))]
        draws = _Draws(ranks, strategy, sampling)
        outcome: _Outcome = None
        with ranks.adding_up(model):
            if ranks.rank < len(places):
                outcome = attempt(*places[ranks.rank], before + ranks.rank, draws)
            draws.end()
        for (i, _), one in zip(places, ranks.shared(outcome), strict=False):
            progress.step += 1
            name = bags[i].image.name
            if isinstance(one, _SkipError):
                progress.skip(str(one))
            elif isinstance(one, _NotFiniteError):
                progress.drop("loss", f"{name} ({one})")
            elif one is not None:
                progress.waiting.append(f"{name} (loss {one['total']:g})")
                progress.add(one)
        descent.step(progress)

    def attempt(i: int, j: int, step: int, draws: _Draws) -> _Outcome:
        bag = bags[i]
        watch = _watching(observer, bag, step // len(bags))
        try:
            # Parts that draw from the global state, as dropout does, repeat as well.
            with seeded(crc32(f"step {seed} {step}".encode())):
                loss, named = _losses(
                    *(model, bag, scales[j], features, clusters, shared),
                    *(strategy, schedule.precision, draws, watch, teacher),
                    step / schedule.images(len(bags)),
                    _beside(background, step, seed),
                )
        except (_SkipError, _NotFiniteError) as error:
            return error
        with rounding(schedule.precision):
            descent.add(loss)
        return named

    model.train()
    check_statistics(model, ranks)
    if progress.step > last:
        warn(
            f"expected to stop after {last} images, {checkpoint} is at {progress.step} "
            "already; training adds nothing"
        )
    repeat(learn, state, progress, len(bags), last, tick)
    descent.step(progress, now=True)
    progress.end(model)
    model.eval()
    return progress


def repeat(
    learn: Callable[[], None],
    state: TrainingState,
    progress: Progress,
    images: int,
    last: int,
    tick: Callable[[Progress], None],
) -> None:
    """Call ``learn`` until ``last`` images are seen; close epochs, keep checkpoints."""
    ranks = state.ranks
    held = state.path is not None or ranks.count > 1
    with held_back() if held else nullcontext(bool) as interrupted:
        kept = monotonic()
        while progress.step < last:
            before = progress.step // images
            learn()
            ended = progress.step // images > before
            tick(progress)
            if ended:
                progress.close()
            stopped, due = ranks.any(interrupted(), monotonic() - kept > EVERY)
            if ended or stopped or due or progress.step >= last:
                state.save(progress)
                kept = monotonic()
                [stopped] = ranks.any(interrupted())
            if stopped:
                raise KeyboardInterrupt


class Descent:
    """Takes the optimiser's steps: one after every ``schedule.batch`` images.

    Args:
        model: to be trained.
        schedule: of its weights.
        images: in the training set.
    """

    def __init__(self, model: nn.Module, schedule: Schedule, images: int) -> None:
        self.model, self.schedule, self.images = model, schedule, images
        self.optimizer = schedule.build(model)

    def add(self, loss: Float[Tensor, ""]) -> None:
        """Add one image's gradient to those that wait for the next step."""
        (loss / self.schedule.batch).backward()

    def step(self, progress: Progress, *, now: bool = False) -> None:
        """Take a step if gradients wait and a batch is full, or ``now``.

        The gradient is the mean over the images of the batch that taught something.
        """
        schedule, waiting = self.schedule, progress.waiting
        if not waiting or not (now or progress.step % schedule.batch == 0):
            return
        if len(waiting) < schedule.batch:
            for parameter in self.model.parameters():
                if parameter.grad is not None:
                    parameter.grad *= schedule.batch / len(waiting)
        schedule.set_rate(self.optimizer, progress.step - 1, self.images)
        names, progress.waiting = few(waiting), []
        descend(self.model, self.optimizer, schedule.clip, names, progress)


def descend(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    clip: float,
    names: str,
    progress: Progress,
) -> None:
    """Take a step and forget the gradients; drop and name it if they are not finite."""
    norm = nn.utils.clip_grad_norm_(model.parameters(), clip or math.inf)
    finite = bool(norm.isfinite())
    if finite:
        optimizer.step()
        progress.taken, progress.in_a_row = progress.taken + 1, 0
    optimizer.zero_grad()
    if not finite:
        progress.drop("gradient", names)


def _epoch(images: int, scales: int, order: torch.Generator) -> list[tuple[int, int]]:
    """Return the positions of an epoch's images, and of the scale of each."""
    shuffled = torch.randperm(images, generator=order).tolist()
    drawn = torch.randint(scales, (images,), generator=order).tolist()
    return list(zip(shuffled, drawn, strict=True))


def _in_words(strategy: Strategy) -> str:
    """Return a strategy as text, with the content of weights where parts tell it."""
    text, parts = repr(strategy), (strategy.miner, strategy.sampler, strategy.assigner)
    for part in filter(is_dataclass, parts):
        given = {one.name: getattr(part, one.name) for one in fields(part)}
        if given != plugins.unplaced(given, part):
            where, told = repr(given[plugins.WEIGHTS]), plugins.weights_of(part)
            text = text.replace(where, str(told))
    return text


def _inputs(
    bags: Sequence[Bag],
    features: Features,
    clusters: Clusters,
    scale: Scale,
    teacher: Teacher | None,
    background: Sequence[Bag],
) -> dict[str, str]:
    """Return digests of what is learned from; of features and labels, a sample's."""
    some = [bag for bag in sample(bags) if bag.tags.any() and len(bag.proposals)]
    cues = [clusters(bag) for bag in some]
    # Of live features, the backbone's weights tell.
    live = isinstance(features, LiveFeatures)
    pooled = [] if live else [features(bag, scale) for bag in some]
    kept = [
        [one.detach().cpu().numpy() for one in ones if isinstance(one, Tensor)]
        for ones in (cues, pooled)
    ]
    return {
        "photos": f"{len(bags)} photos, {digest(*(bag.key for bag in bags))}",
        "tags": digest(*(bag.labels for bag in bags)),
        "proposals": digest(*(bag.origin for bag in bags)),
        "cues": digest(*kept[0]),
        "features": digest(*kept[1]),
        **({} if teacher is None else {"taught": _taught(teacher, some)}),
        **(
            {"background": digest(*((bag.key, bag.origin) for bag in background))}
            if background
            else {}
        ),
    }


def _beside(background: Sequence[Bag], step: int, seed: int) -> Bag | None:
    """Return the photo of background that goes with a step; resumed at any step."""
    if not background:
        return None
    turn, place = divmod(step, len(background))
    return background[_shuffled(len(background), f"background {turn}", seed)[place]]


# Processes that train together may be in two passes at once.
@lru_cache(maxsize=2)
def _shuffled(count: int, name: str, seed: int) -> list[int]:
    order: list[int] = torch.randperm(count, generator=generator(seed, name)).tolist()
    return order


def _taught(teacher: Teacher, bags: Sequence[Bag]) -> str:
    found = [teacher(bag) for bag in bags]
    kept = [[one.index, one.label, one.weight] for one in found]
    return digest(*([x.cpu().numpy() for x in one] for one in kept))


def _watching(observer: Observer | None, bag: Bag, epoch: int) -> Observer | None:
    """Tell the observer which image and epoch each step belongs to."""
    if observer is None:
        return None
    return lambda step: observer(replace(step, image_id=bag.image.id, epoch=epoch))


class _SkipError(Exception):
    """The reason why an image teaches nothing."""


class _NotFiniteError(Exception):
    """Says which numbers are not finite."""


_Outcome = dict[str, float] | _SkipError | _NotFiniteError | None
"""An image's losses by name, or why there are none; None without an image."""


class _Draws:
    """Samples what each process mined in its image, in the order of the images.

    Every process draws for all of them, so that all keep the one stream.
    """

    def __init__(
        self, ranks: Ranks, strategy: Strategy, sampling: torch.Generator
    ) -> None:
        self.ranks, self.strategy, self.sampling = ranks, strategy, sampling
        self.ended = False

    def __call__(self, mined: Sequence[PseudoInstances]) -> list[PseudoInstances]:
        """Return what is kept of the process's own."""
        self.ended = True
        everywhere = self.ranks.shared(list(mined))
        kept = [self.strategy.sampled(one, self.sampling) for one in everywhere]
        return kept[self.ranks.rank]

    def end(self) -> None:
        """Draw for the others if there was nothing to sample here."""
        if not self.ended:
            self([])


def _losses(
    model: Model,
    bag: Bag,
    scale: Scale,
    features: Features,
    clusters: Clusters,
    shared: SharedOf,
    strategy: Strategy,
    precision: Precision,
    draws: _Draws,
    observer: Observer | None,
    teacher: Teacher | None,
    done: float,
    none: Bag | None,
) -> tuple[Float[Tensor, ""], dict[str, float]]:
    """Return the loss of one image, and all its losses by name.

    Raises:
        _SkipError: if it teaches nothing.
        _NotFiniteError: if what the weights made of it is not finite.
        ValueError: if the image's features or what a part gives are not finite.
    """
    if not bag.tags.any():
        raise _SkipError("no tags")
    pixels = shared(bag)
    if not len(pixels):
        raise _SkipError("no proposals")
    pooled, scores = _scored(model, bag, scale, features, precision)
    cues = clusters(bag)
    taught = None if teacher is None else teacher(bag).to(model.device)
    counts = bag.image.counts
    try:
        losses = supervise(
            scores,
            pixels.overlaps(model.device),
            moved(bag.tags, model.device),
            None if cues is None else moved(cues, model.device),
            strategy,
            draws.sampling,
            observer,
            counts=None if counts is None else counts.to(model.device),
            taught=taught,
            draw=draws,
            evidence=model.evidence(pooled, strategy.miner),
            done=done,
        )
    except PartError as error:
        raise PartError(f"{bag.image.name}: {error}") from None
    total, named = losses.total, losses.named()
    if none is not None and len(none.proposals):
        _, shown = _scored(model, none, scale, features, precision)
        first = shown.anti_noise if strategy.anti_noise else None
        loss = background_loss(first, shown.branches)
        total = total + loss
        named["background"] = loss.item()
        named["total"] += named["background"]
    if not math.isfinite(named["total"]):
        raise _NotFiniteError(f"loss {named['total']:g}")
    return total, named


def _scored(
    model: Model, bag: Bag, scale: Scale, features: Features, precision: Precision
) -> tuple[Tensor | View, Scores]:
    live = model.backbone is not None
    # Frozen features are kept for trainings of any precision.
    with computing(precision if live else "float32", model.device):
        pooled = features(bag, scale)
    if not finite(pooled):
        if live:
            raise _NotFiniteError("features")
        raise ValueError(f"{bag.image.name}: {NOT_FINITE}")
    with computing(precision, model.device):
        scores = model(pooled).in_float32()
    if not scores.finite():
        raise _NotFiniteError("scores")
    return pooled, scores
