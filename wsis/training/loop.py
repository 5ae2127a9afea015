"""The training loop: one image at a time, from tags alone."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from wsis._support.randomness import generator
from wsis.contracts import Calibrating
from wsis.features.frozen import Features, sample
from wsis.features.scale import Scale
from wsis.geometry.overlap import overlaps
from wsis.proposals.bags import Bag
from wsis.training.checkpoints import TrainingState
from wsis.training.network import Model
from wsis.training.schedule import Schedule
from wsis.training.supervision import Losses, Observer, Strategy, supervise

Clusters = Callable[[Bag], Int[Tensor, "N C1"] | None]
"""Gives the cues of a bag: the cluster labels of its proposals, or None."""


@dataclass(slots=True)
class Progress:
    """The progress of training.

    Args:
        step: images seen, skipped ones included.
        skipped: images without proposals or tags, or whose loss was not finite, by
            reason.
        losses: mean of each loss over each epoch.
    """

    step: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    losses: list[dict[str, float]] = field(default_factory=list)

    def skip(self, reason: str) -> None:
        """Count one skipped image."""
        self.skipped[reason] = self.skipped.get(reason, 0) + 1


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
    checkpoint: Path | None = None,
    steps: int | None = None,
    observer: Observer | None = None,
    tick: Callable[[Progress], None] = lambda progress: None,
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
        checkpoint: written after every epoch; training resumes from it when it exists.
        steps: stops after so many images in all.
        observer: sees what every branch is taught.
        tick: called after every image.

    Raises:
        CheckpointError: if the checkpoint is damaged or of another run.
        ValueError: if no image has both proposals and tags.
    """
    descent = Descent(model, schedule, len(bags))
    order, sampling = generator(seed, "order"), generator(seed, "sampling")
    drawn = {"order": order, "sampling": sampling}
    state = TrainingState(model, descent.optimizer, drawn)
    run = json.dumps([asdict(schedule), repr(strategy), seed, len(bags)])
    progress = Progress()
    if checkpoint is not None and checkpoint.exists():
        progress = Progress(**state.load(checkpoint, run))
    elif isinstance(model.head, Calibrating):
        with torch.no_grad():
            some = (bag for bag in sample(bags) if len(bag.proposals))
            pooled = (features(bag, scales[0]) for bag in some)
            model.head.calibrate(one for one in pooled if isinstance(one, Tensor))
    last = schedule.images(len(bags)) if steps is None else steps
    model.train()
    while progress.step < last:
        means = Means()
        for bag, scale in islice(_epoch(bags, scales, order), last - progress.step):
            watch = _watching(observer, bag, progress.step // len(bags))
            try:
                losses = _losses(
                    model, bag, scale, features, clusters, strategy, sampling, watch
                )
            except _SkipError as reason:
                progress.skip(str(reason))
            else:
                descent.add(losses.total)
                means.add(losses.named())
            progress.step += 1
            descent.step(progress.step)
            tick(progress)
        # A checkpoint holds no gradients, so that none may wait at its time.
        descent.step(progress.step, now=True)
        if not means.images:
            raise ValueError(
                f"expected images with tags and proposals, all {len(bags)} were "
                f"skipped: {progress.skipped}"
            )
        progress.losses.append(means.values())
        if checkpoint is not None:
            state.save(checkpoint, run, asdict(progress))
    model.eval()
    return progress


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
        self._waiting = False

    def add(self, loss: Float[Tensor, ""]) -> None:
        """Add one image's gradient to those that wait for the next step."""
        (loss / self.schedule.batch).backward()
        self._waiting = True

    def step(self, seen: int, *, now: bool = False) -> None:
        """Take a step if gradients wait and a batch is full, or ``now``.

        Args:
            seen: images so far, skipped ones included.
            now: even if the batch is not full.
        """
        if self._waiting and (now or seen % self.schedule.batch == 0):
            self.schedule.set_rate(self.optimizer, seen - 1, self.images)
            descend(self.model, self.optimizer, self.schedule.clip)
            self._waiting = False


def descend(model: nn.Module, optimizer: torch.optim.Optimizer, clip: float) -> bool:
    """Take a step and forget the gradients; False, and no step, if not finite."""
    norm = nn.utils.clip_grad_norm_(model.parameters(), clip or math.inf)
    finite = bool(norm.isfinite())
    if finite:
        optimizer.step()
    optimizer.zero_grad()
    return finite


class Means:
    """The mean of each loss over some images."""

    def __init__(self) -> None:
        self.images = 0
        self._sums: dict[str, float] = {}

    def add(self, losses: Mapping[str, float], images: int = 1) -> None:
        """Add the losses of one image, or the mean losses of several."""
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value * images
        self.images += images

    def values(self) -> dict[str, float]:
        """Return the means by name."""
        return {name: value / self.images for name, value in self._sums.items()}


def _epoch(
    bags: Sequence[Bag], scales: Sequence[Scale], order: torch.Generator
) -> Iterator[tuple[Bag, Scale]]:
    images = torch.randperm(len(bags), generator=order).tolist()
    drawn = torch.randint(len(scales), (len(bags),), generator=order).tolist()
    for i, j in zip(images, drawn, strict=True):
        yield bags[i], scales[j]


def _watching(observer: Observer | None, bag: Bag, epoch: int) -> Observer | None:
    """Tell the observer which image and epoch each step belongs to."""
    if observer is None:
        return None
    return lambda step: observer(replace(step, image_id=bag.image.id, epoch=epoch))


class _SkipError(Exception):
    """The reason why an image teaches nothing."""


def _losses(
    model: Model,
    bag: Bag,
    scale: Scale,
    features: Features,
    clusters: Clusters,
    strategy: Strategy,
    sampling: torch.Generator,
    observer: Observer | None,
) -> Losses:
    """Return the losses of one image; raises ``_SkipError`` where there are none."""
    if not bag.tags.any():
        raise _SkipError("no tags")
    proposals = bag.proposals
    if not len(proposals):
        raise _SkipError("no proposals")
    cues = clusters(bag)
    losses = supervise(
        model(features(bag, scale)),
        overlaps(proposals).to(model.device),
        bag.tags.to(model.device),
        None if cues is None else cues.to(model.device),
        strategy,
        sampling,
        observer,
    )
    if not losses.total.isfinite():
        raise _SkipError("loss not finite")
    return losses
