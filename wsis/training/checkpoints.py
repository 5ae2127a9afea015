"""Training state in one safetensors file, from which any step resumes to the bit."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from wsis._support.checks import few, warn
from wsis._support.files import (
    atomic_write,
    checksum,
    differences,
    digest,
    in_words,
    only_moved,
    parse_json,
)
from wsis._support.provenance import versions
from wsis._support.weights import named_arrays, not_finite
from wsis.training.ranks import ALONE, Ranks

PATIENCE = 5
"""So many images or steps in a row that are not finite end training."""


class CheckpointError(ValueError):
    """A checkpoint is damaged or belongs to another run."""


class DivergedError(ValueError):
    """Training came to numbers that are not finite, and learns no more."""


@dataclass(slots=True)
class Progress:
    """The progress of training.

    Args:
        step: images seen, skipped ones included.
        taken: steps of the optimiser.
        skipped: images without proposals or tags, and images and steps whose loss or
            gradient was not finite, by reason.
        dropped: each of those that were not finite: its step, photos and losses.
        in_a_row: how many of them came since the optimiser's last step.
        waiting: the photos, and their losses, whose gradients wait for a step.
        losses: mean of each loss over each epoch; the last may be incomplete.
        sums: of the losses of the epoch that is not complete.
        images: that these are of.
    """

    step: int = 0
    taken: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    in_a_row: int = 0
    waiting: list[str] = field(default_factory=list)
    losses: list[dict[str, float]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    images: int = 0

    def skip(self, reason: str, count: int = 1) -> None:
        """Count skipped images."""
        self.skipped[reason] = self.skipped.get(reason, 0) + count

    def drop(self, what: str, photos: str) -> None:
        """Count and name an image or a step that is not finite.

        Raises:
            DivergedError: if it is one too many in a row.
        """
        self.skip(f"{what} not finite")
        self.dropped.append(f"step {self.step}, {photos}: {what} not finite")
        self.in_a_row += 1
        if self.in_a_row >= PATIENCE:
            raise self._diverged()

    def _diverged(self) -> DivergedError:
        return DivergedError(
            f"training stopped because it diverges: {self.in_a_row} times in a row a "
            f"loss or gradient was not finite, the last one: {self.dropped[-1]}; lower "
            "schedule.lr, or look at the photo; the last checkpoint stays"
        )

    def add(self, losses: Mapping[str, float], images: int = 1) -> None:
        """Add the losses of an image, or the mean losses of several, to the epoch's."""
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * images
        self.images += images

    def close(self) -> None:
        """End an epoch, or what there is of it.

        Raises:
            DivergedError: if none of its losses was finite.
            ValueError: if no image of it taught anything.
        """
        if not self.images and self.in_a_row:
            raise self._diverged()
        if not self.images:
            raise ValueError(
                "expected images with tags and proposals, all that were seen were "
                f"skipped: {self.skipped}"
            )
        self.losses.append({k: value / self.images for k, value in self.sums.items()})
        self.sums, self.images = {}, 0

    def end(self, model: nn.Module) -> None:
        """Close what is left; warn of what was dropped.

        Raises:
            DivergedError: if no step was taken, or the weights are not finite.
            ValueError: if no image taught anything.
        """
        if self.images or not self.losses:
            self.close()
        if not self.taken:
            raise self._diverged()
        check_learned(model.state_dict(), self)
        if self.dropped:
            warn(
                f"{len(self.dropped)} images or steps were left out of training: "
                f"{few(self.dropped)}; lower schedule.lr"
            )


_Item = TypeVar("_Item")


class Order(Generic[_Item], Iterator[_Item]):
    """Items in a random order, epoch after epoch, without end; resumed at any place.

    Args:
        generator: of all draws; others may draw from it between two items.
        draw: gives the items of an epoch.
    """

    def __init__(
        self, generator: torch.Generator, draw: Callable[[torch.Generator], list[_Item]]
    ) -> None:
        self.generator, self.draw = generator, draw
        self.begun = generator.get_state()
        self.left: list[_Item] = []

    def __next__(self) -> _Item:
        if not self.left:
            self.begun = self.generator.get_state()
            self.left = self.draw(self.generator)[::-1]
        return self.left.pop()

    def resume(self, begun: Tensor, left: int, now: Tensor) -> None:
        """Return to where ``left`` items were left of an epoch begun in a state."""
        self.begun = begun
        self.generator.set_state(begun)
        whole = self.draw(self.generator)[::-1] if left else []
        self.left = whole[:left]
        self.generator.set_state(now)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingState:
    """Everything that training changes, and what it is made from.

    Args:
        model: its weights, and gradients that wait for a step.
        optimizer: its moments.
        order: of the images.
        generators: by name, beside the order's.
        about: all that the result depends on, JSON-like; a checkpoint of anything else
            is refused.
        path: of the checkpoint; None keeps none.
        ranks: the processes that train together; the first one's path counts.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    order: Order[Any]
    generators: Mapping[str, torch.Generator]
    about: Mapping[str, Any]
    path: Path | None
    ranks: Ranks = ALONE

    def save(self, progress: Progress) -> None:
        """Write everything atomically, where there is a path.

        Raises:
            DivergedError: if something is not finite; the last checkpoint stays.
        """
        if self.path is not None:
            self._write(self.path, progress)
        self.ranks.wait()

    def _write(self, path: Path, progress: Progress) -> None:
        weights = self.model.state_dict()
        tensors = {f"model.{key}": value for key, value in weights.items()}
        for name, parameter in self.model.named_parameters():
            if parameter.grad is not None:
                tensors[f"gradient.{name}"] = parameter.grad
        for i, state in self.optimizer.state_dict()["state"].items():
            tensors |= {
                f"optimizer.{i}.{k}": v for k, v in state.items() if v is not None
            }
        check_learned(tensors, progress)
        for name, source in self.generators.items():
            tensors[f"generator.{name}"] = source.get_state()
        tensors["order.begun"] = self.order.begun
        tensors["order.now"] = self.order.generator.get_state()
        metadata = {
            "about": json.dumps(self.about),
            "checksum": str(checksum(tensors)),
            "left": str(len(self.order.left)),
            "progress": json.dumps(asdict(progress)),
        }
        with atomic_write(path) as temporary:
            save_file(
                {k: v.contiguous() for k, v in tensors.items()}, temporary, metadata
            )

    def load(self) -> Progress | None:
        """Restore everything and return the progress; None without a checkpoint.

        Raises:
            CheckpointError: if the file is damaged or belongs to another run; says
                what differs.
        """
        found = self.ranks.given(self._read)
        if found is None:
            return None
        tensors, metadata = found
        self.model.load_state_dict(_under(tensors, "model."))
        gradients = _under(tensors, "gradient.")
        for name, parameter in self.model.named_parameters():
            one = gradients.get(name)
            parameter.grad = None if one is None else one.to(parameter.device)
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in _under(tensors, "optimizer.").items():
            i, _, name = key.partition(".")
            state.setdefault(int(i), {})[name] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        for name, source in self.generators.items():
            source.set_state(tensors[f"generator.{name}"])
        now = tensors["order.now"]
        self.order.resume(tensors["order.begun"], int(metadata["left"]), now)
        return Progress(**parse_json(metadata["progress"]))

    def _read(self) -> tuple[dict[str, Tensor], dict[str, str]] | None:
        if self.path is None or not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise CheckpointError(
                f"{self.path} is damaged ({error}); delete it to begin again"
            ) from None
        if "about" not in metadata:
            raise CheckpointError(
                f"{self.path} is of an earlier version of wsis, which did not keep "
                "what a run is made from; finish it with that version, or train anew"
            )
        there, wanted = _comparable(parse_json(metadata["about"]), self.about)
        changes = differences(there, wanted)
        if not only_moved(changes):
            raise CheckpointError(
                f"expected {self.path} to be a checkpoint of this run, it is of "
                f"another ({in_words(changes)}); choose another folder or delete it"
            )
        # Checkpoints that wsis wrote before December 2026 have none.
        if metadata.get("checksum") not in (None, str(checksum(tensors))):
            raise CheckpointError(
                f"{self.path} is damaged (its content is not what was written); delete "
                "it to begin again"
            )
        return tensors, metadata


def _comparable(
    there: dict[str, Any], here: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a checkpoint and a run are made from, without last digits.

    On another machine, or with another number of threads, those of features and of the
    cues that are learned from them differ.
    """
    wanted = json.loads(json.dumps(here))
    other = there.get("machine") not in (None, wanted.get("machine"))
    left = ("machine", *(("features", "cues") if other else ()))
    for one in (there, wanted):
        for name in left:
            one.pop(name, None)
    return there, wanted


def check_learned(tensors: Mapping[str, Tensor], progress: Progress) -> None:
    """Refuse what training led to if it is not finite.

    Raises:
        DivergedError: if so; names the step and the first tensors.
    """
    if wrong := not_finite(tensors):
        last = progress.dropped[-1] if progress.dropped else "nothing"
        raise DivergedError(
            f"training stopped after step {progress.step} because it diverges: "
            f"{len(wrong)} tensors are not finite ({few(wrong)}); left out last: "
            f"{last}; lower schedule.lr; the last checkpoint stays"
        )


def made_from(model: nn.Module, **more: Any) -> dict[str, Any]:
    """Return what a result depends on: a model as it begins, versions, and ``more``."""
    own = {k: v for k, v in versions().items() if k != "python"}
    return {"model": digest(*named_arrays(model)), "versions": own, **more}


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)
    }
