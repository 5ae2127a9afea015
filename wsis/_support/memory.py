"""Measure the memory of a process, and give free memory back."""

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
    """Return freed memory to the system, where the C library can (glibc).

    By itself the library keeps blocks of up to 32 MB, and holes between them.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause garbage collection in a block that makes many objects and no cycles.

    The search for cycles would take a tenth of the time that growing trees takes.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def reset_peak(device: torch.device) -> None:
    """Start a new measurement, where the system can (Linux; CUDA devices)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    try:
        _CLEAR.write_text("5")
    except OSError:
        return


def peak_megabytes(device: torch.device) -> float:
    """Return the most memory held since the reset, of the device or the process."""
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
