"""Measure the memory of a process, and give free memory back."""

import ctypes
import gc
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_FREE, _GROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
_OLD = _GROUP / "memory"
_LIMITS = (
    (_GROUP / "memory.max", _GROUP / "memory.stat", "anon"),
    (_OLD / "memory.limit_in_bytes", _OLD / "memory.stat", "total_rss"),
)
"""Limit and use of a container's memory: the files of cgroups 2 and 1."""

_CLEAR = Path("/proc/self/clear_refs")


def give_back() -> None:
    """Return freed memory to the system, where the C library can (glibc).

    By itself the library keeps blocks of up to 32 MB, and holes between them.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def free_megabytes() -> float | None:
    """Return the memory that is free; None where the system does not tell (not Linux).

    Within a container it is what the container has left.
    """
    try:
        free = _numbers(_FREE)["MemAvailable:"] / 2**10
    except (OSError, KeyError):
        return None
    for limit, stat, held in _LIMITS:
        with suppress(OSError, ValueError, KeyError):
            free = min(free, (int(limit.read_text()) - _numbers(stat)[held]) / 2**20)
    return free


def _numbers(path: Path) -> dict[str, int]:
    lines = map(str.split, path.read_text().splitlines())
    return {name: int(number) for name, number, *_ in lines}


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
