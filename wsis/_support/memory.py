"""What memory a process holds: its peak, and how soon it gives back what is free."""

import ctypes
import gc
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def give_back() -> None:
    """Returns freed memory to the system, where the C library can (glibc).

    By itself it keeps blocks of up to 32 MB, and holes between them where sizes differ.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


@contextmanager
def uncollected() -> Iterator[None]:
    """Leaves garbage alone in a block that makes many objects and no cycles of them.

    The search for cycles would take a tenth of its time.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def reset_peak(device: torch.device) -> None:
    """Starts a new measurement, where the system can (Linux; CUDA devices)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    try:
        _CLEAR.write_text("5")
    except OSError:
        return


def peak_megabytes(device: torch.device) -> float:
    """The most memory held since the last reset: the device's, or the process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        lines = _STATUS.read_text().splitlines()
        [line] = [line for line in lines if line.startswith("VmHWM")]
        return int(line.split()[1]) / 2**10
    except (OSError, ValueError):
        # Elsewhere only the whole process's peak is known, on macOS in bytes.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)
