"""Arithmetic that is faster than float32, for training."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
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


def computing(
    precision: Precision, device: torch.device
) -> AbstractContextManager[object]:
    """Return a context whose products are of this precision; enter it once."""
    if precision == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
