import numpy as np
import pytest

from wsis.plugins import SettingError
from wsis.runs.settings import (
    Part,
    Settings,
    SettingsError,
    checked_seeds,
    settings_hash,
)


def test_overrides_reach_fields_parts_and_their_settings():
    settings = Settings.read(
        [
            "branches=2",
            "schedule.epochs=3",
            "cues=none",
            "source.nodes=50",
            "train_sides=64,96",
        ]
    )

    assert settings.branches == 2
    assert settings.schedule.epochs == 3
    assert settings.cues == Part(name="none")
    assert settings.resolved()["source"]["settings"]["nodes"] == 50
    assert settings.train_sides == (64, 96)


def test_passes_that_are_asked_for_take_the_place_of_iterations():
    base = Settings.read(["schedule.iterations=5", "schedule.min_iterations=9"])

    assert Settings.read([], base).schedule.images(100) == 5
    assert Settings.read(["schedule.epochs=3"], base).schedule.images(100) == 300
    after = Settings.read(["schedule.epochs=3", "schedule.iterations=7"], base)
    assert after.schedule.images(100) == 7


def test_another_source_is_that_of_prediction_too():
    base = Settings.read(["test_source=lab:count=20"])

    assert Settings.read(["branches=2"], base).test_source == base.test_source
    assert Settings.read(["source=lab"], base).test_source is None
    assert Settings.read({"source.nodes": 9}, base).test_source == base.test_source
    assert Settings.read(["test_source=none"], base).test_source is None
    both = Settings.read(["source.nodes=9", "test_source.count=7"], base)
    assert both.test_source == Part(name="lab", settings={"count": "7"})


def test_a_part_is_read_with_its_settings():
    part = Part.parse("mist:reading=box")

    assert part == Part(name="mist", settings={"reading": "box"})
    assert part.label == "mist:reading=box"
    assert part.build("miners").reading == "box"
    assert part.resolved("miners")["reading"] == "box"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("brnches=2", "did you mean 'branches'"),
        ("schedule.epoch=2", "did you mean 'schedule.epochs'"),
        ("schedule.epochs=0", "setting schedule: epochs must be positive, got 0$"),
        ("cue_localization=inf", "finite"),
        ("selection.threshold=nan", "finite"),
        ("branches=0", "greater than or equal to 1"),
        ("train_sides=8", "greater than or equal to 32"),
        ("branches", "expected key=value"),
    ],
)
def test_wrong_settings_are_named(override, message):
    with pytest.raises(SettingsError, match=message):
        Settings.read([override])


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        (0, "expected seeds, up to 1,000 of them, got 0"),
        (10**11, "expected seeds, up to 1,000 of them, got 100000000000"),
        (range(10**20), "expected seeds, up to 1,000"),
        ([10**20], "expected a whole number of 64 bits as a seed, got 10{20}"),
        ([0, 1.5], r"as a seed, got 1\.5"),
        ([True], "as a seed, got True"),
        ([3, 3], "expected each seed once, got 3 again"),
        (2.5, r"expected seeds, or how many, got 2\.5"),
        ("12", "expected seeds, or how many, got '12'"),
        (-1, "of them, got -1"),
    ],
)
def test_seeds_are_whole_and_few(seeds, message):
    assert checked_seeds(3) == checked_seeds(np.int64(3)) == [0, 1, 2]
    assert checked_seeds([np.int64(7), -1]) == [7, -1]
    with pytest.raises(SettingsError, match=message):
        checked_seeds(seeds)


def test_one_override_needs_no_list():
    assert Settings.read("branches=2") == Settings.read(["branches=2"])


@pytest.mark.parametrize("text", ["cim:p_seed=0.1,t_con=0.8", "cim:p_seed=0.1, b=8"])
def test_settings_parted_by_commas_are_refused_with_how_to_write_them(text):
    for read in (Part.parse, Part.several):
        with pytest.raises(SettingsError, match=r"'p_seed'.* separated by ':'"):
            read(text)


def test_a_value_may_hold_what_looks_like_another_setting():
    part = Part(name="folder", settings={"root": "/photos,old=2"})

    assert part.label == 'folder:root="/photos,old=2"'
    assert Part.parse(part.label) == part


@pytest.mark.parametrize(
    ("miner", "message"),
    [
        ("cim:p_sed=0.1", "did you mean 'p_seed'"),
        ("cim:p_seed=1.5", "p_seed"),
        ("cim:p_seed=much", "number"),
    ],
)
def test_wrong_settings_of_a_part_are_named(miner, message):
    with pytest.raises(SettingError, match=message):
        Part.parse(miner).build("miners")


def test_the_hash_tells_settings_apart_and_not_their_spelling():
    plain = Settings().resolved()
    spelled = Settings.read(["branches=3", "source.pairs=400"]).resolved()
    other = Settings.read(["branches=2"]).resolved()

    assert settings_hash(plain) == settings_hash(spelled)
    assert settings_hash(plain) != settings_hash(other)
