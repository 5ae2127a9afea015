"""Parts as objects: what they are called, and what settings they tell."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from wsis.contracts import PseudoInstances
from wsis.heads.mask_pool import MaskPool
from wsis.mining import CIMMiner
from wsis.mining.sampling import AntiNoiseSampler
from wsis.runs.settings import Part, Settings, SettingsError


@dataclass(frozen=True, kw_only=True)
class Own:
    gamma: float = 0.5
    folder: Path | None = None
    inner: Any = None

    def __call__(self, scores, overlaps, tags) -> PseudoInstances:
        raise NotImplementedError


class Bare:
    def __call__(self, scores, overlaps, tags) -> PseudoInstances:
        raise NotImplementedError


def test_an_object_of_an_installed_class_is_that_part():
    part = Part.of(CIMMiner(p_seed=0.2), "miners")

    assert part.label == "cim:p_seed=0.2"
    assert part.build("miners") == CIMMiner(p_seed=0.2)
    assert part.resolved("miners") == Part.parse("cim:p_seed=0.2").resolved("miners")


def test_an_object_installed_nowhere_is_its_class_and_fields():
    miner = Own(gamma=0.3, inner=AntiNoiseSampler())

    part = Part.of(miner, "miners")

    assert part.name == f"{Own.__module__}.Own"
    assert part.settings == {
        "gamma": 0.3,
        "folder": None,
        "inner": {"name": "wsis.mining.sampling.AntiNoiseSampler", "settings": {}},
    }
    assert part.build("miners") is miner
    assert part.resolved("miners") == part.settings
    assert "given" not in part.model_dump()


def test_numbers_of_numpy_are_those_of_python():
    given = {"source.nodes": np.int32(7), "schedule.lr": np.float32(0.5)}

    settings = Settings.read({**given, "freeze": np.bool_(False)})

    same = Settings.read(["source.nodes=7", "schedule.lr=0.5", "freeze=no"])
    assert settings.resolved() == same.resolved()
    assert type(settings.source.settings["nodes"]) is int
    part = Part.of(Own(gamma=np.float32(0.5), inner=[np.int64(3)]), "miners")
    assert part.settings == {"gamma": 0.5, "folder": None, "inner": [3]}
    assert type(part.settings["gamma"]) is float
    assert Part(name="cim", settings={"step": np.float32(0.5)}).model_dump_json()


def test_a_class_path_is_built_where_it_can_be_imported():
    part = Part.parse("wsis.mining.cim.CIMMiner:p_seed=0.2")

    assert part.build("miners") == CIMMiner(p_seed=0.2)


def test_a_class_that_cannot_be_imported_is_named():
    with pytest.raises(LookupError, match=r"nowhere\.Miner.*give the object itself"):
        Part.parse("nowhere.Miner").build("miners")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Bare(), r"a dataclass or a torch.nn.Module; .*Bare is neither.*@dataclass"),
        (Own(inner=lambda: 0), r"\.Own\.inner is <function"),
        (Own, r"got the class Own; give Own\(\)"),
        (3, r"wsis\.contracts\.Miner.*got 3"),
    ],
)
def test_objects_that_do_not_tell_what_they_are_are_refused(value, message):
    with pytest.raises(SettingsError, match=message):
        Part.of(value, "miners")


def test_modules_are_told_apart_by_their_weights_and_built_anew():
    head, other = MaskPool(6), MaskPool(6)

    parts = [Part.of(one, "heads") for one in (head, other, head)]

    assert parts[0].settings != parts[1].settings
    assert parts[0].settings == parts[2].settings
    built = parts[0].build("heads", channels=6)
    assert built is not head
    assert isinstance(built, nn.Module)


def test_settings_take_objects_and_keep_them():
    settings = Settings.read({"sampler": AntiNoiseSampler(), "branches": 2})

    assert settings.sampler.name == "anti_noise"
    assert settings.branches == 2
    with pytest.raises(SettingsError, match="set it there"):
        Settings.read({"source": SmallSource(), "source.side": 64})


@dataclass(frozen=True)
class SmallSource:
    side: int = 32
    ledger: frozenset[Any] = frozenset()

    def __call__(self, image):
        raise NotImplementedError


@pytest.mark.parametrize(
    "value",
    [
        r"C:\photos\store",
        "http://host:8080/a?b=c",
        "a:b=c:d=e",
        'say "a:b=c"',
        "",
        " padded ",
    ],
)
def test_labels_read_back_whatever_their_values_hold(value):
    part = Part(name="files", settings={"path": value, "limit": "3"})

    assert Part.parse(part.label) == part


def test_tuples_in_labels_are_comma_separated():
    part = Part(name="hed", settings={"scales": (0.5, 1)})

    assert part.label == "hed:scales=0.5,1"
    assert Part.several(f"{part.label},cim:p_seed=0.1, mist") == [
        Part.parse("hed:scales=0.5,1"),
        Part.parse("cim:p_seed=0.1"),
        Part.parse("mist"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cim:p_seed", "expected key=value after 'cim', got 'p_seed'"),
        (":p_seed=1", "expected the name of a part"),
        ("cim:p_seed=1:p_seed=2", "'p_seed' once"),
    ],
)
def test_texts_that_are_no_part_are_refused(text, message):
    with pytest.raises(SettingsError, match=message):
        Part.parse(text)
