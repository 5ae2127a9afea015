"""The training loop: one image a step, from tags alone."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Int
from pydantic import BeforeValidator
from torch import Tensor, nn

from wsis._support.checks import at_least, fraction, positive, proper
from wsis._support.randomness import generator
from wsis.features.frozen import Features
from wsis.features.views import Scale
from wsis.geometry.overlap import overlaps
from wsis.proposals.bags import Bag
from wsis.training.checkpoints import TrainingState
from wsis.training.network import Losses, Model, Observer, Strategy, supervise

Clusters = Callable[[Bag], Int[Tensor, "N C1"] | None]
"""The cues of a bag: the cluster labels of its proposals, or None."""


def _milestones(value: Any) -> Any:
    return [one for one in value.split(",") if one] if isinstance(value, str) else value


Milestones = Annotated[tuple[int, ...], BeforeValidator(_milestones)]
"""Iterations; on the command line with commas between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How a model is optimised.

    An iteration is one step of the optimiser, after ``batch`` images.

    Args:
        epochs: passes over the images, where ``iterations`` is 0.
        iterations: of the optimiser; 0 leaves the length to ``epochs``.
        batch: images an iteration, one after the other; their gradients are averaged.
        optimizer: ``adamw`` or ``sgd``.
        lr: learning rate.
        momentum: of SGD, in [0, 1).
        weight_decay: decoupled for AdamW, L2 for SGD.
        decay_at: share of the length after which the rate is multiplied by 0.1.
        milestones: iterations at each of which the rate is multiplied by 0.1; without
            any, ``decay_at`` says when.
        warmup: iterations over which the rate rises from a third to all of it.
        free_biases: biases learn at twice the rate and do not decay, as in Caffe.
        clip: largest gradient norm; 0 sets no limit.
    """

    epochs: int = 20
    iterations: int = 0
    batch: int = 1
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = 1e-4
    momentum: float = 0.9
    weight_decay: float = 5e-4
    decay_at: float = 2 / 3
    milestones: Milestones = ()
    warmup: int = 0
    free_biases: bool = False
    clip: float = 10.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "lr"):
            positive(name, getattr(self, name))
        for name in ("iterations", "warmup", "weight_decay", "clip"):
            at_least(name, getattr(self, name), 0)
        fraction("decay_at", self.decay_at)
        proper("momentum", self.momentum)
        if any(m < 1 for m in self.milestones) or list(self.milestones) != sorted(
            set(self.milestones)
        ):
            raise ValueError(
                f"milestones must be positive and rise, got {list(self.milestones)}"
            )

    def images(self, count: int) -> int:
        """How many images training sees in all, of a data set of ``count``."""
        return self.iterations * self.batch or self.epochs * count

    def factor(self, seen: int, count: int) -> float:
        """What the rate is multiplied by after ``seen`` images."""
        iteration = seen // self.batch
        if self.milestones:
            drops = sum(iteration >= milestone for milestone in self.milestones)
        else:
            drops = int(seen >= self.decay_at * self.images(count))
        share = min(1.0, iteration / self.warmup) if self.warmup else 1.0
        return 0.1**drops * ((1 + 2 * share) / 3)

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimiser of the parameters that train; ``set_rate`` sets their rates."""
        named = [(k, p) for k, p in model.named_parameters() if p.requires_grad]
        free = {k for k, _ in named if self.free_biases and k.endswith("bias")}
        groups: list[dict[str, Any]] = [
            {
                "params": [p for k, p in named if k not in free],
                "lr": self.lr,
                "weight_decay": self.weight_decay,
            }
        ]
        if free:
            biases = [p for k, p in named if k in free]
            groups.append({"params": biases, "lr": 2 * self.lr, "weight_decay": 0.0})
        if self.optimizer == "sgd":
            return torch.optim.SGD(groups, momentum=self.momentum)
        return torch.optim.AdamW(groups)

    def set_rate(self, optimizer: torch.optim.Optimizer, seen: int, count: int) -> None:
        """Sets the rates of what ``build`` made, for the next image."""
        for group, times in zip(optimizer.param_groups, (1, 2), strict=False):
            group["lr"] = self.lr * times * self.factor(seen, count)


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
