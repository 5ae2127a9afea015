"""Training that stops anywhere and resumes ends where it would have ended."""

import dataclasses
import json
import os
import signal

import numpy as np
import pytest
import torch
from safetensors import safe_open

from tests.drawn import Squares, settings
from wsis import InputWarning
from wsis.features.scale import Scale
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part
from wsis.training import checkpoints, fit
from wsis.training.checkpoints import CheckpointError, Order

CIM = Part(name="cim")
PHOTOS = 3


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def tagged():
    return Squares(train=PHOTOS).train()


def content(path):
    """Everything that a checkpoint holds: weights, moments, generators, progress."""
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return tensors, {k: json.loads(v) for k, v in file.metadata().items()}


def check_same(one, other):
    (mine, about), (theirs, again) = content(one), content(other)
    assert about == again
    assert mine.keys() == theirs.keys()
    assert [key for key in mine if not mine[key].equal(theirs[key])] == []


def interrupting(step):
    """Press Ctrl-C after a step."""

    def tick(progress):
        if progress.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return tick


@pytest.mark.parametrize(
    "overrides",
    [
        ("schedule.epochs=2", "head.dropout=0.5"),
        ("schedule.iterations=2", "schedule.batch=4", "schedule.optimizer=sgd"),
        ("schedule.epochs=2", "schedule.batch=4", "train_flips=true"),
    ],
)
def test_every_step_resumes_to_the_same_end(tmp_path, cache, tagged, overrides):
    """Training that stops after each step in turn is training that never stops."""
    pipeline, whole = Pipeline(settings(*overrides), cache), tmp_path / "whole"
    torch.manual_seed(1)
    model, progress = pipeline.train(tagged, CIM, 0, checkpoint=whole)
    last = progress.step

    assert last == (8 if "schedule.iterations=2" in overrides else 6)
    parts = tmp_path / "parts"
    for k in range(1, last):
        torch.manual_seed(k)
        _, stopped = pipeline.train(tagged, CIM, 0, checkpoint=parts, steps=k)
        assert stopped.step == k
    resumed, end = pipeline.train(tagged, CIM, 0, checkpoint=parts)

    check_same(whole, parts)
    assert end == progress
    for key, value in model.state_dict().items():
        assert value.equal(resumed.state_dict()[key]), key


def test_a_flipped_byte_and_a_step_too_far_are_told(tmp_path, cache, tagged):
    pipeline, path = Pipeline(settings(), cache), tmp_path / "checkpoint"
    pipeline.train(tagged, CIM, 0, checkpoint=path, steps=2)

    with pytest.warns(InputWarning, match=r"stop after 1 images, .* is at 2 already"):
        pipeline.train(tagged, CIM, 0, checkpoint=path, steps=1)
    whole = bytearray(path.read_bytes())
    whole[-40] ^= 1
    path.write_bytes(bytes(whole))

    with pytest.raises(CheckpointError, match=r"damaged .* delete it to begin again"):
        pipeline.train(tagged, CIM, 0, checkpoint=path)


def test_ctrl_c_keeps_a_checkpoint_of_the_very_step(tmp_path, cache, tagged):
    pipeline, whole, parts = Pipeline(settings(), cache), tmp_path / "w", tmp_path / "p"
    pipeline.train(tagged, CIM, 0, checkpoint=whole)

    with pytest.raises(KeyboardInterrupt):
        pipeline.train(tagged, CIM, 0, checkpoint=parts, tick=interrupting(2))
    assert content(parts)[1]["progress"]["step"] == 2
    pipeline.train(tagged, CIM, 0, checkpoint=parts)

    check_same(whole, parts)


def test_a_batch_takes_exactly_as_many_steps_as_it_says(cache):
    overrides = ("schedule.iterations=6", "schedule.batch=4")
    pipeline = Pipeline(settings(*overrides), cache)

    _, progress = pipeline.train(Squares().train(), CIM, 0)
    _, short = pipeline.train(Squares().train(), CIM, 0, steps=6)

    assert (progress.step, progress.taken) == (24, 6)
    assert (short.step, short.taken) == (6, 2)
    assert len(progress.losses) == 4


def test_a_short_batch_averages_what_is_there(cache):
    by_four = Pipeline(settings("schedule.batch=4", "schedule.optimizer=sgd"), cache)
    by_one = Pipeline(settings("schedule.optimizer=sgd"), cache)
    data = Squares(train=1).train()
    untagged = dataclasses.replace(data.images[0], tags=torch.zeros(2).bool())
    some = dataclasses.replace(data, images=[*data.images, *[untagged] * 3])

    short, _ = by_four.train(data, CIM, 0, steps=1)
    alone, _ = by_one.train(data, CIM, 0, steps=1)
    skipping, progress = by_four.train(some, CIM, 0, steps=4)

    assert progress.taken == 1
    for key, value in alone.state_dict().items():
        assert value.allclose(short.state_dict()[key], atol=1e-6), key
    for one, other in zip(short.parameters(), skipping.parameters(), strict=True):
        assert one.allclose(other, atol=1e-6)


def test_an_order_resumes_anywhere():
    def order():
        return Order(
            torch.Generator().manual_seed(3),
            lambda g: torch.randperm(3, generator=g).tolist(),
        )

    one = order()
    wanted = [next(one) for _ in range(9)]
    for k in range(9):
        first, second = order(), order()
        seen = [next(first) for _ in range(k)]
        now = first.generator.get_state()
        second.resume(first.begun, len(first.left), now)
        assert seen + [next(second) for _ in range(9 - k)] == wanted


def changed(tagged, **values):
    first, *others = tagged.images
    return dataclasses.replace(
        tagged, images=[dataclasses.replace(first, **values), *others]
    )


@pytest.mark.parametrize(
    ("what", "overrides", "spoil"),
    [
        (
            "photos",
            (),
            lambda t: changed(t, load=lambda: np.zeros((48, 64, 3), np.uint8)),
        ),
        ("tags", (), lambda t: changed(t, tags=torch.tensor([True, True]))),
        ("photos", (), lambda t: dataclasses.replace(t, images=t.images[::-1])),
        ("proposals", ("source.nodes=20",), lambda t: t),
        ("scales", ("train_sides=96",), lambda t: t),
        ("features", ("train_sides=96",), lambda t: t),
        ("schedule.lr", ("schedule.lr=0.1",), lambda t: t),
        ("model", ("head.width=9",), lambda t: t),
        ("cues", ("cues=none",), lambda t: t),
    ],
)
def test_a_checkpoint_of_anything_else_is_refused(
    tmp_path, cache, tagged, what, overrides, spoil
):
    path = tmp_path / "checkpoint"
    Pipeline(settings(), cache).train(tagged, CIM, 0, checkpoint=path, steps=1)
    before = path.read_bytes()

    with pytest.raises(CheckpointError, match=rf"is of another .*\b{what}:"):
        Pipeline(settings(*overrides), cache).train(
            spoil(tagged), CIM, 0, checkpoint=path
        )
    assert path.read_bytes() == before


def test_a_checkpoint_of_other_versions_or_features_is_refused(
    tmp_path, cache, tagged, monkeypatch
):
    path, pipeline = tmp_path / "checkpoint", Pipeline(settings(), cache)
    pipeline.train(tagged, CIM, 0, checkpoint=path, steps=1)
    bags, other = pipeline.bags(tagged.images), pipeline.model(2, 0)

    with pytest.raises(CheckpointError, match="features:"):
        fit(
            other,
            bags,
            lambda bag, scale: pipeline.frozen(bag, scale) + 1,
            pipeline.cues(bags, 0),
            pipeline.strategy(CIM),
            pipeline.settings.schedule,
            seed=0,
            scales=[Scale(64)],
            checkpoint=path,
        )
    monkeypatch.setattr(checkpoints, "versions", lambda: {"wsis": "0.0.1"})
    with pytest.raises(
        CheckpointError, match=r"versions\.wsis: .* '0\.0\.1' asked for"
    ):
        pipeline.train(tagged, CIM, 0, checkpoint=path)
