"""Shared by checks: an expectation that names the part, and equality of tensors."""

from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor


def expect(holds: bool | Tensor, part: object, text: str) -> None:
    """Raise an error that names the part unless ``holds``.

    Raises:
        AssertionError: if it does not hold.
    """
    if not holds:
        raise AssertionError(f"{type(part).__name__}: expected {text}")


def expect_protocol(part: object, protocol: type) -> None:
    """Expect a part to have the methods and attributes of a protocol of contracts.

    Raises:
        AssertionError: if it lacks one.
    """
    name = protocol.__name__
    expect(
        not isinstance(part, type), part, f"an object, got a class; create the {name}"
    )
    expect(isinstance(part, protocol), part, f"all that wsis.contracts.{name} declares")


def same(one: Any, other: Any) -> bool:
    """Tell whether two results are equal to the last digit."""
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and torch.equal(one, other)
    if is_dataclass(one):
        names = [field.name for field in fields(one)]
        return all(same(getattr(one, name), getattr(other, name)) for name in names)
    return bool(one == other)
