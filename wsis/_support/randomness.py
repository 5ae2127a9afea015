"""Random generators derived from a seed and a purpose, never the global state."""

from collections.abc import Iterator
from contextlib import contextmanager
from zlib import crc32

import torch


def generator(seed: int, purpose: str) -> torch.Generator:
    """Return a CPU generator; each purpose of a seed has its own stream."""
    # torch's CPU generator looks at the lowest 32 bits of its seed only.
    return torch.Generator().manual_seed(crc32(f"{purpose} {seed}".encode()))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let modules built inside draw weights from ``seed``; restore the global state."""
    # What seeds the CPU seeds every card that is in use.
    cards = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=cards):
        if torch.accelerator.is_available():
            torch.manual_seed(seed)
        else:
            # The same; the call above notes down the whole stack for a GPU to come.
            torch.default_generator.manual_seed(seed)
        yield
