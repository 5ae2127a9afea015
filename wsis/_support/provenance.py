"""Versions of packages, and the commit of the code, that figures were made with."""

import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import wsis
from wsis._support.checks import many


def versions() -> dict[str, str]:
    """Of wsis and what its figures depend on."""
    # Not above: torchvision takes 160 MB, and what only reads figures needs none.
    import torchvision

    return {
        "wsis": wsis.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
    }


def machine(device: torch.device) -> dict[str, Any]:
    """Return what moves the last digits of results on ``device``."""
    found = {"torch": torch.__version__, "device": device.type}
    if device.type == "cuda":
        return {**found, "device": torch.cuda.get_device_name(device)}
    instructions = torch.backends.cpu.get_cpu_capability()
    return {**found, "threads": torch.get_num_threads(), "cpu": instructions}


def device_in_words(device: torch.device) -> str:
    """Return a device with its card, or with the number of threads."""
    found = machine(device)
    on = many(found["threads"], "thread") if "threads" in found else found["device"]
    return f"{device.type}, {on}"


@cache
def commit() -> str | None:
    """The commit of the code that runs, ``-dirty`` where files differ from it.

    None where the package was not installed from a clone that git tracks it in.
    """
    file = Path(wsis.__file__).resolve()
    if _git(file.parent, "ls-files", "--error-unmatch", file.name) is None:
        return None
    head = _git(file.parent, "rev-parse", "HEAD")
    changed = _git(file.parent, "status", "--porcelain", "--untracked-files=no", ".")
    return None if head is None else head + ("-dirty" if changed else "")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
