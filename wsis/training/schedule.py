"""The training schedule: settings, importable without torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator

from wsis._support.checks import at_least, fraction, positive, proper

if TYPE_CHECKING:
    import torch


def _milestones(value: Any) -> Any:
    return [one for one in value.split(",") if one] if isinstance(value, str) else value


Milestones = Annotated[tuple[int, ...], BeforeValidator(_milestones)]
"""Iterations; comma-separated on the command line."""


Precision = Literal["float32", "tf32", "bfloat16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The length of training, the optimiser and its rates.

    An iteration is one step of the optimiser, after ``batch`` images.

    Args:
        epochs: passes over the images, where ``iterations`` is 0.
        iterations: of the optimiser; 0 leaves the length to ``epochs``.
        min_iterations: that training has where ``epochs`` passes would be fewer.
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
        precision: of forward and backward, losses and weights excepted: ``float32``;
            ``tf32``, which rounds the factors of products on CUDA; or ``bfloat16``,
            which keeps 8 binary digits of most numbers. Frozen features and
            prediction are always in float32.
    """

    epochs: int = 20
    iterations: int = 0
    min_iterations: int = 0
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
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "lr"):
            positive(name, getattr(self, name))
        for name in ("iterations", "min_iterations", "warmup", "weight_decay", "clip"):
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
        """Return how many images training sees, of a data set of ``count``."""
        if self.iterations:
            return self.iterations * self.batch
        return max(self.epochs * count, self.min_iterations * self.batch)

    def factor(self, seen: int, count: int) -> float:
        """Return the factor of the rate after ``seen`` images."""
        iteration = seen // self.batch
        if self.milestones:
            drops = sum(iteration >= milestone for milestone in self.milestones)
        else:
            drops = int(seen >= self.decay_at * self.images(count))
        share = min(1.0, iteration / self.warmup) if self.warmup else 1.0
        return 0.1**drops * ((1 + 2 * share) / 3)

    def build(self, model: "torch.nn.Module") -> "torch.optim.Optimizer":
        """Build the optimiser of what trains; ``set_rate`` sets its rates."""
        from torch.optim import SGD, AdamW

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
            return SGD(groups, momentum=self.momentum)
        return AdamW(groups)

    def set_rate(
        self, optimizer: "torch.optim.Optimizer", seen: int, count: int
    ) -> None:
        """Set the rates of what ``build`` made, for the next image."""
        for group, times in zip(optimizer.param_groups, (1, 2), strict=False):
            group["lr"] = self.lr * times * self.factor(seen, count)
