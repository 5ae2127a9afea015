import pytest

from tests.drawn import settings
from wsis._support.files import differences
from wsis.experiments._ceiling import identity as ceiling_identity
from wsis.experiments.variants import ablation, common, vary, written
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part, Settings, SettingsError

CIM = Part(name="cim")
ANTI_NOISE = Part(name="anti_noise")


def labels(text):
    return [variant.label for variant in vary(text, CIM)]


def test_each_value_is_a_variant_that_differs_in_one_thing():
    shared = Settings.read(["schedule.epochs=3", "source.nodes=50"])
    one, two = vary("sampler=none,anti_noise", CIM)

    assert (one.label, two.label) == ("sampler=none", "sampler=anti_noise")
    assert one.miner == two.miner == CIM
    mine, theirs = (v.settings(shared).resolved() for v in (one, two))
    assert differences(mine, theirs) == {
        "sampler.name": ("none", "anti_noise"),
    }
    assert mine["schedule"]["epochs"] == 3


def test_fields_of_parts_and_of_recipes_can_be_varied():
    shared = Settings.read(["source.nodes=50", "schedule.epochs=3"])
    [nodes] = vary("proposals.pairs=7", CIM)
    [rate] = vary("recipe.schedule.lr=0.01", CIM)

    source = nodes.settings(shared).source
    assert nodes.label == "source.pairs=7"
    assert source.resolved("sources")["nodes"] == 50
    assert source.resolved("sources")["pairs"] == 7
    assert rate.settings(shared).schedule.lr == 0.01
    assert rate.settings(shared).schedule.epochs == 3


def test_values_with_commas_have_semicolons_between():
    assert labels("train_sides=480;480,576") == [
        "train_sides=480",
        "train_sides=480,576",
    ]


def test_miners_can_be_varied_like_anything_else():
    one, two = vary("miner=cim:p_seed=0.2,mist", CIM)

    assert (one.label, two.label) == ("cim:p_seed=0.2", "mist")
    assert two.miner == Part(name="mist")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sampler", "expected what differs and its values"),
        ("sampler=none,", "expected what differs and its values"),
        ("samplr=none", "did you mean 'sampler'"),
    ],
)
def test_what_cannot_be_varied_is_refused(text, message):
    with pytest.raises(SettingsError, match=message):
        vary(text, CIM)


def test_a_wrong_value_is_refused_when_settings_are_made():
    [wrong] = vary("schedule.lr=-1", CIM)

    with pytest.raises(SettingsError, match="must be positive"):
        wrong.settings(Settings())


def test_every_component_is_left_out_once():
    found = ablation(Part.parse("cim:p_seed=0.05"), ANTI_NOISE)
    whole, *without = found

    assert whole.label == "cim:p_seed=0.05"
    base = whole.settings(Settings()).resolved()
    changed = {
        one.label: (
            one.miner.label,
            # The settings of the cues go with them.
            [
                key
                for key in sorted(
                    differences(base, one.settings(Settings()).resolved())
                )
                if not key.startswith("cues.settings.")
            ],
        )
        for one in without
    }
    cim = "cim:p_seed=0.05"
    assert changed == {
        "no cues": (cim, ["cues.name"]),
        "mist mining": ("mist:top=0.05", ["sampler"]),
        "no MaskIoU": (cim, ["integrity"]),
        "no cascade": ("cim:p_seed=0.05:step=0", ["assigner.settings.step"]),
        "no sampling": (cim, ["sampler"]),
        "no anti-noise branch": (cim, ["anti_noise"]),
    }


def test_only_cim_can_be_ablated():
    with pytest.raises(SettingsError, match="to be cim, got mist"):
        ablation(Part(name="mist"), ANTI_NOISE)


def test_what_all_share_leaves_out_what_differs():
    one = {"a": 1, "part": {"name": "x", "settings": {"k": 1, "l": 2}}, "b": None}
    two = {"a": 1, "part": {"name": "x", "settings": {"k": 1, "l": 3}}, "b": None}
    other = {"a": 1, "part": {"name": "y", "settings": {"k": 1}}, "b": 4}

    assert common([one, two]) == {
        "a": 1,
        "part": {"name": "x", "settings": {"k": 1}},
        "b": None,
    }
    assert common([one, two, other]) == {"a": 1}


@pytest.mark.parametrize("path", [r"C:\masks", "https://host:80/masks", "a:b"])
def test_colons_in_values_survive(path):
    bare, field = (
        vary(f"source=files:path={path}", CIM),
        vary(f"source.path={path}", CIM),
    )
    shared = Settings(source=Part(name="files"))

    for [one] in (bare, field):
        assert one.settings(shared).source.settings == {"path": path}


def test_folders_of_before_lack_the_least_iterations_and_are_resumed():
    named = written(Settings.read(["schedule.min_iterations=0"]))
    paced = written(Settings.read(["schedule.min_iterations=9"]))

    assert "min_iterations" not in named["schedule"]
    assert paced["schedule"]["min_iterations"] == 9


def test_folders_of_before_lack_the_class_map_and_are_resumed():
    assert "class_map" not in written(Settings())
    assert written(Settings.read(["class_map=true"]))["class_map"] is True


def test_ceilings_of_before_lack_the_class_map_and_are_resumed(tmp_path):
    plain, mapped = (
        ceiling_identity(Pipeline(settings(f"class_map={text}"), tmp_path))
        for text in ("false", "true")
    )

    assert mapped == {**plain, "class_map": True}
    assert "class_map" not in plain
