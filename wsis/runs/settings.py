"""The settings of a run: validated, hashed, overridden by ``key=value``."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from inspect import Parameter
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from wsis import plugins
from wsis._support.files import digest
from wsis.features.scale import Resize
from wsis.training.schedule import Schedule
from wsis.training.selection import Selection


class SettingsError(ValueError):
    """A setting is unknown or its value is not allowed."""


class Part(BaseModel):
    """A part by name, and the settings that differ from its defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    settings: dict[str, Any] = {}

    @classmethod
    def parse(cls, text: str) -> "Part":
        """Reads ``name`` or ``name:key=value:key=value``.

        Raises:
            SettingsError: if what follows the name is not ``key=value``.
        """
        name, *pairs = text.strip().split(":")
        if not name:
            raise SettingsError(f"expected the name of a part, got {text!r}")
        return cls(name=name, settings=dict(pair(one) for one in pairs))

    @property
    def label(self) -> str:
        """The part as ``parse`` reads it."""
        return ":".join([self.name, *(f"{k}={v}" for k, v in self.settings.items())])

    def build(self, kind: plugins.Kind, **given: Any) -> Any:
        """The part itself; ``given`` are settings that the caller knows."""
        return plugins.create(kind, self.name, {**self.settings, **given})

    def resolved(self, kind: plugins.Kind) -> dict[str, Any]:
        """All of the part's settings, defaults included; what callers give left out."""
        defaults = {
            key: parameter.default
            for key, parameter in plugins.settings(kind, self.name).items()
            if parameter.default is not Parameter.empty
        }
        return {**defaults, **plugins.typed(kind, self.name, self.settings)}


def _part(value: Any) -> Any:
    return Part.parse(value) if isinstance(value, str) else value


def _sides(value: Any) -> Any:
    return value.split(",") if isinstance(value, str) else value


PartField = Annotated[Part, BeforeValidator(_part)]
Sides = Annotated[
    tuple[Annotated[int, Field(ge=32)], ...],
    Field(min_length=1),
    BeforeValidator(_sides),
]


class Settings(BaseModel):
    """Everything but the data, the miner and the seed.

    Args:
        source: makes the proposals.
        backbone: makes the feature maps.
        head: turns proposals into vectors.
        cues: pre-computed labels of the anti-noise branch.
        sampler: of pseudo instances; None takes the one that each miner is published
            with.
        assigner: of targets.
        branches: K, refinement branches.
        integrity_prior: the integrity of every proposal before training, in (0, 1).
        integrity: whether it is learned and used (MaskIoU); else classification alone.
        by_cluster: whether the proposals of a pseudo instance are classified together,
            as PCL has it; else each by itself.
        cue_localization: weight of the loss that leads the anti-noise branch's
            localization to the cues; the paper has none, 0.
        anti_noise: whether there is an anti-noise branch; else the cues teach branch 0.
        freeze: keeps the backbone as it is and its features on disk.
        train_sides: lengths of training images, in pixels, one drawn a step.
        train_flips: mirrored images as well.
        test_sides: lengths whose scores are averaged.
        test_flips: mirrored images as well.
        resize: ``longer`` or ``shorter``, the side that has these lengths.
        max_side: no image gets a longer side than this; 0 sets no limit.
        schedule: how the weights move.
        selection: which scored proposals become instances.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    source: PartField = Part(name="region_tree")
    backbone: PartField = Part(name="efficientnet_lite0")
    head: PartField = Part(name="mask_pool")
    cues: PartField = Part(name="cam")
    sampler: PartField | None = None
    assigner: PartField = Part(name="cascade")
    branches: int = Field(default=3, ge=1)
    integrity_prior: float = Field(default=0.5, gt=0, lt=1)
    integrity: bool = True
    by_cluster: bool = False
    cue_localization: float = Field(default=0.0, ge=0)
    anti_noise: bool = True
    freeze: bool = True
    train_sides: Sides = (576,)
    train_flips: bool = False
    test_sides: Sides = (576,)
    test_flips: bool = False
    resize: Resize = "longer"
    max_side: int = Field(default=0, ge=0)
    schedule: Schedule = Schedule()
    selection: Selection = Selection()

    @model_validator(mode="after")
    def _within(self) -> "Settings":
        highest = max(*self.train_sides, *self.test_sides)
        if self.max_side and self.max_side < highest:
            raise ValueError(
                f"max_side must be 0 or at least the largest side, {highest}, got "
                f"{self.max_side}"
            )
        return self

    @classmethod
    def read(
        cls, overrides: Iterable[str] = (), base: "Settings | None" = None
    ) -> "Settings":
        """The defaults with ``key=value`` overrides, such as ``schedule.epochs=3``.

        With ``base``, its values are what is overridden.

        A part is replaced by ``source=NAME`` and set by ``source.nodes=300``.

        Args:
            overrides: each ``key=value``, the last one counting.
            base: what is overridden, where it is not the defaults.

        Raises:
            SettingsError: if a key is unknown (the message lists the right ones) or a
                value is not allowed.
        """
        base = base or cls()
        values: dict[str, Any] = {key: getattr(base, key) for key in cls.model_fields}
        for text in overrides:
            key, value = pair(text)
            head, _, rest = key.partition(".")
            check_name(head, cls.model_fields)
            if not rest:
                values[head] = value
            elif head in PART_KINDS:
                part = _part(values[head])
                if part is None:
                    raise SettingsError(
                        f"expected {head}=NAME before {key}={value}, as there is no "
                        f"default {head}"
                    )
                values[head] = Part(
                    name=part.name, settings={**part.settings, rest: value}
                )
            else:
                values[head] = _nested(head, values[head], rest, value)
        return cls.checked(values)

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> "Settings":
        """The settings that have these values, and else the defaults.

        Raises:
            SettingsError: as ``read``.
        """
        for key, value in values.items():
            check_name(key, cls.model_fields)
            default = cls.model_fields[key].default
            if isinstance(value, Mapping) and is_dataclass(default):
                for inner in value:
                    check_name(f"{key}.{inner}", _names(key, default))
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise refused(error) from None

    def build(self, field: str, **given: Any) -> Any:
        """The part that ``field`` names; ``given`` are settings the caller knows."""
        part: Part = getattr(self, field)
        return part.build(PART_KINDS[field], **given)

    def sampler_of(self, miner: Part) -> Part:
        """The sampler that is set, or else the one that the miner is published with.

        Raises:
            LookupError: if no such miner is installed.
        """
        own = getattr(plugins.find("miners", miner.name), "sampler", "none")
        return self.sampler or Part(name=own)

    def resolved(self) -> dict[str, Any]:
        """All settings as JSON-like values, the parts' defaults included."""
        values = self.model_dump(mode="json")
        for field, kind in PART_KINDS.items():
            part: Part | None = getattr(self, field)
            if part is None:
                continue
            values[field] = {"name": part.name, "settings": part.resolved(kind)}
        return values


PART_KINDS: Mapping[str, plugins.Kind] = {
    "source": "sources",
    "backbone": "backbones",
    "head": "heads",
    "cues": "cues",
    "sampler": "samplers",
    "assigner": "assigners",
}


def check_name(name: str, known: Iterable[str]) -> None:
    """Makes sure that a setting exists.

    Raises:
        SettingsError: if it does not; says which is nearest, and lists all.
    """
    names = list(known)
    if name not in names:
        raise SettingsError(
            f"no setting is called {name!r}{plugins.nearest(name, names)}; the "
            f"settings are: {', '.join(names)}"
        )


def refused(error: ValidationError) -> SettingsError:
    """The first of the settings that pydantic refuses, and why."""
    problem = error.errors()[0]
    if problem["type"] == "value_error":
        # Our own words, which say what came.
        return SettingsError(f"setting {place(error)}: {problem['ctx']['error']}")
    return SettingsError(
        f"setting {place(error)}: {problem['msg']}, got {problem['input']!r}"
    )


def place(error: ValidationError) -> str:
    """Where the first problem is, as a dotted name."""
    return ".".join(str(one) for one in error.errors()[0]["loc"])


def settings_hash(values: Mapping[str, Any]) -> str:
    """A short name of settings: two runs with the same one are comparable."""
    return digest(dict(values))


def _names(field: str, value: Any) -> list[str]:
    return [f"{field}.{one.name}" for one in fields(value)]


def _nested(field: str, value: Any, key: str, new: Any) -> dict[str, Any]:
    """A group of settings, one of them changed."""
    if not is_dataclass(value) and not isinstance(value, Mapping):
        raise SettingsError(f"the setting {field!r} has no settings of its own")
    if isinstance(value, Mapping):
        return {**value, key: new}
    return {**{one.name: getattr(value, one.name) for one in fields(value)}, key: new}


def pair(text: str) -> tuple[str, str]:
    """Reads ``key=value``.

    Raises:
        SettingsError: if it does not read so.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise SettingsError(f"expected key=value, got {text!r}")
    return key.strip(), value.strip()
