"""The training loop: one image a step, from tags alone."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor, nn

from wsis._support.randomness import generator
from wsis.features.frozen import Features
from wsis.features.scale import Scale
from wsis.geometry.overlap import overlaps
from wsis.proposals.bags import Bag
from wsis.training.checkpoints import TrainingState
from wsis.training.network import Losses, Model, Observer, Strategy, supervise
from wsis.training.schedule import Schedule

Clusters = Callable[[Bag], Int[Tensor, "N C1"] | None]
"""The cues of a bag: the cluster labels of its proposals, or None."""


@dataclass(slots=True)
class Progress:
    """What training has done so far.

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
        """Counts one skipped image."""
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
    """Trains ``model`` in place on bags of proposals and their tags.

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
    optimizer = schedule.build(model)
    order, sampling = generator(seed, "order"), generator(seed, "sampling")
    state = TrainingState(model, optimizer, {"order": order, "sampling": sampling})
    run = json.dumps([asdict(schedule), repr(strategy), seed, len(bags)])
    progress = Progress()
    if checkpoint is not None and checkpoint.exists():
        progress = Progress(**state.load(checkpoint, run))
    else:
        _calibrate(model, bags, features, scales[0])
    last = schedule.images(len(bags)) if steps is None else steps
    model.train()
    while progress.step < last:
        sums: dict[str, float] = {}
        waiting = 0
        for bag, scale in islice(_epoch(bags, scales, order), last - progress.step):
            watch = _watching(observer, bag, progress.step // len(bags))
            losses = _step(
                model, bag, scale, features, clusters, strategy, sampling, watch
            )
            if isinstance(losses, str):
                progress.skip(losses)
            else:
                (losses.total / schedule.batch).backward()
                waiting += 1
                for name, value in _named(losses).items():
                    sums[name] = sums.get(name, 0.0) + value
                sums["images"] = sums.get("images", 0) + 1
            progress.step += 1
            if waiting and progress.step % schedule.batch == 0:
                schedule.set_rate(optimizer, progress.step - 1, len(bags))
                descend(model, optimizer, schedule.clip)
                waiting = 0
            tick(progress)
        if waiting:
            # A checkpoint holds no gradients, so that none may wait at its time.
            schedule.set_rate(optimizer, progress.step - 1, len(bags))
            descend(model, optimizer, schedule.clip)
        count = sums.pop("images", 0)
        if not count:
            raise ValueError(
                f"expected images with tags and proposals, all {len(bags)} were "
                f"skipped: {progress.skipped}"
            )
        progress.losses.append({name: value / count for name, value in sums.items()})
        if checkpoint is not None:
            state.save(checkpoint, run, asdict(progress))
    model.eval()
    return progress


def _epoch(
    bags: Sequence[Bag], scales: Sequence[Scale], order: torch.Generator
) -> Iterator[tuple[Bag, Scale]]:
    images = torch.randperm(len(bags), generator=order).tolist()
    drawn = torch.randint(len(scales), (len(bags),), generator=order).tolist()
    for i, j in zip(images, drawn, strict=True):
        yield bags[i], scales[j]


def _watching(observer: Observer | None, bag: Bag, epoch: int) -> Observer | None:
    """The observer, told which image and epoch it is that it sees."""
    if observer is None:
        return None
    return lambda step: observer(replace(step, image_id=bag.image.id, epoch=epoch))


def _step(
    model: Model,
    bag: Bag,
    scale: Scale,
    features: Features,
    clusters: Clusters,
    strategy: Strategy,
    sampling: torch.Generator,
    observer: Observer | None,
) -> Losses | str:
    """The losses of one image, or why it is skipped."""
    if not bag.tags.any():
        return "no tags"
    proposals = bag.proposals
    if not len(proposals):
        return "no proposals"
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
    return losses if bool(losses.total.isfinite()) else "loss not finite"


def descend(model: nn.Module, optimizer: torch.optim.Optimizer, clip: float) -> bool:
    """Takes a step and forgets the gradients; False, and no step, if not finite."""
    norm = nn.utils.clip_grad_norm_(model.parameters(), clip or math.inf)
    finite = bool(norm.isfinite())
    if finite:
        optimizer.step()
    optimizer.zero_grad()
    return finite


_LOSSES = (
    "classification",
    "integrity",
    "bag",
    "mil",
    "cluster",
    "localization",
    "total",
)


def _named(losses: Losses) -> dict[str, float]:
    return {name: float(getattr(losses, name).detach()) for name in _LOSSES}


def _calibrate(
    model: Model, bags: Sequence[Bag], features: Features, scale: Scale
) -> None:
    """Lets a head that wants it see some images' pooled features first."""
    calibrate = getattr(model.head, "calibrate", None)
    if calibrate is not None:
        some = bags[:: max(1, len(bags) // 50)]
        with torch.no_grad():
            calibrate(features(bag, scale) for bag in some if len(bag.proposals))
