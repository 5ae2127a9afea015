import json
from dataclasses import replace
from functools import partial

import pytest
import torch

from tests.drawn import Masked, Squares, settings
from tests.experiments.test_ceiling import Counting
from wsis.contracts import Supervision
from wsis.experiments import _free, compare, variants_of, vary
from wsis.experiments.folders import read_predictions, read_runs
from wsis.report import render, table, to_csv, to_markdown, to_text
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part
from wsis.training import ProposalFree

QUICK = ProposalFree(width=8, rounds=2, epochs=1)


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    """Networks of a bench learn for a moment."""
    quick = partial(_free.Free, method=QUICK)
    monkeypatch.setattr(_free, "Free", quick)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def bench(cache, variants=None, data=None, **more):
    pipeline = Pipeline(settings("schedule.epochs=1"), cache)
    given = {"seeds": [0], **more}
    return compare(variants or "cim", data or Masked(), pipeline, **given)


def test_it_is_a_row_from_tags_kept_apart_and_resumed(cache, tmp_path):
    monitor = Counting()
    found = bench(
        cache, seeds=[0], proposal_free=True, folder=tmp_path, monitor=monitor
    )
    results = json.loads(json.dumps(found.results(), allow_nan=False))
    row = results["proposal_free"]
    [run] = row["runs"]

    assert monitor.trained == ["cim, seed 0", "proposal-free, seed 0"]
    assert row["of"] == {"cim": "proposal-free"}
    assert row["supervision"] == {"tags": ["training"]}  # the backbone is random
    assert row["level"] == run["level"] == "image-level"
    assert (run["miner"], run["seed"]) == ("proposal-free", 0)
    assert run["train_seconds"] > 0
    assert run["predict_seconds"] > 0
    assert len(run["losses"]) == QUICK.rounds * QUICK.epochs
    assert [*results["verdict"]["strategies"]] == ["cim"]
    assert set(results["anatomy"]) == {"cim", "proposal-free"}
    # Its predictions are plain ones, of no proposals.
    [path] = (tmp_path / "proposal-free" / "runs").glob("*.predictions.json.gz")
    for one in read_predictions(path):
        assert one.ledger == {"tags"}
        assert one.index.tolist() == [-1] * len(one)
        assert one.size == (48, 64)
    assert {run.miner for run in read_runs(tmp_path)} == {"cim"}

    monitor = Counting()
    again = bench(
        cache, seeds=[0, 1], proposal_free=True, folder=tmp_path, monitor=monitor
    )

    assert monitor.trained[-1] == "proposal-free, seed 1"
    assert "proposal-free, seed 0" not in monitor.trained
    assert again.proposal_free.runs[0] == found.proposal_free.runs[0]
    _shown(again.results())


def _shown(results):
    """It stands in every table and on the page."""
    rows = {row.name: row for row in table(results)}
    assert [*rows] == ["cim", "proposal-free", "oracle", "random"]
    assert rows["proposal-free"].seeds == 2
    assert rows["proposal-free"].bound
    assert "proposal-free" in to_text(results)
    said = "The proposal-free row consumed tags: image-level."
    assert said in to_markdown(results)
    [line] = [x for x in to_csv(results).splitlines() if "proposal-free,mAP50" in x]
    assert ",tags,image-level" in line
    assert '<th scope="row">proposal-free</th>' in render(results, [])


def test_masks_of_training_photos_are_never_read(cache):
    class Guarded(Masked):
        def train_truths(self):
            raise AssertionError("training masks were asked for")

    found = bench(cache, variants_of("cim"), Guarded(), proposal_free=True)

    assert found.ceiling is None
    assert len(found.proposal_free.runs) == 1


def test_other_objects_to_find_give_the_same_network(cache):
    free = _free.Free(Pipeline(settings(), cache))
    one, _ = free.train(Masked().train(), seed=3)
    other, progress = free.train(Squares().train(), seed=3)

    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    assert progress.skipped == {}


def test_it_states_the_labels_of_the_backbone_but_not_those_of_cues(cache, monkeypatch):
    pipeline = Pipeline(settings(), cache).consuming(Supervision.COUNTS)
    monkeypatch.setattr(
        pipeline.frozen.live.backbone, "ledger", frozenset({Supervision.IMAGENET})
    )

    assert _free.Free(pipeline).ledgers == {
        "backbone": {"imagenet classes"},
        "training": {"tags"},
    }


def test_photos_without_tags_are_skipped_and_told(cache):
    free = _free.Free(Pipeline(settings(), cache))
    tagged = Squares().train()
    first, *rest = tagged.images
    none = replace(first, tags=torch.zeros(2, dtype=torch.bool))

    _, progress = free.train(replace(tagged, images=[none, *rest]), seed=0)

    assert progress.skipped == {"no tags": 1}
    with pytest.raises(ValueError, match="none of 1 has any"):
        free.train(replace(tagged, images=[none]), seed=0)


@pytest.mark.slow
def test_variants_of_other_features_and_folds_have_rows_of_their_own(cache):
    found = bench(
        cache,
        vary("test_sides=64,96", Part(name="cim")),
        Masked(train=3, val=3),
        proposal_free=True,
        folds=2,
    )

    assert [run.miner for run in found.proposal_free.runs] == [
        *("proposal-free of test_sides=64", "proposal-free of test_sides=96")
    ]
    assert all(run.fold is None for run in found.proposal_free.runs)


def test_a_miner_of_its_name_is_refused(cache):
    with pytest.raises(ValueError, match=r"got proposal-free; .*--no-proposal-free"):
        bench(cache, variants_of({"proposal-free": "cim"}), proposal_free=True)
