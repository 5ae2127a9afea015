"""Tells what a part that somebody brings as an object is: its class and its fields."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from wsis._support.files import digest

STATE = "state"
"""The one setting that a module tells: a digest of its description and weights."""


class IdentityError(TypeError):
    """An object does not tell what it is, so that its figures could not be told apart.

    Results, resume and caches go by a part's identity.
    """


def check_kind(value: Any, kind: str) -> None:
    """Make sure that an object does the work of a part of ``kind``.

    Raises:
        IdentityError: if it does not, or is a class rather than an object.
    """
    from wsis import contracts

    protocols: dict[str, Any] = {
        "assigners": contracts.Assigner,
        "backbones": contracts.Backbone,
        "contours": contracts.Contours,
        "cues": contracts.CueSource,
        "datasets": contracts.DataSource,
        "heads": contracts.ProposalHead,
        "miners": contracts.Miner,
        "samplers": contracts.NoiseSampler,
        "sources": contracts.ProposalSource,
    }
    wanted = protocols[kind]
    if isinstance(value, type):
        raise IdentityError(
            f"expected an object as one of the {kind}, got the class "
            f"{value.__qualname__}; give {value.__qualname__}() instead"
        )
    if not isinstance(value, wanted):
        raise IdentityError(
            f"expected a name or an object that keeps to wsis.contracts."
            f"{wanted.__name__} as one of the {kind}, got {value!r}"
        )


def class_path(value: Any) -> str:
    """Return ``module.Class`` of an object."""
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def settings_of(value: Any) -> dict[str, Any]:
    """Return what an object was made with, as JSON has it.

    A dataclass tells its fields, a module (``torch.nn.Module``) a digest of its weights
    beside its own description.

    Raises:
        IdentityError: if the object is neither, or a field has no readable value.
    """
    if is_dataclass(value):
        return {
            field.name: as_plain(
                getattr(value, field.name), f"{class_path(value)}.{field.name}"
            )
            for field in fields(value)
            if field.init
        }
    if not _is_module(value):
        raise IdentityError(
            f"expected a part whose settings can be read, a dataclass or a "
            f"torch.nn.Module; {class_path(value)} is neither; decorate it with "
            "@dataclass(frozen=True)"
        )
    from wsis._support.weights import named_arrays

    return {STATE: digest(repr(value), *named_arrays(value))}


def changed(value: Any) -> dict[str, Any]:
    """Return the settings of an object that differ from its class's defaults."""
    known = settings_of(value)
    for field in fields(value) if is_dataclass(value) else ():
        if field.init and getattr(value, field.name) == field.default:
            del known[field.name]
    return known


def plain_number(value: Any) -> Any:
    """Return a scalar of NumPy as Python's own number, anything else as it is."""
    numbers = np.bool_, np.integer, np.floating
    return value.item() if isinstance(value, numbers) else value


def as_plain(value: Any, where: str) -> Any:
    """Return a setting as JSON has it; an object within by its class and settings.

    Raises:
        IdentityError: if it cannot be read.
    """
    value = plain_number(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise IdentityError(f"expected a finite number, {where} is {value}")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): as_plain(one, where) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [as_plain(one, where) for one in value]
    if isinstance(value, set | frozenset):
        return sorted(as_plain(one, where) for one in value)
    if isinstance(value, type) or (
        callable(value) and "<" not in getattr(value, "__qualname__", "<")
    ):
        return f"{value.__module__}.{value.__qualname__}"
    if is_dataclass(value) or _is_module(value):
        return {"name": class_path(value), "settings": settings_of(value)}
    raise IdentityError(
        f"expected a setting that can be read, such as a number, a text, a named "
        f"function or a dataclass; {where} is {value!r}"
    )


def _is_module(value: Any) -> bool:
    from torch import nn

    return isinstance(value, nn.Module)
