import pytest

from tests.drawn import Squares, settings
from wsis.config import Part
from wsis.contracts import Supervision
from wsis.features.backbones import WeightsError
from wsis.pipeline import Pipeline
from wsis.plugins import SettingError, UnknownPartError
from wsis.sampling import AntiNoiseSampler, KeepAll


def test_each_miner_has_the_sampler_it_is_published_with(tmp_path):
    pipeline = Pipeline(settings(), tmp_path)

    assert pipeline.strategy(Part(name="cim")).sampler == AntiNoiseSampler()
    assert pipeline.strategy(Part(name="mist")).sampler == KeepAll()


def test_settings_can_give_all_miners_one_sampler(tmp_path):
    pipeline = Pipeline(settings("sampler=anti_noise"), tmp_path)

    for name in ("cim", "mist", "oicr"):
        assert pipeline.strategy(Part(name=name)).sampler == AntiNoiseSampler()


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("source=tree", UnknownPartError, "no source is called 'tree'.*region_tree"),
        ("source.nodes=0", SettingError, "nodes must be at least 1"),
        ("cues.threshold=2", SettingError, r"threshold must be in \(0, 1\)"),
        ("assigner.t_cls=1.5", SettingError, "t_cls"),
        ("sampler=noise", UnknownPartError, "anti_noise"),
        ("backbone=resnet50", SettingError, "did you mean|needs|weights"),
    ],
)
def test_wrong_parts_fail_before_any_work(tmp_path, override, error, message):
    with pytest.raises((error, WeightsError), match=message):
        Pipeline(settings(override), tmp_path)


def test_the_ledger_names_all_that_was_labelled(tmp_path):
    pipeline = Pipeline(settings(), tmp_path)
    model = pipeline.model(2, 0)
    [bag] = pipeline.bags(Squares(val=1).val().tagged.images)

    assert pipeline.ledger == frozenset({Supervision.TAGS})
    assert pipeline.predict(model, bag).ledger == pipeline.ledger


def test_several_views_are_averaged(tmp_path):
    plain = Pipeline(settings(), tmp_path)
    averaged = Pipeline(settings("test_sides=64,96", "test_flips=true"), tmp_path)
    model = plain.model(2, 0)
    [bag] = plain.bags(Squares(val=1).val().tagged.images)

    one, four = plain.predict(model, bag), averaged.predict(model, bag)

    assert one.size == four.size
    assert not one.score[:5].equal(four.score[:5])
