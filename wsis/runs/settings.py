"""The settings of a run: validated, hashed, overridden by ``key=value``."""

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from inspect import Parameter
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from wsis import plugins
from wsis._support.checks import UsageError, wrong_value
from wsis._support.files import digest
from wsis.features.scale import Resize
from wsis.runs._identity import (
    IdentityError,
    as_plain,
    changed,
    check_kind,
    class_path,
    plain_number,
    settings_of,
)
from wsis.training.schedule import Schedule
from wsis.training.selection import Selection

if TYPE_CHECKING:
    from wsis.contracts import DataSource

M = TypeVar("M", bound=BaseModel)


class SettingsError(UsageError, ValueError):
    """A setting is unknown or its value is not allowed."""


_SETTING = re.compile(
    r""":([A-Za-z_]\w*)=("(?:[^"]|"")*"|.*?)(?=:[A-Za-z_]\w*=|$)""", re.DOTALL
)
_COMMA = re.compile(r",\s*[A-Za-z_]\w*=")
_COLON = "settings of a part are separated by ':', as in scenes:seed=3:size=160"
_SPLIT = re.compile(r",(?=\s*(?:[A-Za-z_][\w.]*\s*(?:[,:]|$)|$))")


class Part(BaseModel):
    """A part by name, or as an object, and the settings that it was given.

    The name is that of an installed part, or ``module.Class`` for one that is installed
    nowhere. A dataclass object of an installed part's class counts as that part.

    Args:
        name: of the part.
        settings: those that differ from its defaults; of an object that is installed
            nowhere, all of them.
        given: the object itself, where there is one; never written to disk.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    settings: dict[str, Any] = {}
    given: Any = Field(default=None, exclude=True, repr=False)

    @field_validator("settings")
    @classmethod
    def _numbers(cls, settings: dict[str, Any]) -> dict[str, Any]:
        return {key: plain_number(value) for key, value in settings.items()}

    def __eq__(self, other: object) -> bool:
        # An object is what its name and settings say, so a part read back is the same.
        return isinstance(other, Part) and (self.name, self.settings) == (
            other.name,
            other.settings,
        )

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def of(cls, value: Any, kind: plugins.Kind) -> "Part":
        """Return the part that a text, a ``Part`` or an object stands for.

        Args:
            value: ``name:key=value``, a part, or an object that does a part's work.
            kind: of part.

        Raises:
            SettingsError: if the text does not read so, or the object is none of this
                kind or does not tell its settings; says why.
        """
        if isinstance(value, Part):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        try:
            check_kind(value, kind)
            known = plugins.name_of(kind, type(value))
            if known is not None and is_dataclass(value):
                return cls(name=known, settings=changed(value), given=value)
            return cls(name=class_path(value), settings=settings_of(value), given=value)
        except IdentityError as error:
            raise SettingsError(str(error)) from None

    @classmethod
    def parse(cls, text: str) -> "Part":
        """Read ``name`` or ``name:key=value:key=value``.

        A value reaches to the next ``:key=``, so that paths and addresses may have
        colons; a value that holds such a thing itself stands in double quotes.

        Raises:
            SettingsError: if what follows the name is not ``key=value``.
        """
        name, colon, rest = text.strip().partition(":")
        if not name or "=" in name:
            raise SettingsError(
                f"expected the name of a part, got {name or text!r}"
                + (f"; {_COLON}" if name else "")
            )
        rest, settings = colon + rest, {}
        while rest:
            found = _SETTING.match(rest)
            if found is None:
                raise SettingsError(
                    f"expected key=value after {name!r}, got {rest[1:]!r}"
                )
            key, value = found.groups()
            if key in settings:
                raise SettingsError(f"expected {key!r} once, got it twice in {text!r}")
            if value[:1] != '"' and (comma := _COMMA.search(value)):
                raise SettingsError(
                    f"expected one value for {key!r} of {name!r}, got {value!r}; "
                    f"{_COLON}, or quote a value that holds {comma[0]!r}"
                )
            settings[key] = _unquoted(value.strip())
            rest = rest[found.end() :]
        return cls(name=name, settings=settings)

    @classmethod
    def several(cls, text: str) -> "list[Part]":
        """Read comma-separated parts: ``cim,mist:reading=box``.

        A comma within a tuple of numbers, as in ``hed:scales=0.5,1``, parts nothing.

        Raises:
            SettingsError: if one of them does not read as a part.
        """
        return [cls.parse(one) for one in _SPLIT.split(text)]

    @property
    def label(self) -> str:
        """The part as ``parse`` reads it; of an object, the settings that differ."""
        shown = self.settings if self.given is None else changed(self.given)
        return ":".join([self.name, *(f"{k}={_quoted(v)}" for k, v in shown.items())])

    def build(self, kind: plugins.Kind, **given: Any) -> Any:
        """Return the part itself; ``given`` are settings that the caller knows.

        A module comes as a copy, so that every model begins with the weights that the
        object was given with.

        Raises:
            LookupError: if the part is not installed, or its class cannot be imported.
            ValueError: if a setting is unknown or out of range.
        """
        if self.given is None:
            return plugins.create(kind, self.name, {**self.settings, **given})
        return self.given if is_dataclass(self.given) else copy.deepcopy(self.given)

    def resolved(self, kind: plugins.Kind) -> dict[str, Any]:
        """Return all of the part's settings, defaults included; not the caller's."""
        if self.given is not None:
            known = is_dataclass(self.given)
            return settings_of(self.given) if known else dict(self.settings)
        defaults = {
            key: parameter.default
            for key, parameter in plugins.settings(kind, self.name).items()
            if parameter.default is not Parameter.empty
        }
        found = {**defaults, **plugins.typed(kind, self.name, self.settings)}
        return {
            key: as_plain(one, key) if is_dataclass(one) else one
            for key, one in found.items()
        }


def dataset(value: "DataSource | str") -> "DataSource":
    """Return a data set that is given as an object, or as ``name:key=value``.

    Raises:
        LookupError: if there is none of this name.
        ValueError: if the object is none, or a setting is unknown or out of range.
    """
    if isinstance(value, str):
        built: DataSource = Part.parse(value).build("datasets")
        return built
    try:
        check_kind(value, "datasets")
    except IdentityError as error:
        raise SettingsError(str(error)) from None
    return value


def _quoted(value: Any) -> str:
    if isinstance(value, tuple | list):
        value = ",".join(map(str, value))
    text = str(value)
    odd = _SETTING.search(f":{text}") or _COMMA.search(text)
    if odd or text[:1] == '"' or text != text.strip():
        text = '"' + text.replace('"', '""') + '"'
    return text


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].replace('""', '"')
    return text


Sides = Annotated[
    tuple[Annotated[int, Field(ge=32)], ...],
    Field(min_length=1),
    BeforeValidator(lambda one: one.split(",") if isinstance(one, str) else one),
]


PART_KINDS: Mapping[str, plugins.Kind] = {
    "source": "sources",
    "backbone": "backbones",
    "head": "heads",
    "cues": "cues",
    "sampler": "samplers",
    "assigner": "assigners",
    "test_source": "sources",
}


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
        class_map: whether a classifier of regions, learned after training from what the
            model finds, ranks proposals beside it; not of the paper.
        rounds: of training. From the second on, what the model before found on the
            training photos teaches, in place of miner, sampler and cues; the paper
            has one.
        freeze: keeps the backbone as it is and its features on disk.
        train_sides: lengths of training images, in pixels, one drawn a step.
        train_flips: mirrored images as well.
        test_sides: lengths whose scores are averaged.
        test_flips: mirrored images as well.
        test_source: makes the proposals of photos that are predicted; ``none`` takes
            ``source``, and so does another ``source`` that comes without it.
        resize: ``longer`` or ``shorter``, the side that has these lengths.
        max_side: no image gets a longer side than this; 0 sets no limit.
        schedule: how the weights move.
        selection: which scored proposals become instances.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    source: Part = Part(name="region_tree")
    backbone: Part = Part(name="efficientnet_lite0")
    head: Part = Part(name="mask_pool")
    cues: Part = Part(name="cam")
    sampler: Part | None = None
    assigner: Part = Part(name="cascade")
    branches: int = Field(default=3, ge=1)
    integrity_prior: float = Field(default=0.5, gt=0, lt=1)
    integrity: bool = True
    by_cluster: bool = False
    cue_localization: float = Field(default=0.0, ge=0)
    anti_noise: bool = True
    class_map: bool = False
    rounds: int = Field(default=1, ge=1)
    freeze: bool = True
    train_sides: Sides = (576,)
    train_flips: bool = False
    test_sides: Sides = (576,)
    test_flips: bool = False
    test_source: Part | None = None
    resize: Resize = "longer"
    max_side: int = Field(default=0, ge=0)
    schedule: Schedule = Schedule()
    selection: Selection = Selection()

    @field_validator(*PART_KINDS, mode="before")
    @classmethod
    def _part(cls, value: Any, info: Any) -> Any:
        kind = PART_KINDS[str(info.field_name)]
        if info.field_name == "test_source" and value == "none":
            return None
        return value if isinstance(value, dict | None) else Part.of(value, kind)

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
        cls,
        overrides: "Overrides" = (),
        base: "Settings | None" = None,
    ) -> "Settings":
        """Return the defaults, or ``base``, with overrides such as ``branches=2``.

        A part is replaced by ``source=NAME`` and set by ``source.nodes=300``; of the
        schedule and the selection single values are set: ``schedule.epochs=3``, which
        takes the place of iterations in ``base``.

        Args:
            overrides: each ``key=value``, the last one counting; or a mapping of keys
                to values, parts as objects among them.
            base: what is overridden, where it is not the defaults.

        Raises:
            SettingsError: if a key is unknown (the message lists the right ones) or a
                value is not allowed.
        """
        base = base or cls()
        values = {key: getattr(base, key) for key in cls.model_fields}
        overrides = [overrides] if isinstance(overrides, str) else overrides
        if not isinstance(overrides, Mapping):
            overrides = tuple(overrides)
        changed = {key for key, _ in _pairs(overrides)}
        if "source" in changed and "test_source" not in changed:
            values["test_source"] = None
        return cls.checked(overridden(values, overrides, PART_KINDS))

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
                    check_name(
                        f"{key}.{inner}",
                        [f"{key}.{one.name}" for one in fields(default)],
                    )
        return validated(cls, values)

    def build(self, field: str, **given: Any) -> Any:
        """The part that ``field`` names; ``given`` are settings the caller knows."""
        part: Part = getattr(self, field)
        return part.build(PART_KINDS[field], **given)

    def sampler_of(self, miner: Part) -> Part:
        """The sampler that is set, or else the one that the miner is published with.

        Raises:
            LookupError: if no such miner is installed.
        """
        if self.sampler is not None:
            return self.sampler
        if miner.given is not None:
            from wsis.contracts import Sampling

            named = isinstance(miner.given, Sampling)
            return Part(name=miner.given.sampler if named else "none")
        own = plugins.describe("miners", miner.name).constants
        return Part(name=own.get("sampler", "none"))

    def resolved(self) -> dict[str, Any]:
        """All settings as JSON-like values, the parts' defaults included."""
        values = self.model_dump(mode="json")
        for field, kind in PART_KINDS.items():
            if values[field] is not None:
                values[field]["settings"] = getattr(self, field).resolved(kind)
        return values


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


def validated(model: type[M], values: Mapping[str, Any]) -> M:
    """Return the settings that have these values.

    Raises:
        SettingsError: if some are not allowed; says of the first one why.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problem, where = error.errors()[0], place(error)
        if problem["type"] == "value_error":
            # Our own words, which say what came.
            text = f"{problem['ctx']['error']}"
        else:
            text = f"{wrong_value(problem)}, got {problem['input']!r}"
        raise SettingsError(f"setting {where}: {text}") from None


def place(error: ValidationError) -> str:
    """Return the place of the first problem as a dotted name."""
    return ".".join(str(one) for one in error.errors()[0]["loc"])


MOST_SEEDS = 1000
"""More would only be a slip of the pen."""


def checked_seeds(seeds: Any) -> list[int]:
    """Return seeds, which may be given as a number of them, or refuse them.

    Raises:
        SettingsError: if there are none, or more than ``MOST_SEEDS``, or one is no
            whole number of 64 bits.
    """
    number = plain_number(seeds)
    whole = isinstance(number, int) and not isinstance(number, bool)
    several = range(number) if whole else number
    if not isinstance(several, Sequence) or isinstance(several, str | bytes):
        raise SettingsError(f"expected seeds, or how many, got {seeds!r}")
    some = [plain_number(one) for one in several[: MOST_SEEDS + 1]]
    if not 0 < len(some) <= MOST_SEEDS:
        raise SettingsError(
            f"expected seeds, up to {MOST_SEEDS:,} of them, got {seeds!r}"
        )
    for one in some:
        whole = isinstance(one, int) and not isinstance(one, bool)
        if not whole or not -(2**63) <= one < 2**63:
            raise SettingsError(
                f"expected a whole number of 64 bits as a seed, got {one!r}"
            )
    if again := [one for one in dict.fromkeys(some) if some.count(one) > 1]:
        raise SettingsError(f"expected each seed once, got {again[0]} again")
    return some


def settings_hash(values: Mapping[str, Any]) -> str:
    """A short name of settings: two runs with the same one are comparable."""
    return digest(dict(values))


def pair(text: str) -> tuple[str, str]:
    """Reads ``key=value``.

    Raises:
        SettingsError: if it does not read so.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise SettingsError(f"expected key=value, got {text!r}")
    return key.strip(), value.strip()


Overrides = Iterable[str] | Mapping[str, Any]
"""Each ``key=value``, the last one counting, or keys and their values; or one text."""


def overridden(
    values: Mapping[str, Any],
    overrides: Overrides,
    kinds: Mapping[str, plugins.Kind] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return ``values`` with dotted keys replaced; ``a.b`` is in what ``a`` holds.

    Args:
        values: parts, groups of settings (dataclasses or mappings) and plain values.
        overrides: what is replaced.
        kinds: of the values that are parts.

    Raises:
        SettingsError: if a key is unknown, or what it names has no settings.
    """
    found = dict(values)
    for key, value in _pairs(overrides):
        head, _, rest = key.partition(".")
        check_name(head, values)
        if rest and head in kinds:
            value = _part_with(head, kinds[head], found[head], rest, value)
        elif rest:
            group = _group(head, found[head])
            if key == "schedule.epochs":  # in place of iterations
                group |= {"iterations": 0, "min_iterations": 0}
            value = {**group, rest: value}
        found[head] = value
    return found


def _pairs(overrides: Overrides) -> Iterable[tuple[str, Any]]:
    if not isinstance(overrides, Mapping):
        return map(pair, overrides)
    return [(key, plain_number(value)) for key, value in overrides.items()]


def _part_with(
    head: str, kind: plugins.Kind, whole: Any, rest: str, value: Any
) -> Part:
    """A part, one of its settings changed."""
    if whole is None:
        raise SettingsError(
            f"expected {head}=NAME before {head}.{rest}={value}, as there is no "
            f"default {head}"
        )
    part = Part.of(whole, kind)
    if part.given is not None:
        raise SettingsError(
            f"expected {head}.{rest} as a field of the {head} that is given as an "
            f"object, {part.name}; set it there"
        )
    return Part(name=part.name, settings={**part.settings, rest: value})


def _group(head: str, whole: Any) -> dict[str, Any]:
    if is_dataclass(whole):
        whole = {one.name: getattr(whole, one.name) for one in fields(whole)}
    if not isinstance(whole, Mapping):
        raise SettingsError(f"the setting {head!r} has no settings of its own")
    return dict(whole)
