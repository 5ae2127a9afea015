"""Variants of one configuration: the entries of a comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wsis.contracts import Miner
from wsis.plugins import nearest
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part, Settings, SettingsError

ALIASES = {"proposals": "source"}
"""Other names that ``vary`` takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One entry of a comparison.

    Args:
        label: its name in tables, unique in a comparison.
        miner: teaches it.
        overrides: ``key=value`` settings in which it differs from the shared ones.
    """

    label: str
    miner: Part
    overrides: tuple[str, ...] = ()

    def settings(self, shared: Settings) -> Settings:
        """Return the shared settings with this variant's own.

        Raises:
            SettingsError: if a setting is unknown or its value is not allowed.
        """
        return Settings.read(self.overrides, shared) if self.overrides else shared


Compared = Variant | Part | Miner | str
"""A miner as an object, by name and settings, or with settings of its own."""


def variants_of(miners: Any) -> list[Variant]:
    """Return a variant for each miner, all else being the same.

    Args:
        miners: by label; or one after another, or comma-separated names with settings,
            labelled by themselves.

    Raises:
        ValueError: if a text does not name a miner, or an object has no readable
            settings.
    """
    if isinstance(miners, Mapping):
        return [_variant(one, str(label)) for label, one in miners.items()]
    if isinstance(miners, str):
        miners = Part.several(miners)
    if not isinstance(miners, Sequence):
        raise ValueError(
            f"expected miners by name, as {{'mine': MyMiner()}}, got {miners!r}"
        )
    return [_variant(one, None) for one in miners]


def _variant(one: Any, label: str | None) -> Variant:
    if isinstance(one, Variant):
        return one if label is None else replace(one, label=label)
    part = Part.of(one, "miners")
    return Variant(label=label or part.label, miner=part)


def vary(text: str, miner: Part) -> list[Variant]:
    """Read ``sampler=none,anti_noise``: a variant for each value, with one miner.

    Args:
        text: a setting and its comma-separated values; separated by semicolons if a
            value has commas. The setting is ``miner``, a part (``source``, also called
            ``proposals``), a part's field (``source.nodes``), or any other
            (``schedule.lr``; a leading ``recipe.`` is allowed).
        miner: that all variants have, unless ``miner`` is what differs.

    Raises:
        SettingsError: if the text does not read like that, or names no setting.
    """
    key, equals, values = text.partition("=")
    key = key.strip().removeprefix("recipe.")
    first, dot, rest = key.partition(".")
    key = ALIASES.get(first, first) + dot + rest
    chosen = [v.strip() for v in values.split(";" if ";" in values else ",")]
    if not equals or not key or not all(chosen):
        raise SettingsError(
            f"expected what differs and its values, as sampler=none,anti_noise; "
            f"got {text!r}"
        )
    if key == "miner":
        return variants_of(chosen)
    fields = ["miner", *ALIASES, *Settings.model_fields]
    if key.partition(".")[0] not in fields:
        raise SettingsError(
            f"nothing to vary is called {key!r}{nearest(key, fields)}; it can be: "
            f"{', '.join(fields)}"
        )
    return [
        Variant(label=f"{key}={value}", miner=miner, overrides=(f"{key}={value}",))
        for value in chosen
    ]


def ablation(miner: Part, sampler: Part) -> list[Variant]:
    """Return CIM, then CIM with each of its components left out in turn.

    In the terms of Li et al., https://arxiv.org/abs/2402.07633:

    - *no cues*: the anti-noise branch learns from tags alone (the paper's AGPL off);
    - *mist mining*: seeds themselves are the pseudo instances, of the same share of
      the proposals and with the same sampler (complete instances mining off);
    - *no MaskIoU*: integrity is neither learned nor used, in mining, in the losses, or
      at inference; the candidate of highest classification is the complete instance;
    - *no cascade*: the thresholds of the first branch in all of them;
    - *no sampling*: every pseudo instance is believed (anti-noise sampling off);
    - *no anti-noise branch*: the cues teach branch 0 themselves, one pseudo instance a
      cluster; nothing smooths their noise before. The paper has no such row: with it,
      one sees what the branch adds to the cues that it learns from.

    Args:
        miner: CIM, with settings of its own if any.
        sampler: of the miner's pseudo instances.

    Raises:
        SettingsError: if the miner is not CIM.
    """
    if miner.name != "cim":
        raise SettingsError(f"expected the miner to ablate to be cim, got {miner.name}")
    own = dict(miner.settings)
    shared: dict[str, Any] = {k: own[k] for k in ("t_cls", "step") if k in own}
    if "p_seed" in own:
        shared["top"] = own["p_seed"]
    without: list[tuple[str, Part, tuple[str, ...]]] = [
        (miner.label, miner, ()),
        ("no cues", miner, ("cues=none",)),
        (
            "mist mining",
            Part(name="mist", settings=shared),
            (f"sampler={sampler.label}",),
        ),
        ("no MaskIoU", miner, ("integrity=false",)),
        (
            "no cascade",
            Part(name="cim", settings={**own, "step": 0}),
            ("assigner.step=0",),
        ),
        ("no sampling", miner, ("sampler=none",)),
        ("no anti-noise branch", miner, ("anti_noise=false",)),
    ]
    return [
        Variant(label=label, miner=part, overrides=overrides)
        for label, part, overrides in without
    ]


def identity(variant: Variant, pipeline: Pipeline) -> dict[str, Any]:
    """Return all that a variant's figures depend on besides the data and the seed."""
    return {
        **written(pipeline.settings),
        "miner": {
            "name": variant.miner.name,
            "settings": variant.miner.resolved("miners"),
        },
        "sampler": pipeline.sampler(variant.miner).model_dump(mode="json"),
        "device": str(pipeline.device),
    }


def written(settings: Settings) -> dict[str, Any]:
    """Return settings as folders name them; what older ones lack only if it is used."""
    found = settings.resolved()
    for name, unused in {"min_iterations": 0, "precision": "float32"}.items():
        if found["schedule"][name] == unused:
            del found["schedule"][name]
    for name, other in {"class_map": False, "rounds": 1}.items():
        if found[name] == other:
            del found[name]
    return found


def common(values: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the entries, nested ones too, that are the same in several mappings.

    A part that differs by name is left out with its settings.
    """
    first, *others = values
    same: dict[str, Any] = {}
    for key, value in first.items():
        theirs = [other.get(key) for other in others]
        if all(value == other for other in theirs):
            same[key] = value
        elif isinstance(value, dict) and all(isinstance(o, dict) for o in theirs):
            nested = [value, *[o for o in theirs if o is not None]]
            if len({one.get("name") for one in nested}) == 1:
                same[key] = common(nested)
    return same
