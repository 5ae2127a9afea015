"""What a bench compares: variants of one configuration that differ in one thing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wsis.plugins import nearest
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part, Settings, SettingsError

ALIASES = {"proposals": "source"}
"""Other names for what ``vary`` takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One thing that is compared.

    Args:
        label: its name in tables, unique in a bench.
        miner: what it is taught by.
        overrides: ``key=value`` settings in which it differs from the shared ones.
    """

    label: str
    miner: Part
    overrides: tuple[str, ...] = ()

    def settings(self, shared: Settings) -> Settings:
        """The shared settings with this variant's own.

        Raises:
            SettingsError: if a setting is unknown or its value is not allowed.
        """
        return Settings.read(self.overrides, shared) if self.overrides else shared


def of_miners(miners: Sequence[Part]) -> list[Variant]:
    """A variant for each miner, all else being the same."""
    return [Variant(label=miner.label, miner=miner) for miner in miners]


def vary(text: str, miner: Part) -> list[Variant]:
    """Reads ``sampler=none,anti_noise``: a variant for each value, with one miner.

    Args:
        text: what differs and its values, with commas between, or semicolons where a
            value has commas. It is ``miner``, or a setting: a part (``source``, also
            called ``proposals``), a part's field (``source.nodes``), or any other
            (``schedule.lr``; ``recipe.`` before it is allowed).
        miner: that all have, unless it is what differs.

    Raises:
        SettingsError: if it does not read so, or no setting is called so.
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
        return of_miners([Part.parse(value) for value in chosen])
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
    """CIM, then CIM with each of its components left out in turn.

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
        sampler: that the miner is run with.

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
        ("mist mining", Part(name="mist", settings=shared), _part("sampler", sampler)),
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


def _part(field: str, part: Part) -> tuple[str, ...]:
    return (f"{field}={part.label}",)


def identity(variant: Variant, pipeline: Pipeline) -> dict[str, Any]:
    """All that a variant's figures depend on besides the data and the seed."""
    return {
        **pipeline.settings.resolved(),
        "miner": {
            "name": variant.miner.name,
            "settings": variant.miner.resolved("miners"),
        },
        "sampler": pipeline.sampler(variant.miner).model_dump(mode="json"),
        "device": str(pipeline.device),
    }


def common(values: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The entries, nested ones too, that are the same in all of several mappings.

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
