"""Finds parts by kind and name among entry points, built-in and third-party alike."""

import inspect
import math
import pkgutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import is_dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin

from wsis._support import static
from wsis._support.checks import UsageError, wrong_value
from wsis._support.static import Description, UnreadableError

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

WEIGHTS = "weights"
"""The setting that names a file, and what ``depends_on`` tells of its content."""


class UnknownPartError(UsageError, LookupError):
    """No part of that kind has that name."""


UNINSTALLED = (
    "parts are found where wsis is installed (pip install wsis, or pip install -e . in "
    "a clone), not where its source merely lies on the path"
)
"""Advice where not even wsis's own parts are found."""


class SettingError(UsageError, ValueError):
    """A part has no such setting, or its value is out of range."""


def names(kind: Kind) -> list[str]:
    """Return the names of the installed parts of ``kind``, sorted.

    Raises:
        LookupError: if two packages registered different parts under one name.
    """
    return sorted(_registered(kind))


def find(kind: Kind, name: str) -> Callable[..., Any]:
    """Return the class or function that builds the part ``name``; import only that.

    Raises:
        UnknownPartError: if there is none; the message lists what there is.
    """
    registered = _registered(kind)
    if name not in registered and "." in name:
        return _by_path(kind, name)
    if name not in registered:
        raise UnknownPartError(
            f"no {kind[:-1]} is called {name!r}{nearest(name, registered)}; "
            f"{_choice(kind, registered)}"
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


def describe(kind: Kind, name: str) -> Description:
    """Return docstring, settings and class variables of a part, unimported if possible.

    Raises:
        UnknownPartError: if there is no such part.
    """
    point = _registered(kind).get(name)
    if point is not None and point.module not in sys.modules:
        try:
            return static.describe(point.module, point.attr)
        except UnreadableError:
            pass  # The import tells.
    return Description.of(find(kind, name))


def settings(kind: Kind, name: str) -> dict[str, inspect.Parameter]:
    """Return the settings of a part by name, with their types and defaults."""
    return describe(kind, name).parameters


def create(kind: Kind, name: str, values: Mapping[str, Any] | None = None) -> Any:
    """Build the part ``name`` with the given settings; read strings as their type.

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
    """Return settings of a part, strings read as the type that its constructor takes.

    A tuple is written with commas.

    Raises:
        UnknownPartError: if there is no such part.
        SettingError: if a setting is unknown or of the wrong type.
    """
    known = settings(kind, name)
    for key in values:
        if key not in known:
            hint = nearest(key, known) or _elsewhere(kind, key)
            raise SettingError(
                f"the {kind[:-1]} {name!r} has no setting {key!r}{hint}; its settings "
                f"are: {', '.join(known) or 'none'}"
            )
    try:
        return {key: _typed(known[key], value) for key, value in values.items()}
    except ValueError as error:
        raise SettingError(f"{kind[:-1]} {name!r}: {error}") from error


def _elsewhere(kind: Kind, key: str) -> str:
    """Name the parts that have a setting, for one that lacks it."""
    found = []
    for name in names(kind):
        with suppress(Exception):  # of a part that cannot be imported
            if key in settings(kind, name):
                found.append(name)
    verb = "has" if len(found) == 1 else "have"
    return f", which {' and '.join(found)} {verb}" if found else ""


def identity(part: object) -> dict[str, Any]:
    """Return what a part's results depend on beside settings and input, JSON-like.

    That is the version that it declares, the files and parts that it depends on, and of
    a third party's class its package's version and its source code.
    """
    # Here, as names are listed without torch.
    from wsis.contracts import Depending, Versioned

    kind, found = type(part), dict[str, Any]()
    if isinstance(part, Versioned):
        found["version"] = part.version
    if isinstance(part, Depending):
        found |= part.depends_on()
    package = kind.__module__.partition(".")[0]
    if package != "wsis":
        from wsis._support.files import digest

        found |= {"package": _version(package), "code": digest(_code(kind))}
    return found


def unplaced(settings: Mapping[str, Any], part: object) -> dict[str, Any]:
    """Return a part's settings without where its weights lie, if it tells them."""
    told = WEIGHTS in settings and WEIGHTS in identity(part)
    return {**settings, WEIGHTS: ""} if told else dict(settings)


def weights_of(part: object) -> dict[str, Any]:
    """Return the content of the weights of a part, or of one in it, as it tells them.

    They are under ``WEIGHTS``; there is nothing if none are told.
    """
    about: Any = identity(part)
    while about and WEIGHTS not in about:
        about = next((one for one in about.values() if isinstance(one, Mapping)), None)
    return {WEIGHTS: about[WEIGHTS]} if about else {}


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _code(kind: type) -> Any:
    """Return the source of a class's module; of one typed in, what its methods do."""
    try:
        return inspect.getsource(sys.modules[kind.__module__])
    except (OSError, TypeError, KeyError):
        codes = [
            (f.__name__, f.__code__)
            for f in vars(kind).values()
            if hasattr(f, "__code__")
        ]
        return [
            [name, c.co_code.hex(), str(c.co_consts), c.co_names] for name, c in codes
        ]


def text(value: Any) -> str:
    """Return a value as ``--set`` takes it: a tuple with commas, None as none."""
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return ",".join(map(text, value))
    return str(value)


def nearest(word: str, choices: Mapping[str, Any] | list[str]) -> str:
    """Return a hint at the choice that was probably meant, or nothing."""
    import difflib

    folded = {one.casefold(): one for one in choices}
    close = difflib.get_close_matches(word.casefold(), list(folded), n=1)
    return f" (did you mean {folded[close[0]]!r}?)" if close else ""


def _choice(kind: Kind, registered: Mapping[str, Any]) -> str:
    if not registered:
        return f"no {kind} are installed; {UNINSTALLED}"
    return f"the installed {kind} are: {', '.join(sorted(registered))}"


@cache
def _installed() -> Any:
    """Read the entry points once; every installed package has a file of them."""
    # Here, as --help asks for no part and is to answer at once.
    from importlib.metadata import entry_points

    # Typed as Any: once dask has imported the backport importlib_metadata, entry points
    # are the backport's.
    return entry_points()


@cache
def _registered(kind: Kind) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for point in _installed().select(group=f"wsis.{kind}"):
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


def _rebuilt(value: Any) -> Any:
    """Return the part within a part that a saved run describes; else the value."""
    if not isinstance(value, Mapping) or set(value) != {"name", "settings"}:
        return value
    name, given = value["name"], value["settings"]
    try:
        part = pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"there is no class {name} to import ({error}); put its file where Python "
            "finds it, or give the object itself"
        ) from None
    if not (isinstance(part, type) and is_dataclass(part)):
        raise ValueError(f"{name} was an object that is no dataclass; give it again")
    return part(**{key: _rebuilt(one) for key, one in given.items()})


def _typed(parameter: inspect.Parameter, value: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    value = _rebuilt(value)
    if parameter.annotation is inspect.Parameter.empty:
        return value
    if isinstance(value, str) and get_origin(parameter.annotation) is tuple:
        value = value.split(",")
    lax = ConfigDict(arbitrary_types_allowed=True)
    adapter: TypeAdapter[Any] = TypeAdapter(parameter.annotation, config=lax)
    try:
        found = adapter.validate_python(value)
    except ValidationError as error:
        problem = error.errors()[0]
        raise ValueError(
            f"{parameter.name}: {wrong_value(problem)}, got {problem['input']!r}"
        ) from None
    numbers = found if isinstance(found, tuple) else (found,)
    if not all(math.isfinite(one) for one in numbers if isinstance(one, float)):
        raise ValueError(f"{parameter.name}: expected finite numbers, got {value!r}")
    return found


__all__ = [
    "KINDS",
    "UNINSTALLED",
    "WEIGHTS",
    "Kind",
    "SettingError",
    "UnknownPartError",
    "create",
    "describe",
    "find",
    "identity",
    "name_of",
    "names",
    "nearest",
    "settings",
    "text",
    "typed",
    "unplaced",
    "weights_of",
]
