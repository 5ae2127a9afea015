import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.drawn import Masked, Squares, settings
from wsis.contracts import PseudoInstances
from wsis.cues.kept import Cues
from wsis.evaluation import dissect
from wsis.experiments import compare, variants_of, vary
from wsis.experiments.folders import shown_path
from wsis.features.scale import Scale
from wsis.geometry.overlap import overlaps
from wsis.report.shown import MINED, Mined, Shown, mine, spread
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part

CIM = Part(name="cim")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_the_heaviest_are_kept_with_their_seeds():
    index = torch.arange(7)
    weight = torch.tensor([0.1, 0.9, 0.2, 0.2, 0.3, 0.0, 0.5])
    found = PseudoInstances(index, torch.ones_like(index), weight, index + 10)

    one = Mined.of(2, found)

    assert (one.branch, one.count) == (2, 7)
    assert one.index == [1, 6, 4, 2, 3]
    assert one.seed == [11, 16, 14, 12, 13]
    own = Mined.of(0, PseudoInstances(index, torch.ones_like(index), weight))
    assert own.seed == own.index


def test_what_is_shown_is_the_same_when_read_again(tmp_path):
    given = {"label": [1], "weight": [0.25]}
    mined = Mined(branch=0, count=3, index=[4], seed=[2], **given)
    shown = Shown(
        predictions={3: ["part", "found"]}, objects={3: ["found"]}, mined={3: [mined]}
    )

    shown.save(tmp_path / "shown.json.gz")

    assert Shown.load(tmp_path / "shown.json.gz") == shown
    (tmp_path / "shown.json.gz").write_bytes(b"half")
    with pytest.raises(ValueError, match="damaged"):
        Shown.load(tmp_path / "shown.json.gz")


@given(st.integers(1, 300))
def test_images_looked_into_are_among_those_shown(images):
    some, more = spread(MINED, images), spread(3 * MINED, images)

    assert set(some) <= set(more) <= set(range(images))
    assert len(set(some)) == min(MINED, images)


def test_every_branch_is_taught_by_the_one_before(cache):
    pipeline = Pipeline(settings(), cache)
    model = pipeline.model(2, 0)
    [bag] = pipeline.bags(Squares().val().tagged.images[:1])
    cues = pipeline.cues(pipeline.bags(Squares().train().images), 0)
    strategy = pipeline.strategy(CIM)

    found = mine(pipeline, model, strategy, bag, cues)

    assert [one.branch for one in found] == [0, 1, 2]
    with torch.no_grad():
        scores = model(pipeline.features(model)(bag, pipeline.test_views[0]))
    for one, said in zip(found, (scores.anti_noise, *scores.branches[:2]), strict=True):
        given = (overlaps(bag.proposals), bag.tags, None)
        [alone] = strategy.mined(one.branch, [said], *given)
        assert one == Mined.of(one.branch, alone)


@pytest.mark.parametrize("cues", ["cam", "points"])
def test_cues_in_place_of_the_first_branch_are_shown_where_there_are_any(cache, cues):
    pipeline = Pipeline(settings("anti_noise=false", f"cues={cues}"), cache)
    [bag] = pipeline.bags(Squares().val().tagged.images[:1])
    if cues == "points":
        none = torch.zeros(0, 2, dtype=torch.bool)
        labeller = pipeline.settings.build("cues").fit([], none, torch.Generator())
        given = Cues(labeller, pipeline.frozen, Scale(64))
    else:
        given = pipeline.cues(pipeline.bags(Squares().train().images), 0)

    found = mine(pipeline, pipeline.model(2, 0), pipeline.strategy(CIM), bag, given)

    # Nobody has pointed at anything on this image.
    assert len(found) == (0 if cues == "points" else 3)
    assert all(weight == 1 for one in found[:1] for weight in one.weight)


def test_the_first_seed_is_shown_and_again_from_the_folder(cache, tmp_path):
    pipeline = Pipeline(settings("schedule.epochs=1"), cache)

    found, again = (
        compare(variants_of([CIM]), Squares(), pipeline, seeds=[0, 1], folder=tmp_path)
        for _ in range(2)
    )

    assert found.shown == again.shown
    assert set(found.shown["cim"].mined) == {0, 1, 2}
    assert shown_path(tmp_path, "cim", 0).is_file()
    assert not shown_path(tmp_path, "cim", 1).is_file()
    # An older version kept nothing of it: what can be found without the model is.
    shown_path(tmp_path, "cim", 0).unlink()
    older = compare(
        variants_of([CIM]), Squares(), pipeline, seeds=[0, 1], folder=tmp_path
    )
    assert older.shown["cim"].predictions == found.shown["cim"].predictions
    assert not older.shown["cim"].mined
    assert older.results()["anatomy"] == found.results()["anatomy"]


def test_folds_show_the_images_of_all(cache):
    pipeline = Pipeline(settings("schedule.epochs=1"), cache)

    found = compare(
        variants_of([CIM]), Masked(train=5, val=4), pipeline, folds=2, seeds=[0]
    )

    shown = found.shown["cim"]
    assert set(shown.predictions) == set(range(9))
    assert len(shown.mined) == MINED


def test_each_variant_is_judged_by_its_own_proposals(cache):
    variants = vary("proposals.nodes=2,30", CIM)
    pipeline = Pipeline(settings("schedule.epochs=1"), cache)
    found = compare(variants, Squares(), pipeline, seeds=[0])

    val = found.val
    for label, shown in found.shown.items():
        bags = found.pipelines[label].bags(val.tagged.images)
        truths = list(val.truths)
        proposals = (bag.proposals for bag in bags)
        own = dissect(found.pictures[label], truths, proposals, val.tagged.classes)
        assert shown.objects == own.of_objects
        [run] = [run for run in found.runs if run.miner == label]
        assert run.anatomy == own.results()
