"""Rows beside a bench's strategies: trainings of another kind, kept apart."""

from collections.abc import Mapping, Sequence
from typing import Any

from wsis._support.checks import few
from wsis._support.files import digest


def kept_names(row: str, identities: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the name by which each variant's row is kept; equal ones share theirs.

    Args:
        row: its name in tables, where there is a single one.
        identities: all that the row's figures depend on, by the variant's label.
    """
    return {label: f"{row} {digest(one)[:8]}" for label, one in identities.items()}


def shown_names(row: str, of: Mapping[str, str]) -> dict[str, str]:
    """Return the names in tables: ``row``, or several by their first variant."""
    first: dict[str, str] = {}
    for label, name in of.items():
        first.setdefault(name, label)
    if len(first) == 1:
        return dict.fromkeys(first, row)
    return {name: f"{row} of {label}" for name, label in first.items()}


def check_labels(row: str, labels: Sequence[str]) -> None:
    """Make sure that no variant has the name of a row beside it.

    Raises:
        ValueError: if one has.
    """
    taken = [one for one in labels if one == row or one.startswith(f"{row} of ")]
    if taken:
        option, setting = row, row.replace("-", "_")
        raise ValueError(
            f"expected other names beside the {row} row, got {few(taken)}; rename "
            f"them, or leave the row out (--no-{option}, {setting}=False)"
        )
