"""Arithmetic that is faster than float32, for training."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from wsis.training.schedule import Precision


@contextmanager
def rounding(precision: Precision) -> Iterator[None]:
    """Let CUDA round the factors of products, unless they shall be float32.

    With ``float32`` all stays as the caller has set it.
    """
    places: tuple[Any, ...] = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [place.allow_tf32 for place in places]
    try:
        for place in places if precision != "float32" else ():
            place.allow_tf32 = True
        yield
    finally:
        for place, allowed in zip(places, before, strict=True):
            place.allow_tf32 = allowed


@contextmanager
def computing(precision: Precision, device: torch.device) -> Iterator[None]:
    """Let what is computed forward be of this precision; enter it once."""
    half = precision == "bfloat16"
    with (
        rounding(precision),
        torch.autocast(device.type, torch.bfloat16) if half else nullcontext(),
    ):
        yield
