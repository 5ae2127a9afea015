"""Checks of settings: each raises a ``ValueError`` that names setting and range.

NaN and infinity are in no range.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any


class InputWarning(UserWarning):
    """An input is used only in part, or can be read in more than one way.

    The message says what was left out or assumed, how often, with the first names, and
    what to do. ``warnings.simplefilter("error", InputWarning)``, on the command line
    ``--strict``, turns it into an error.
    """


class UsageError(Exception):
    """Nothing can be meant by a request; the command line exits with 2."""


class WeightsError(ValueError):
    """The weights of a part are missing, unreadable or of another network."""


class StoreError(ValueError):
    """A store is missing, damaged, or has other proposals than asked for."""


def warn(text: str) -> None:
    """Warn of an input that is used only in part or read by assumption."""
    warnings.warn(text, InputWarning, stacklevel=3)


def reason(error: Exception) -> str:
    """Return what an error says, in one line; of the system's, without its number."""
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename is None else f"{error.filename}: "
        return f"{where}{error.strerror.lower()}"
    # str(KeyError("x")) has quotes around it.
    key = isinstance(error, KeyError) and len(error.args) == 1
    return " ".join(str(error.args[0] if key else error).split())


def few(names: Sequence[str], comma: str = ", ", most: int = 3) -> str:
    """Return the first of many names, for a message."""
    return comma.join(names[:most]) + (f"{comma}…" if len(names) > most else "")


def wrong_value(problem: Mapping[str, Any]) -> str:
    """Return what is wrong with a value, of pydantic's errors."""
    message: str = problem["msg"]
    if problem["type"] == "path_type":
        return "expected a path"
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])  # our own words
    message = message.replace("Input should be", "expected")
    message = message.replace("a valid tuple", "a list")
    return message[:1].lower() + message[1:]


def many(count: int, what: str, width: int = 0) -> str:
    """Return a number of things in words, such as ``1 photo`` or ``2 photos``."""
    return f"{count:>{width}} {what}{'' if count == 1 else 's'}"


def fraction(name: str, value: int | float, *, zero: bool = False) -> None:
    """Refuse a value outside (0, 1], or outside [0, 1] where ``zero`` is allowed."""
    if not (0 <= value <= 1 and (zero or value > 0)):
        raise ValueError(f"{name} must be in {'[' if zero else '('}0, 1], got {value}")


def branch_index(branch: int) -> None:
    """Refuse a negative branch."""
    if branch < 0:
        raise ValueError(f"branch must be 0 or more, got {branch}")


def positive(name: str, value: int | float) -> None:
    """Refuse a value that is not above 0."""
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be positive, got {value}")


def at_least(name: str, value: int | float, least: int | float) -> None:
    """Refuse a value below ``least``."""
    if not least <= value < math.inf:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def inside(name: str, value: int | float) -> None:
    """Refuse a value outside (0, 1)."""
    if not 0 < value < 1:
        raise ValueError(f"{name} must be in (0, 1), got {value}")


def proper(name: str, value: int | float) -> None:
    """Refuse a value outside [0, 1)."""
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be in [0, 1), got {value}")
