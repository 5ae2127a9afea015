import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsis.experiments.tuning import Axis, Space
from wsis.experiments.tuning.space import DEFAULT
from wsis.runs.settings import Part, Settings, SettingsError

CIM = Part(name="cim")


def space(*sweeps, miner=CIM, overrides=()):
    return Space.of(miner, Settings.read(overrides), sweeps)


@pytest.mark.parametrize(
    ("text", "share", "value"),
    [
        ("p_seed=0.01..1:log", 0.5, 0.1),
        ("t_cls=0.1..0.5", 0.25, 0.2),
        ("clusters=2..4:int", 0.0, 2),
        ("clusters=2..4:int", 0.5, 3),
        ("clusters=2..4:int", 0.999, 4),
        ("schedule.lr=1e-5..1e-3:log", 0.5, 1e-4),
        ("t_cls=-1..1", 0.5, 0.0),
    ],
)
def test_a_range_is_read_and_walked(text, share, value):
    axis = Axis.parse(text)

    assert axis.value(share) == pytest.approx(value)
    assert Axis.parse(axis.text) == axis


@given(
    st.floats(1e-6, 1.0),
    st.floats(1.1, 100.0),
    st.sampled_from(["linear", "log"]),
    st.floats(0, 1, exclude_max=True),
)
def test_values_stay_in_their_range(low, factor, spacing, share):
    axis = Axis(name="x", low=low, high=low * factor, spacing=spacing)

    assert axis.low <= axis.value(share) <= axis.high


@pytest.mark.parametrize(
    "text",
    ["p_seed", "p_seed=0.1", "p_seed=a..b", "p_seed=0.1..0.2:cubic", "=0..1"],
)
def test_what_is_no_range_is_refused(text):
    with pytest.raises(SettingsError, match=r"LOW\.\.HIGH"):
        Axis.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p_seed=0.2..0.1", "expected the range of p_seed to rise"),
        ("p_seed=0.1..0.1", "expected the range of p_seed to rise"),
        ("p_seed=0..nan", "expected the range of p_seed to rise"),
        ("p_seed=0..0.1:log", "expected a positive range of p_seed with log"),
    ],
)
def test_a_range_that_is_none_is_refused(text, message):
    with pytest.raises(SettingsError, match=message):
        Axis.parse(text)


def test_cim_has_its_thresholds_swept():
    names = [axis.name for axis in space().axes]

    assert names == ["p_seed", "containment", "t_cls", "t_iou", "step"]


def test_what_the_paper_has_as_one_number_is_moved_together():
    one = space("t_cls=0.1..0.5", "step=0..0.1").variant({"t_cls": 0.3, "step": 0.05})

    assert one.miner.settings == {"t_cls": 0.3, "step": 0.05}
    assert one.overrides == ("assigner.t_cls=0.3", "assigner.step=0.05")


def test_what_was_given_apart_stays_apart():
    untied = space("t_cls=0.1..0.5", miner=Part(name="cim", settings={"t_cls": 0.4}))

    assert untied.keys("t_cls") == ("miner.t_cls",)
    assert untied.keys("assigner.t_cls") == ("assigner.t_cls",)
    assert untied.keys("miner.t_cls") == ("miner.t_cls",)


def test_a_variant_keeps_the_miners_other_settings():
    miner = Part(name="cim", settings={"oversize": 0.8})
    one = space("t_iou=0.4..0.6", "schedule.lr=1e-5..1e-3:log", miner=miner).variant(
        {"t_iou": 0.45, "schedule.lr": 0.0003}
    )

    assert one.miner == miner
    settings = one.settings(Settings())
    assert settings.assigner.settings == {"t_iou": "0.45"}
    assert settings.schedule.lr == 0.0003


def test_values_are_read_back():
    swept = space("p_seed=0.01..0.3:log", "t_iou=0.4..0.6", "schedule.lr=1e-5..1e-3")

    assert swept.values(swept.default()) == {
        "p_seed": 0.1,
        "t_iou": 0.5,
        "schedule.lr": 1e-4,
    }
    values = {"p_seed": 0.02, "t_iou": 0.41, "schedule.lr": 2e-4}
    assert swept.values(swept.variant(values)) == values


@pytest.mark.parametrize(
    ("sweeps", "message"),
    [
        (["p_sed=0..1"], "did you mean 'p_seed'"),
        (["miner.t_iou=0.1..0.2"], "nothing to sweep is called 'miner.t_iou'"),
        (["nothing=0..1"], "p_seed, containment, oversize, t_cls, step, t_iou"),
        (["t_cls=0.1..0.5", "t_cls=0.1..0.3"], "each once"),
        (["t_cls=0.1..0.5", "assigner.t_cls=0.1..0.3"], "different settings"),
        (["p_seed=0..0.2"], "cannot sweep p_seed=0.0: .*must be in"),
        (["t_cls=0.5..0.9"], r"cannot sweep t_cls=0.9: t_cls must be in \(0, 1\]"),
        (["schedule.lrr=0.1..0.2"], "lrr"),
    ],
)
def test_what_cannot_be_swept_is_refused(sweeps, message):
    with pytest.raises(SettingsError, match=message):
        space(*sweeps)


def test_a_longer_sweep_begins_as_the_shorter_one():
    few, many = space().sample(7), space().sample(40)

    assert many[:7] == few
    assert len({one.label for one in many}) == 40
    assert few[0].label == DEFAULT
    assert few[0].overrides == ()


def test_a_sweep_covers_every_axis_evenly():
    swept = space("p_seed=0.01..0.3:log", "t_iou=0.3..0.6")
    found = [swept.values(one) for one in swept.sample(17)[1:]]

    places = np.array([[np.log(v["p_seed"]), v["t_iou"]] for v in found])
    low, high = np.log([0.01, 0.3]), np.array([0.3, 0.6])
    shares = (places - [low[0], high[0]]) / [low[1] - low[0], high[1] - high[0]]
    for column in shares.T:
        counts, _ = np.histogram(column, bins=8, range=(0, 1))
        assert counts.tolist() == [2] * 8


def test_points_that_are_the_same_are_tried_once():
    found = space("clusters=2..3:int", miner=Part(name="pcl")).sample(20)

    assert [one.label for one in found[1:]] in (
        ["clusters=2", "clusters=3"],
        ["clusters=3", "clusters=2"],
    )


def test_one_setting_is_no_sweep():
    with pytest.raises(SettingsError, match="at least 2 settings, got 1"):
        space().sample(1)
