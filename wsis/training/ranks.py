"""Processes that train one model together: each learns from its share of every batch.

They share what was mined, as samplers draw from one stream, each image's losses, and
its gradients.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import compress
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, distributed, nn
from torch.distributed.rendezvous import rendezvous

from wsis._support.checks import warn
from wsis._support.places import DeviceError

T = TypeVar("T")

PATIENCE = timedelta(days=1)
"""The longest time that processes wait for one that still lives."""


class RankLostError(ValueError):
    """Another process of this training has ended."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """The processes of one training, of which this is one.

    Every process must call each method, in the same order.

    Args:
        rank: of this process, from 0.
        count: of all.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Tell whether this is the process that writes and prints."""
        return self.rank == 0

    def shared(self, value: T) -> list[T]:
        """Return what every process gives, in their order."""
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        with _reaching():
            distributed.all_gather_object(found, value)
        return found

    def given(self, make: Callable[[], T]) -> T:
        """Return on all what the first process makes."""
        if self.count == 1:
            return make()
        found = [make() if self.first else None]
        with _reaching():
            distributed.broadcast_object_list(found, device=torch.device("cpu"))
        [value] = found
        return cast(T, value)

    def any(self, *told: bool) -> list[bool]:
        """Tell of each of several things whether any process says so."""
        if self.count == 1:
            return list(told)
        found = torch.tensor(told, dtype=torch.uint8)
        with _reaching():
            distributed.all_reduce(found, distributed.ReduceOp.MAX)
        return found.bool().tolist()

    def wait(self) -> None:
        """Wait until every process has come here."""
        self.any(False)

    def agree(self, model: nn.Module) -> None:
        """Give all processes the first one's weights."""
        if self.count > 1:
            state: dict[str, Tensor] = model.state_dict()
            weights = self.given(lambda: {k: v.cpu() for k, v in state.items()})
            model.load_state_dict(weights)

    @contextmanager
    def adding_up(self, model: nn.Module) -> Iterator[None]:
        """Add the gradients that processes make meanwhile to those of all of them.

        They are added one after the other, as one process makes them, so that weights
        are the same to the last bit. Where no process has one, there is none: the
        optimiser passes over the same weights.
        """
        if self.count == 1:
            yield
            return
        learning = [one for one in model.parameters() if one.requires_grad]
        before = [one.grad for one in learning]
        for one in learning:
            one.grad = None
        yield
        made = self.shared([one.grad is not None for one in learning])
        for one, waiting, by in zip(
            learning, before, zip(*made, strict=True), strict=True
        ):
            own, one.grad = one.grad, waiting
            if any(by):
                own = torch.zeros_like(one) if own is None else own
                for gradient in compress(self._gathered(own), by):
                    one.grad = gradient if one.grad is None else one.grad + gradient

    def _gathered(self, own: Tensor) -> list[Tensor]:
        found = [own.new_empty(own.shape) for _ in range(self.count)]
        with _reaching():
            distributed.all_gather(found, own.contiguous())
        return found


ALONE = Ranks()
"""One process that trains by itself."""


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that torchrun started; be alone if it did not.

    If one of them fails, its error alone is raised; the others end in silence.

    Args:
        device: where models are; each process of a machine takes a card of its own.

    Raises:
        DeviceError: if there are fewer cards than processes, or the device is of a kind
            that processes cannot share.
    """
    count = int(os.environ.get("WORLD_SIZE", 1))
    if count == 1 or not distributed.is_torchelastic_launched():
        yield ALONE
        return
    rank = int(os.environ["RANK"])
    store, *_ = next(rendezvous("env://", rank, count, timeout=PATIENCE))
    try:
        distributed.init_process_group(
            _backend(device), store=store, rank=rank, world_size=count, timeout=PATIENCE
        )
        yield Ranks(rank, count)
        distributed.destroy_process_group()
    except BaseException:
        if not _speaks(store):
            time.sleep(1)  # torchrun ends all once one has ended: let the other speak
            raise SystemExit(1) from None
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        raise


def _backend(device: torch.device) -> str:
    if device.type == "cpu":
        return "gloo"
    local, cards = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if device.type != "cuda" or local >= cards:
        here = os.environ["LOCAL_WORLD_SIZE"]
        raise DeviceError(
            f"expected a card for each of {here} processes, there are {cards}; start "
            "fewer (--nproc-per-node), or use --device cpu"
        )
    torch.cuda.set_device(local)
    return "cpu:gloo,cuda:nccl"


def _speaks(store: Any) -> bool:
    """Tell whether this process is the first to fail, whose error is told."""
    try:
        return bool(store.add("wsis/failed", 1) == 1)
    except RuntimeError:  # its host has ended, and has spoken
        return False


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise RankLostError(
            "training stopped as another of its processes ended (killed, by the system "
            "if memory ran out); the last checkpoint stays"
        ) from error


def check_statistics(model: nn.Module, ranks: Ranks) -> None:
    """Warn of layers whose statistics each process would gather from its own images."""
    if ranks.count > 1 and any(
        isinstance(one, nn.modules.batchnorm._BatchNorm)
        and one.training
        and one.track_running_stats
        for one in model.modules()
    ):
        warn(
            "the model has batch normalisation that learns statistics; of several "
            "processes the first one's images alone give those that are kept"
        )
