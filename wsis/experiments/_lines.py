"""Reads lines of finished work; names those that are not read, and keeps them all."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from wsis._support.checks import few, warn, wrong_value
from wsis._support.files import differences, numbered_json_lines
from wsis._support.journal import JournalError
from wsis._support.provenance import versions

T = TypeVar("T")


def records(
    path: Path, kind: type[T], lost: Callable[[T], str] = lambda record: ""
) -> list[T]:
    """Return the lines of a file as records, in order; warn of those that are none.

    Half a line at the end, after a crash, is work that is not there.

    Args:
        path: of the file; without it there are no lines.
        kind: the dataclass of a record; a line has values for its fields.
        lost: says what else of a record is missing or wrong, if anything.
    """
    reader, names = TypeAdapter(kind), {field.name for field in fields(kind)}  # type: ignore[arg-type]
    found, other, more = [], [], []
    lines = list(numbered_json_lines(path))
    whole = not lines or path.read_bytes().endswith(b"\n")
    for number, values in lines:
        if values is None and not whole and number == lines[-1][0]:
            continue
        line = _named(number, values)
        if not isinstance(values, dict):
            other.append(f"{line}: no whole line of JSON")
            continue
        try:
            record = reader.validate_python(values)
        except ValidationError as error:
            problem = error.errors()[0]
            field = ".".join(map(str, problem["loc"])) or "it"
            other.append(f"{line}: {field}: {wrong_value(problem)}")
            continue
        if problem_of := lost(record):
            other.append(f"{line}: {problem_of}")
            continue
        if unknown := sorted(values.keys() - names):
            more.append(f"{line}: {few(unknown)}")
        found.append(record)
    if other:
        warn(
            f"{path}: {len(other)} lines are not read ({few(other)}); they stay in "
            "the file, and their work is done again unless another line has it"
        )
    if more:
        warn(
            f"{path}: {len(more)} lines have fields that this version does not know "
            f"({few(more)}); the rest of each line is used"
        )
    return found


def check_version(path: Path, name: str, made_with: Mapping[str, str]) -> None:
    """Refuse work of another version beside what this one does.

    Raises:
        JournalError: if versions are known and differ.
    """
    changes = differences(dict(made_with), versions()) if made_with else {}
    if changes:
        said = "; ".join(f"{key} {a}, now {b}" for key, (a, b) in changes.items())
        raise JournalError(
            f"{path}: {name} was made with other versions ({said}); it is kept: choose "
            "another folder (--out), or overwrite it (--overwrite, fresh=True)"
        )


def _named(number: int, values: Any) -> str:
    """Return a line's number and whose it says it is."""
    if not isinstance(values, dict) or "seed" not in values:
        return f"line {number}"
    label = values.get("miner", values.get("label"))
    return f"line {number} ({label}, seed {values['seed']})"
