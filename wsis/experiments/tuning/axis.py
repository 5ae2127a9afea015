"""One swept setting: its name and its range."""

import math
import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

from wsis.runs.settings import SettingsError

Spacing = Literal["linear", "log", "int"]

_FORM = "NAME=LOW..HIGH, or NAME=LOW..HIGH:log, or NAME=LOW..HIGH:int"


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A setting and the range it is swept over.

    Args:
        name: as on the command line.
        low: lowest value.
        high: highest value, above ``low``.
        spacing: ``linear``; ``log``, each factor alike; ``int``, whole numbers.

    Raises:
        SettingsError: if the range is none, or ``log`` of what is not positive.
    """

    name: str
    low: float
    high: float
    spacing: Spacing = "linear"

    def __post_init__(self) -> None:
        finite = math.isfinite(self.low) and math.isfinite(self.high)
        if not finite or self.low >= self.high:
            raise SettingsError(
                f"expected the range of {self.name} to rise, got "
                f"{self.low:g}..{self.high:g}"
            )
        if self.spacing == "log" and self.low <= 0:
            raise SettingsError(
                f"expected a positive range of {self.name} with log, got "
                f"{self.low:g}..{self.high:g}"
            )

    @classmethod
    def parse(cls, text: str) -> "Axis":
        """Reads ``p_seed=0.01..0.3:log``.

        Raises:
            SettingsError: if it does not read so.
        """
        found = re.fullmatch(r"\s*([\w.]+)\s*=(.+?)\.\.(.+?)(?::(\w+))?\s*", text)
        if found is None:
            raise SettingsError(f"expected {_FORM}; got {text!r}")
        name, *ends, how = found.groups()
        spacing: Any = how or "linear"
        try:
            low, high = (float(end) for end in ends)
        except ValueError:
            spacing = None
        if spacing not in get_args(Spacing):
            raise SettingsError(f"expected {_FORM}; got {text!r}")
        return cls(name=name, low=low, high=high, spacing=spacing)

    @property
    def text(self) -> str:
        """The axis as ``parse`` reads it."""
        spacing = "" if self.spacing == "linear" else f":{self.spacing}"
        return f"{self.name}={self.low:g}..{self.high:g}{spacing}"

    def value(self, share: float) -> float | int:
        """The value at a share of the range, in [0, 1); three digits of it count."""
        if self.spacing == "int":
            low, high = math.ceil(self.low), math.floor(self.high)
            return min(high, low + math.floor(share * (high - low + 1)))
        if self.spacing == "log":
            at = self.low * (self.high / self.low) ** share
        else:
            at = self.low + (self.high - self.low) * share
        return min(self.high, max(self.low, float(f"{at:.3g}")))
