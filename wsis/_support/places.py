"""The places of work: the device and the cache folder."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wsis._support.checks import UsageError

if TYPE_CHECKING:
    import torch


class DeviceError(UsageError, ValueError):
    """A device that the machine does not have."""


def torch_device(name: "str | torch.device" = "auto") -> "torch.device":
    """Return the device itself; ``auto`` is the fastest one.

    Raises:
        DeviceError: if this machine has no such device; lists what it has.
    """
    import torch

    if isinstance(name, torch.device):
        return name
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    choices = [device for device, present in there.items() if present]
    if name == "auto":
        return torch.device(choices[0])
    if name.partition(":")[0] not in choices:
        raise DeviceError(
            f"expected a device of this machine, got {name}; it has: "
            f"{', '.join(choices)}"
        )
    return torch.device(name)


def moved(tensor: "torch.Tensor", device: "torch.device | str") -> "torch.Tensor":
    """Return a tensor on a device; the host does not wait for copies to a card."""
    import torch

    # What leaves a card must be there before it is read. Apple's copies read the
    # host's memory later, when it may have changed.
    waited = tensor.device.type != "cpu" or torch.device(device).type == "mps"
    return tensor.to(device, non_blocking=not waited)


def as_paths(part: object, *names: str) -> None:
    """Turn fields of a frozen data class that were given as text into paths."""
    for name in names:
        if isinstance(value := getattr(part, name), str):
            object.__setattr__(part, name, Path(value))


def cache_folder(option: str | Path | None = None) -> Path:
    """Return ``option``, or else WSIS_CACHE, or else where caches go on this system.

    Raises:
        ValueError: if it is a file.
    """
    given = option or os.environ.get("WSIS_CACHE")
    if given:
        if Path(given).is_file():
            raise ValueError(
                f"cannot write to the cache: {given} is a file; choose a folder "
                "(--cache, WSIS_CACHE)"
            )
        return Path(given)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "wsis"
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    root = os.environ.get(variable)
    return (Path(root) if root else Path.home() / ".cache") / "wsis"


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written to, or cannot be made.

    Raises:
        ValueError: if it, or the first folder above it that exists, is no folder or
            is read-only.
    """
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir():
        raise ValueError(f"cannot write to {folder}: {there} is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"cannot write to {folder}: {there} is read-only")
