"""The space of a tuning: settings with ranges, and the variant that each point is."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from scipy.stats import qmc

from wsis import plugins
from wsis._support.problems import Checks
from wsis.experiments.variants import Variant
from wsis.runs.pipeline import strategy
from wsis.runs.settings import Part, Settings, SettingsError

DEFAULT = "default"
"""The label of the setting that is not changed at all."""

RANGES = (
    "p_seed=0.01..0.3:log",
    "top=0.01..0.3:log",
    "containment=0.5..0.95",
    "t_cls=0.1..0.5",
    "t_iou=0.3..0.6",
    "step=0..0.15",
    "t_graph=0.2..0.7",
)
"""Swept unless axes are named, as far as the miner and the assigner have them."""

Spacing = Literal["linear", "log", "int"]

_MOST = 10_000
"""Settings of a sweep; more would only be a slip of the pen."""

_FORM = "NAME=LOW..HIGH, or NAME=LOW..HIGH:log, or NAME=LOW..HIGH:int"


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A setting and the range it is swept over.

    Args:
        name: as on the command line.
        low: lowest value.
        high: highest value, above ``low``.
        spacing: ``linear``; ``log``, equal factors; ``int``, whole numbers.

    Raises:
        SettingsError: if the range does not rise, or is not positive with ``log``.
    """

    name: str
    low: float
    high: float
    spacing: Spacing = "linear"

    def __post_init__(self) -> None:
        ends = f"{self.low:g}..{self.high:g}"
        finite = math.isfinite(self.low) and math.isfinite(self.high)
        if not finite or self.low >= self.high:
            raise SettingsError(
                f"expected the range of {self.name} to rise, got {ends}"
            )
        if self.spacing == "log" and self.low <= 0:
            raise SettingsError(
                f"expected a positive range of {self.name} with log, got {ends}"
            )

    @classmethod
    def parse(cls, text: str) -> "Axis":
        """Read ``p_seed=0.01..0.3:log``.

        Raises:
            SettingsError: if the text has another form.
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
        """The axis in the form that ``parse`` reads."""
        spacing = "" if self.spacing == "linear" else f":{self.spacing}"
        return f"{self.name}={self.low:g}..{self.high:g}{spacing}"

    def value(self, share: float) -> float | int:
        """Return the value at a share of the range, in [0, 1), to three digits."""
        if self.spacing == "int":
            low, high = math.ceil(self.low), math.floor(self.high)
            return min(high, low + math.floor(share * (high - low + 1)))
        if self.spacing == "log":
            at = self.low * (self.high / self.low) ** share
        else:
            at = self.low + (self.high - self.low) * share
        return min(self.high, max(self.low, float(f"{at:.3g}")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Axes over one miner and shared settings.

    A bare name is a field of the miner or of the assigner, and of both where they have
    it with the same value, as CIM's ``t_cls`` and ``step`` are one number in the paper.
    ``miner.NAME`` and ``assigner.NAME`` name one of them; any other setting goes by its
    own name, such as ``schedule.lr``.

    Args:
        miner: with settings of its own, if any.
        shared: all else.
        axes: each name once.

    Raises:
        SettingsError: if there is no axis, one is named twice or unknown, or a corner
            of a range is not allowed.
    """

    miner: Part
    shared: Settings
    axes: tuple[Axis, ...]

    def __post_init__(self) -> None:
        names = [axis.name for axis in self.axes]
        if not names or len(set(names)) != len(names):
            raise SettingsError(f"expected settings to sweep, each once, got {names}")
        keys = [key for name in names for key in self.keys(name)]
        if len(set(keys)) != len(keys):
            raise SettingsError(
                f"expected axes over different settings, {', '.join(names)} are "
                f"{', '.join(keys)}"
            )
        for end in (0.0, 1.0):
            _check(self.at([end] * len(names)), self.shared)

    @classmethod
    def of(cls, miner: Part, shared: Settings, sweeps: Sequence[str] = ()) -> "Space":
        """Return a space over the named axes, or else over ``RANGES``.

        Raises:
            SettingsError: if a text is no axis, or as the class.
        """
        miner.build("miners")
        if sweeps:
            axes = tuple(Axis.parse(text) for text in sweeps)
        else:
            known = {*_fields("miners", miner), *_fields("assigners", shared.assigner)}
            axes = tuple(
                axis for text in RANGES if (axis := Axis.parse(text)).name in known
            )
        return cls(miner=miner, shared=shared, axes=axes)

    def keys(self, name: str) -> tuple[str, ...]:
        """Return the settings that a name means: ``miner.t_cls``, ``assigner.t_cls``.

        Raises:
            SettingsError: if no setting has this name; lists those that there are.
        """
        mine = _fields("miners", self.miner)
        theirs = _fields("assigners", self.shared.assigner)
        first, _, rest = name.partition(".")
        if name in mine and name in theirs and mine[name] == theirs[name]:
            return (f"miner.{name}", f"assigner.{name}")
        if name in mine:
            return (f"miner.{name}",)
        if name in theirs:
            return (f"assigner.{name}",)
        if first in Settings.model_fields or (first == "miner" and rest in mine):
            return (name,)
        choices = list(dict.fromkeys([*mine, *theirs]))
        raise SettingsError(
            f"nothing to sweep is called {name!r}"
            f"{plugins.nearest(rest or name, choices)}; of {self.miner.name} and "
            f"{self.shared.assigner.name} it can be: {', '.join(choices)}; or any "
            "setting, such as schedule.lr"
        )

    def at(self, shares: Sequence[float]) -> Variant:
        """Return the variant at a point of the unit cube."""
        values = {
            axis.name: axis.value(share)
            for axis, share in zip(self.axes, shares, strict=True)
        }
        return self.variant(values)

    def variant(self, values: dict[str, float | int]) -> Variant:
        """Return the variant with these values of the axes, by name."""
        own, overrides = dict(self.miner.settings), []
        for name, value in values.items():
            for key in self.keys(name):
                part, _, field = key.partition(".")
                if part == "miner":
                    own[field] = value
                else:
                    overrides.append(f"{key}={value}")
        return Variant(
            label=" ".join(f"{name}={value}" for name, value in values.items()),
            miner=Part(name=self.miner.name, settings=own),
            overrides=tuple(overrides),
        )

    def default(self) -> Variant:
        """Return the miner and the settings as they were given."""
        return Variant(label=DEFAULT, miner=self.miner)

    def values(self, variant: Variant) -> dict[str, float | None]:
        """Return a variant's value on each axis; None where it is no number."""
        settings = variant.settings(self.shared)
        found: dict[str, float | None] = {}
        for axis in self.axes:
            part, _, field = self.keys(axis.name)[0].partition(".")
            if part == "miner":
                value: Any = variant.miner.resolved("miners").get(field)
            else:
                value = settings.resolved()[part]
                value = value.get("settings", value).get(field) if field else value
            found[axis.name] = float(value) if _is_number(value) else None
        return found

    def sample(self, count: int, seed: int = 0) -> list[Variant]:
        """Return the default, then ``count`` − 1 points of a scrambled Sobol sequence.

        Every beginning of the sequence covers the space evenly in each axis and each
        pair of axes, so a sweep may be made longer later: more points follow, none
        moves. Points that coincide, as whole numbers may, are left out.

        Sobol, "On the distribution of points in a cube", 1967; scrambled as Owen, 1998.

        Raises:
            SettingsError: if fewer than 2 or more than 10,000 are asked for, or a
                setting is not allowed.
        """
        if not 2 <= count <= _MOST:
            raise SettingsError(
                f"expected at least 2 settings, got {count}"
                if count < 2
                else f"expected at most {_MOST:,} settings, got {count}"
            )
        sequence = qmc.Sobol(len(self.axes), scramble=True, seed=seed)
        points = sequence.random_base2(max(1, (count - 2).bit_length()))
        found = {DEFAULT: self.default()}
        for point in points[: count - 1].tolist():
            one = self.at(point)
            found.setdefault(one.label, one)
        checks = Checks()
        for one in found.values():
            checks.of(_check, one, self.shared)
        checks.tell()
        return list(found.values())


def _fields(kind: plugins.Kind, part: Part) -> dict[str, object]:
    """Return the settings of a part that are numbers, or may be."""
    return {
        key: value
        for key, value in part.resolved(kind).items()
        if value is None or _is_number(value)
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check(variant: Variant, shared: Settings) -> None:
    """Build what a variant names, for every branch, so that it fails before work.

    Raises:
        SettingsError: if a setting is unknown or out of range in some branch.
    """
    try:
        strategy(variant.miner, variant.settings(shared))
    except ValueError as error:
        raise SettingsError(f"cannot sweep {variant.label}: {error}") from None
