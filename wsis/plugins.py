"""Finds parts by kind and name, through entry points only; built-ins register alike."""

import difflib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

Kind = Literal[
    "assigners",
    "backbones",
    "contours",
    "cues",
    "datasets",
    "heads",
    "miners",
    "samplers",
    "sources",
]
KINDS: tuple[Kind, ...] = get_args(Kind)


class UnknownPartError(LookupError):
    """No part of that kind has that name."""


class SettingError(ValueError):
    """A part has no such setting, or its value is out of range."""


def names(kind: Kind) -> list[str]:
    """Names of the installed parts of ``kind``, sorted.

    Raises:
        LookupError: if two packages registered different parts under one name.
    """
    return sorted(_registered(kind))


def find(kind: Kind, name: str) -> Callable[..., Any]:
    """The class or function that builds the part ``name``; imports only that part.

    Raises:
        UnknownPartError: if there is none; the message lists what there is.
    """
    registered = _registered(kind)
    if name not in registered and "." in name:
        return _by_path(kind, name)
    if name not in registered:
        raise UnknownPartError(
            f"no {kind[:-1]} is called {name!r}{nearest(name, registered)}; "
            f"the installed {kind} are: {', '.join(sorted(registered))}"
        )
    part: Callable[..., Any] = registered[name].load()
    return part


def name_of(kind: Kind, part: type) -> str | None:
    """Return the name that a class is installed under; None where it is not."""
    path = f"{part.__module__}:{part.__qualname__}"
    for name, point in _registered(kind).items():
        if point.value.replace(" ", "") == path:
            return name
    return None


def settings(kind: Kind, name: str) -> dict[str, inspect.Parameter]:
    """The settings of a part and their defaults, by name, as its constructor has."""
    return dict(inspect.signature(find(kind, name)).parameters)


def create(kind: Kind, name: str, values: Mapping[str, Any] | None = None) -> Any:
    """The part ``name`` with the given settings; strings are read as their type.

    Raises:
        UnknownPartError: if there is no such part.
        SettingError: if a setting is unknown, of the wrong type or out of range.
    """
    given = typed(kind, name, values or {})
    for key, parameter in settings(kind, name).items():
        if parameter.default is inspect.Parameter.empty and key not in given:
            raise SettingError(f"the {kind[:-1]} {name!r} needs the setting {key!r}")
    try:
        return find(kind, name)(**given)
    except ValueError as error:
        raise SettingError(f"{kind[:-1]} {name!r}: {error}") from error


def typed(kind: Kind, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a part, strings read as the type that its constructor asks for.

    Values of a tuple are parted by commas.

    Raises:
        UnknownPartError: if there is no such part.
        SettingError: if a setting is unknown or of the wrong type.
    """
    known = settings(kind, name)
    for key in values:
        if key not in known:
            raise SettingError(
                f"the {kind[:-1]} {name!r} has no setting {key!r}"
                f"{nearest(key, known)}; its settings are: {', '.join(known) or 'none'}"
            )
    try:
        return {key: _typed(known[key], value) for key, value in values.items()}
    except ValueError as error:
        raise SettingError(f"{kind[:-1]} {name!r}: {error}") from error


def nearest(word: str, choices: Mapping[str, Any] | list[str]) -> str:
    """A hint at the choice that was probably meant, or nothing."""
    close = difflib.get_close_matches(word, list(choices), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


@cache
def _registered(kind: Kind) -> dict[str, Any]:
    # Once the backport importlib_metadata is imported (dask does), entry points are its
    # own, which are no importlib.metadata.EntryPoint.
    found: dict[str, Any] = {}
    for point in entry_points(group=f"wsis.{kind}"):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise LookupError(
                f"two {kind} are called {point.name!r}: {other.value} and "
                f"{point.value}; uninstall or rename one"
            )
    return found


def _by_path(kind: Kind, path: str) -> Callable[..., Any]:
    """The class ``module.Class`` of a part that is installed nowhere."""
    try:
        part: Callable[..., Any] = pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise UnknownPartError(
            f"no {kind[:-1]} is called {path!r}, and there is no such class to import "
            f"({error}); put its file where Python finds it, or give the object itself"
        ) from None
    return part


def _typed(parameter: inspect.Parameter, value: Any) -> Any:
    if parameter.annotation is inspect.Parameter.empty:
        return value
    if isinstance(value, str) and get_origin(parameter.annotation) is tuple:
        value = value.split(",")
    adapter: TypeAdapter[Any] = TypeAdapter(parameter.annotation)
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        problem = error.errors()[0]
        raise ValueError(
            f"{parameter.name}: {problem['msg'].lower()}, got {problem['input']!r}"
        ) from None
