"""Numbers that are not: counted, named, and refused before they cost work."""

import dataclasses

import pytest
import torch

from tests.drawn import Squares, settings
from wsis import InputWarning
from wsis._support.checks import WeightsError
from wsis.contracts import PseudoInstances
from wsis.cues import Cues
from wsis.mining import CIMMiner
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part
from wsis.training import loop
from wsis.training.checkpoints import PATIENCE, DivergedError, Progress
from wsis.training.supervision import PartError

CIM = Part(name="cim")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def pipeline(cache):
    return Pipeline(settings(), cache)


def spoil_gradients(monkeypatch, steps):
    """Make the gradients of these steps of the optimiser infinite."""
    real, calls = loop.descend, []

    def descend(model, optimizer, clip, names, progress):
        calls.append(names)
        if len(calls) in steps:
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.grad.fill_(torch.inf)
        real(model, optimizer, clip, names, progress)

    monkeypatch.setattr(loop, "descend", descend)
    return calls


def test_dropped_steps_are_counted_and_named(pipeline, monkeypatch):
    spoil_gradients(monkeypatch, {2, 5})

    with pytest.warns(
        InputWarning, match=r"2 images or steps were left out .*step 2, "
    ):
        model, progress = pipeline.train(Squares().train(), CIM, 0)

    assert progress.skipped == {"gradient not finite": 2}
    assert (progress.step, progress.taken) == (12, 10)
    first, second = progress.dropped
    assert first.startswith("step 2, train ")
    assert second.startswith("step 5, train ")
    assert "(loss " in first
    assert all(one.isfinite().all() for one in model.parameters())


def test_training_that_diverges_stops_and_keeps_its_checkpoint(
    pipeline, monkeypatch, tmp_path
):
    path = tmp_path / "checkpoint"
    calls = spoil_gradients(monkeypatch, set(range(8, 99)))

    with pytest.raises(
        DivergedError, match=rf"{PATIENCE} times in a row .*step 12, train \d \(loss "
    ):
        pipeline.train(Squares().train(), CIM, 0, checkpoint=path)

    assert len(calls) == 12
    _, progress = pipeline.train(Squares().train(), CIM, 0, checkpoint=path, steps=6)
    assert (progress.step, progress.taken) == (6, 6)


def test_training_in_which_no_step_is_finite_learns_nothing_and_says_so(
    pipeline, monkeypatch
):
    spoil_gradients(monkeypatch, {1, 2, 3})

    with pytest.raises(DivergedError, match=r"3 times in a row .*: step 3, train"):
        pipeline.train(Squares().train(), CIM, 0, steps=3)


def test_weights_that_are_not_finite_are_never_kept(pipeline, monkeypatch, tmp_path):
    path, real = tmp_path / "checkpoint", loop.descend

    def descend(model, optimizer, clip, names, progress):
        real(model, optimizer, clip, names, progress)
        if progress.step == 12:
            next(model.parameters()).data[0] = torch.nan

    monkeypatch.setattr(loop, "descend", descend)

    with pytest.raises(DivergedError, match=r"after step 12.*model\.head\.layers"):
        pipeline.train(Squares().train(), CIM, 0, checkpoint=path)
    with pytest.raises(DivergedError, match=r"after step 12"):
        pipeline.train(Squares().train(), CIM, 0)
    monkeypatch.undo()
    _, progress = pipeline.train(Squares().train(), CIM, 0, checkpoint=path)
    assert progress.step == 12


def test_a_huge_learning_rate_ends_in_numbers_or_an_error(cache):
    wild = Pipeline(settings("schedule.lr=1e30", "schedule.clip=0"), cache)

    with pytest.raises(DivergedError, match=r"lower schedule\.lr"):
        wild.train(Squares().train(), CIM, 0)


@dataclasses.dataclass(frozen=True)
class Odd:
    """A miner that gives what no miner may."""

    index: int = 0
    label: int = 1
    weight: float = 1.0

    def __call__(self, scores, overlaps, tags):
        given = self.index, self.label, self.weight
        return PseudoInstances(*(torch.tensor([one]) for one in given))


@pytest.mark.parametrize(
    ("miner", "message"),
    [
        (Odd(weight=float("nan")), "train . finite numbers from the part Odd"),
        (Odd(index=9999), r"proposals 0….* from the miner Odd, got 9999"),
        (Odd(label=3), r"labels of the photo's tags, .*, got \[3\]"),
    ],
)
def test_a_miner_that_gives_what_it_may_not_is_named(pipeline, miner, message):
    model, strategy = (
        pipeline.model(2, 0),
        dataclasses.replace(pipeline.strategy(CIM), miner=miner),
    )

    with pytest.raises(PartError, match=message.replace("train . ", "")):
        pipeline.rehearse(model, strategy)
    bags = pipeline.bags(Squares().train().images)
    with pytest.raises(PartError, match=r"train \d: "):
        loop.fit(
            model,
            bags,
            pipeline.frozen,
            lambda bag: None,
            strategy,
            pipeline.settings.schedule,
            seed=0,
            scales=pipeline.train_views,
        )


def test_a_part_that_fails_is_found_on_a_small_example(pipeline):
    @dataclasses.dataclass(frozen=True)
    class Broken:
        def __call__(self, scores, overlaps, tags):
            raise RuntimeError("no such thing")

    strategy = dataclasses.replace(pipeline.strategy(CIM), miner=Broken())

    with pytest.raises(PartError, match=r"Broken.*4 proposals: RuntimeError: no such"):
        pipeline.rehearse(pipeline.model(2, 0), strategy)
    pipeline.rehearse(
        pipeline.model(2, 0), dataclasses.replace(strategy, miner=CIMMiner())
    )


@pytest.mark.parametrize(
    "labels", [torch.full((9, 3), torch.nan), torch.zeros(1, 3, dtype=torch.long)]
)
def test_cues_that_are_no_numbers_of_clusters_are_named(pipeline, labels):
    tagged = Squares(train=1).train()
    cues = Cues(lambda *given: labels, pipeline.frozen, pipeline.train_views[0])

    with pytest.raises(
        ValueError, match=r"train 0: expected whole numbers of shape \("
    ):
        pipeline.train(tagged, CIM, 0, cues=cues)


def test_prediction_names_the_photo_whose_numbers_are_none(pipeline):
    model = pipeline.model(2, 0)
    [bag] = pipeline.bags(Squares(train=1).train().images)
    assert len(pipeline.predict(model, bag))

    with torch.no_grad():
        model.refinement[0].classification.weight[0] = torch.nan
    with pytest.raises(WeightsError, match=r"for train 0, 1 of .*refinement\.0\.class"):
        pipeline.predict(model, bag)


def test_features_that_are_not_finite_name_the_photo(tmp_path):
    pipeline = Pipeline(settings(), tmp_path)
    tagged = Squares(train=2).train()
    backbone = pipeline.frozen.live.backbone
    next(backbone.parameters()).data.fill_(torch.inf)

    with pytest.raises(ValueError, match="train 0: expected finite features"):
        pipeline.train(tagged, CIM, 0)
    with pytest.raises(ValueError, match="train 1: expected finite features"):
        pipeline.prepare(pipeline.bags(tagged.images[1:]))


def test_epochs_without_anything_to_learn_are_an_error():
    progress = Progress(step=2)
    progress.skip("no tags", 2)

    with pytest.raises(ValueError, match=r"expected images .*\{'no tags': 2\}"):
        progress.end(torch.nn.Linear(1, 1))
