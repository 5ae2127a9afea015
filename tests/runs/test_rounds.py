"""Rounds of training, of which each is taught by the one before it."""

import pytest
import torch

import wsis
from tests.drawn import FAST, Squares, settings
from tests.traps import Guarded, Told
from wsis.experiments import compare, variants_of
from wsis.runs import RunError
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part

TWO = ("rounds=2", "class_map=true")


def trained(folder, tmp_path, *overrides, **options):
    return wsis.train(
        Squares(),
        "cim",
        recipe="paper-small",
        settings=[*FAST, *TWO, *overrides],
        device="cpu",
        cache=tmp_path / "cache",
        folder=folder,
        **options,
    )


def same(one, other):
    one, other = one.model.state_dict(), other.model.state_dict()
    return one.keys() == other.keys() and all(
        torch.equal(value, other[name]) for name, value in one.items()
    )


def test_a_round_is_taught_what_the_one_before_it_found(tmp_path):
    data, taught = Squares(), {}
    pipeline = Pipeline(settings(*TWO), tmp_path)
    bags = pipeline.bags(data.train().images)
    first, _ = Pipeline(settings(*TWO[1:]), tmp_path).train(data.train(), "cim", 0)

    def watch(step):
        chosen = step.pseudo
        taught.setdefault(step.image_id, set()).add(
            (*chosen.index.tolist(), *chosen.label.tolist(), *chosen.weight.tolist())
        )

    pipeline.train(data.train(), "cim", 0, observer=watch)

    assert len(taught) == len(bags)
    for bag in bags:
        found = pipeline.predict(first, bag, bag.tags)
        near = found.score >= found.score.max() / 2
        wanted = [*found.index[near].tolist(), *found.label[near].tolist()]
        assert taught[bag.image.id] == {(*wanted, *[1.0] * int(near.sum()))}


def test_one_round_is_training_as_it_was(tmp_path):
    data, others = Squares(), settings(*TWO[1:])
    plain, _ = Pipeline(others, tmp_path).train(data.train(), "cim", 0)
    one, _ = Pipeline(replaced(others, 1), tmp_path).train(data.train(), "cim", 0)
    two, _ = Pipeline(replaced(others, 2), tmp_path).train(data.train(), "cim", 0)

    weights = [list(model.state_dict().values()) for model in (plain, one, two)]
    assert all(map(torch.equal, weights[0], weights[1]))
    assert not all(map(torch.equal, weights[0], weights[2]))


def replaced(found, rounds):
    return found.model_copy(update={"rounds": rounds})


@pytest.mark.parametrize("stop", [5, 12, 17])
def test_rounds_resume_with_the_result_of_training_that_never_stopped(tmp_path, stop):
    whole = trained(tmp_path / "whole", tmp_path)
    trained(tmp_path / "stopped", tmp_path, steps=stop)
    resumed = trained(tmp_path / "stopped", tmp_path, resume=True)

    assert same(resumed, whole)
    assert resumed.card.losses == whole.card.losses
    assert same(wsis.load(tmp_path / "stopped", cache=tmp_path / "cache"), whole)


def test_steps_count_the_images_of_all_rounds(tmp_path):
    pipeline = Pipeline(settings("rounds=3"), tmp_path)  # 12 images a round

    assert pipeline.rounds(6, None) == (3, None)
    assert pipeline.rounds(6, 36) == (3, 12)
    assert pipeline.rounds(6, 25) == (3, 1)
    assert pipeline.rounds(6, 24) == (2, 12)
    assert pipeline.rounds(6, 1) == (1, 1)


def test_a_run_of_other_rounds_is_not_resumed(tmp_path):
    trained(tmp_path / "run", tmp_path, steps=3)

    with pytest.raises(RunError, match=r"settings\.rounds: 2 there, 3 asked for"):
        trained(tmp_path / "run", tmp_path, "rounds=3", resume=True)


def test_rounds_read_no_masks_and_each_is_told(tmp_path):
    done = ["checks before any work"]
    told = Told(done)

    compare(
        variants_of([Part(name="cim")]),
        Guarded(done),
        Pipeline(settings(*TWO), tmp_path),
        seeds=[0],
        monitor=told,
    )

    assert told.steps["round 1 of 2"] == 12
    assert told.steps["cim, seed 0: train"] == 12
