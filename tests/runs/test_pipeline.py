from dataclasses import replace

import pytest
import torch

from tests.builders import points
from tests.drawn import Squares, settings
from tests.tiny_hed import tiny_hed
from wsis.contracts import Supervision
from wsis.features.backbones import WeightsError
from wsis.features.scale import Scale
from wsis.mining.sampling import AntiNoiseSampler, KeepAll
from wsis.plugins import SettingError, UnknownPartError
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part


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


def test_the_ledger_names_what_contours_of_the_evidence_learned_from(
    tmp_path, monkeypatch
):
    weights = tiny_hed(tmp_path / "hed.h5")
    monkeypatch.setenv("WSIS_HED_WEIGHTS", str(weights))

    by_colours = Pipeline(settings("head=mask_pool:evidence=lab"), tmp_path)
    learned = Pipeline(settings("head=mask_pool:evidence=hed"), tmp_path)

    assert by_colours.ledger == frozenset({Supervision.TAGS})
    people = frozenset({Supervision.BOUNDARIES, Supervision.IMAGENET})
    assert learned.ledgers["head"] == people
    assert learned.ledger == people | {Supervision.TAGS}


def test_photos_are_predicted_with_proposals_of_their_own(tmp_path):
    pipeline = Pipeline(settings("test_source=lab:count=25:side=64"), tmp_path)
    images = Squares(val=1).val().tagged.images
    model = pipeline.model(2, 0)
    [learned], [shown] = pipeline.bags(images), pipeline.test_bags(images)

    assert learned.proposals.source == "region_tree"
    assert shown.proposals.source == "lab"
    assert learned.key == shown.key
    assert learned.origin != shown.origin
    found = pipeline.predict(model, shown)
    assert 0 < found.index.max() < len(shown.proposals) <= 25
    plain = Pipeline(settings(), tmp_path)
    assert plain.test_bags(images)[0].origin == learned.origin


def test_what_a_run_is_made_from_names_the_proposals_of_prediction(tmp_path):
    plain, other = (
        Pipeline(settings(*more), tmp_path) for more in ((), ("test_source=lab",))
    )
    bags = plain.bags(Squares().train().images)

    made = other.inputs(bags)
    assert made.items() > plain.inputs(bags).items()
    assert {*made} - {*plain.inputs(bags)} == {"proposals of test_source"}


def test_labels_of_the_proposals_of_prediction_are_named(tmp_path, monkeypatch):
    weights = tiny_hed(tmp_path / "hed.h5")
    monkeypatch.setenv("WSIS_HED_WEIGHTS", str(weights))

    pipeline = Pipeline(settings("test_source=hed"), tmp_path)

    assert pipeline.ledgers["source"] == frozenset()
    assert Supervision.BOUNDARIES in pipeline.ledger


def test_several_views_are_averaged(tmp_path):
    plain = Pipeline(settings(), tmp_path)
    averaged = Pipeline(settings("test_sides=64,96", "test_flips=true"), tmp_path)
    model = plain.model(2, 0)
    [bag] = plain.bags(Squares(val=1).val().tagged.images)

    one, four = plain.predict(model, bag), averaged.predict(model, bag)

    assert one.size == four.size
    assert not one.score[:5].equal(four.score[:5])


def pointed(images):
    return [replace(image, points=points((20, 20, 1))) for image in images]


def test_cues_of_points_expect_points(tmp_path):
    pipeline = Pipeline(settings("cues=points"), tmp_path)
    images = Squares(train=2).train().images

    with pytest.raises(ValueError, match=r"with points .* none of 2 .*points=FILE"):
        pipeline.cues(pipeline.bags(images), 0)
    bags = pipeline.bags(pointed(images))
    assert pipeline.cues(bags, 0)(bags[0]).any()
    assert Supervision.POINTS in pipeline.ledger


def test_cues_go_on_from_what_an_interrupted_run_kept(tmp_path):
    pipeline = Pipeline(settings("cues=agpl", "cues.epochs=1"), tmp_path)
    bags = pipeline.bags(Squares(train=4).train().images)
    first = pipeline.cues(bags, 0)
    kept = first(bags[0])

    again = pipeline.cues(bags, 0)

    assert [again.has(bag) for bag in bags] == [True, False, False, False]
    assert again(bags[0]).equal(kept)
    assert again.kept == {}  # Memory does not grow with the number of photos.
    assert "labeller" not in vars(again.labeller)  # Nothing was learned for that.
    whole = again(bags[1])
    assert "labeller" in vars(again.labeller)
    assert pipeline.cues(bags, 0)(bags[1]).equal(whole)


def test_cues_are_kept_apart_for_what_they_depend_on(tmp_path):
    images = Squares(train=4).train().images
    pipeline = Pipeline(settings("cues=agpl"), tmp_path)
    other = Pipeline(settings("cues=agpl", "cues.agreement=0.6"), tmp_path)
    tagged = [replace(image, tags=torch.ones(2, dtype=torch.bool)) for image in images]

    folders = [
        parts.cues(parts.bags(given), seed).cache.folder
        for parts, given, seed in (
            (pipeline, images, 0),
            (other, images, 0),
            (pipeline, images, 1),
            (pipeline, images[:3], 0),
            (pipeline, tagged, 0),
            (pipeline, pointed(images), 0),
        )
    ]

    assert len(set(folders)) == len(folders)


def test_no_cues_stay_none(tmp_path):
    pipeline = Pipeline(settings("cues=none"), tmp_path)
    bags = pipeline.bags(Squares(train=1).train().images)

    for _ in range(2):
        assert pipeline.cues(bags, 0)(bags[0]) is None


def test_cues_see_photos_at_the_first_scale_of_training(tmp_path):
    pipeline = Pipeline(
        settings("train_sides=64,96", "resize=shorter", "max_side=128"), tmp_path
    )

    bags = pipeline.bags(Squares(train=2).train().images)

    assert pipeline.cues(bags, 0).scale == Scale(64, resize="shorter", limit=128)
