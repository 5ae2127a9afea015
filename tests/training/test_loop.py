import dataclasses

import numpy as np
import pytest
import torch

from tests.drawn import CLASSES, Squares, settings
from wsis.contracts import Tagged, TaggedImage
from wsis.geometry.overlap import overlaps
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part, SettingsError
from wsis.training._precision import computing
from wsis.training.checkpoints import CheckpointError
from wsis.training.loop import fit
from wsis.training.schedule import Schedule

CIM = Part(name="cim")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return Pipeline(settings(), tmp_path_factory.mktemp("cache"))


def same(first, second):
    return all(
        value.equal(second.state_dict()[key])
        for key, value in first.state_dict().items()
    )


def test_the_same_seed_gives_the_same_model_and_another_another(pipeline):
    tagged = Squares().train()

    first, again, other = (pipeline.train(tagged, CIM, s)[0] for s in (0, 0, 1))

    assert same(first, again)
    assert not same(first, other)


def test_training_lowers_the_losses(tmp_path):
    pipeline = Pipeline(settings("schedule.epochs=12", "schedule.lr=0.003"), tmp_path)

    _, progress = pipeline.train(Squares().train(), CIM, 0)

    totals = [losses["mil"] for losses in progress.losses]
    assert len(totals) == 12
    assert totals[-1] < 0.8 * totals[0]


def test_interrupted_training_resumes_to_the_same_weights(pipeline, tmp_path):
    tagged, checkpoint = Squares().train(), tmp_path / "checkpoint.safetensors"
    whole, _ = pipeline.train(tagged, CIM, 0)

    class Stop(Exception):
        pass

    def interrupt(progress):
        if progress.step == 9:
            raise Stop

    with pytest.raises(Stop):
        pipeline.train(tagged, CIM, 0, checkpoint=checkpoint, tick=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.name]
    resumed, progress = pipeline.train(tagged, CIM, 0, checkpoint=checkpoint)

    assert same(whole, resumed)
    assert progress.step == 12


def test_a_checkpoint_of_another_run_or_damaged_is_refused(pipeline, tmp_path):
    tagged, checkpoint = Squares().train(), tmp_path / "checkpoint.safetensors"
    pipeline.train(tagged, CIM, 0, checkpoint=checkpoint)

    with pytest.raises(
        CheckpointError, match=r"expected .* to be a checkpoint of this"
    ):
        pipeline.train(tagged, CIM, 1, checkpoint=checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="is damaged"):
        pipeline.train(tagged, CIM, 0, checkpoint=checkpoint)


def test_images_without_tags_are_skipped_and_counted(pipeline):
    tagged = Squares().train()
    untagged = dataclasses.replace(
        tagged.images[0], tags=torch.zeros(2, dtype=torch.bool)
    )
    some = dataclasses.replace(tagged, images=[untagged, *tagged.images[1:]])

    model, progress = pipeline.train(some, CIM, 0)

    assert progress.skipped == {"no tags": 2}
    assert all(p.isfinite().all() for p in model.parameters())


def with_background(tagged, count=2):
    """The last images show none of the classes, as somebody says."""
    kept, rest = tagged.images[:-count], tagged.images[-count:]
    none = [
        dataclasses.replace(one, tags=torch.zeros_like(one.tags), background=True)
        for one in rest
    ]
    return dataclasses.replace(tagged, images=[*kept, *none])


def test_photos_of_background_go_with_the_others(pipeline):
    tagged = with_background(Squares().train())
    without = dataclasses.replace(tagged, images=tagged.images[:-2])

    model, progress = pipeline.train(tagged, CIM, 0)
    other, alone = pipeline.train(without, CIM, 0)

    assert tagged.epoch == len(without.images)
    assert (progress.step, progress.skipped) == (alone.step, alone.skipped)
    assert progress.losses[-1]["background"] < progress.losses[0]["background"]
    assert "background" not in alone.losses[0]
    assert not same(model, other)


def test_training_with_background_resumes_at_any_step(pipeline, tmp_path):
    tagged = with_background(Squares().train(), 3)
    whole, _ = pipeline.train(tagged, CIM, 0)
    checkpoint = tmp_path / "checkpoint.safetensors"

    pipeline.train(tagged, CIM, 0, checkpoint=checkpoint, steps=4)
    resumed, _ = pipeline.train(tagged, CIM, 0, checkpoint=checkpoint)

    assert same(whole, resumed)
    fewer = dataclasses.replace(tagged, images=tagged.images[:-1])
    with pytest.raises(CheckpointError, match="background"):
        pipeline.train(fewer, CIM, 0, checkpoint=checkpoint)


def test_a_class_map_learns_from_background(tmp_path):
    pipeline = Pipeline(settings("class_map=true"), tmp_path)
    tagged = with_background(Squares().train())
    without = dataclasses.replace(tagged, images=tagged.images[:-2])
    shown = pipeline.bags(tagged.images)[-1]

    def found(some):
        model, _ = pipeline.train(some, CIM, 0)
        features = pipeline.features(model).map(shown, pipeline.train_views[0])
        return model.class_map.present(features)

    assert found(tagged).sum() < found(without).sum()


def test_background_with_tags_is_refused():
    image = Squares().train().images[0]

    with pytest.raises(ValueError, match="expected no tags of background"):
        dataclasses.replace(image, background=True)


def test_images_that_are_all_without_tags_are_an_error(pipeline):
    tagged = Squares(train=2).train()
    none = [
        dataclasses.replace(image, tags=torch.zeros(2, dtype=torch.bool))
        for image in tagged.images
    ]

    with pytest.raises(ValueError, match="expected images with tags"):
        pipeline.train(dataclasses.replace(tagged, images=none), CIM, 0)


def test_training_can_stop_after_some_steps(pipeline):
    _, progress = pipeline.train(Squares().train(), CIM, 0, steps=3)

    assert progress.step == 3


def test_a_trained_backbone_moves_and_a_frozen_one_has_none(tmp_path):
    live = Pipeline(settings("freeze=false", "schedule.epochs=1"), tmp_path)
    start = live.model(2, 0)

    trained, _ = live.train(Squares(train=2).train(), CIM, 0)

    before, after = (m.backbone.net.conv_stem.weight for m in (start, trained))
    assert not before.equal(after)
    frozen = Pipeline(settings(), tmp_path).model(2, 0)
    assert frozen.backbone is None


def test_an_image_of_one_colour_trains_without_harm(tmp_path):
    grey = TaggedImage(
        id=0,
        name="grey",
        tags=torch.tensor([True, False]),
        load=lambda: np.full((40, 40, 3), 128, np.uint8),
    )
    tagged = Tagged(name="grey", classes=CLASSES, images=[grey])

    model, _ = Pipeline(settings(), tmp_path).train(tagged, CIM, 0)

    assert all(p.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"lr": 0.0}, {"decay_at": 0.0}, {"clip": -1.0}]
)
def test_schedules_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Schedule(**wrong)


def test_the_rate_warms_up_and_drops_at_the_milestones():
    schedule = Schedule(iterations=100, batch=2, warmup=10, milestones=(60, 90))

    factors = [schedule.factor(seen, 1000) for seen in (0, 1, 10, 20, 119, 120, 180)]

    assert factors == pytest.approx([1 / 3, 1 / 3, 2 / 3, 1, 1, 0.1, 0.01])
    assert schedule.images(1000) == 200
    assert Schedule(epochs=3).images(10) == 30
    by_share = [Schedule(epochs=3).factor(seen, 10) for seen in (19, 20)]
    assert by_share == pytest.approx([1, 0.1])


def test_biases_may_learn_twice_as_fast_without_decay():
    model = torch.nn.Linear(2, 1)
    optimizer = Schedule(optimizer="sgd", lr=0.5, free_biases=True).build(model)
    weight, bias = optimizer.param_groups

    Schedule(lr=0.5, warmup=3, free_biases=True).set_rate(optimizer, 0, 10)

    assert (weight["params"], bias["params"]) == ([model.weight], [model.bias])
    assert (weight["weight_decay"], bias["weight_decay"]) == (5e-4, 0)
    assert (weight["lr"], bias["lr"]) == pytest.approx((0.5 / 3, 1 / 3))
    assert weight["momentum"] == 0.9


def test_gradients_of_a_batch_are_averaged(tmp_path):
    once = Pipeline(settings("schedule.batch=2", "schedule.optimizer=sgd"), tmp_path)
    tagged = Squares().train()
    repeated = dataclasses.replace(tagged, images=[tagged.images[0]] * 2)
    single = dataclasses.replace(tagged, images=tagged.images[:1])
    plain = Pipeline(settings("schedule.optimizer=sgd"), tmp_path)
    miner = Part(name="oicr")

    twice, _ = once.train(repeated, miner, 0, steps=2)
    alone, _ = plain.train(single, miner, 0, steps=1)

    for key, value in alone.state_dict().items():
        assert value.allclose(twice.state_dict()[key], atol=1e-6), key


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch": 0}, "batch must be positive, got 0"),
        ({"momentum": 1.0}, "momentum must be in"),
        ({"milestones": (5, 5)}, "milestones must be positive and rise"),
        ({"clip": -1.0}, "clip must be at least 0"),
        ({"lr": float("nan")}, "lr must be positive, got nan"),
        ({"weight_decay": float("inf")}, "weight_decay must be at least 0, got inf"),
    ],
)
def test_wrong_schedules_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Schedule(**wrong)


def test_training_in_bfloat16_rounds_and_repeats(tmp_path):
    tagged = Squares().train()
    set_ = "freeze=false", "schedule.epochs=1", "schedule.precision=bfloat16"
    rounded = Pipeline(settings(*set_), tmp_path)
    exact = Pipeline(settings(*set_[:2]), tmp_path)

    model, progress = rounded.train(tagged, CIM, 0)
    again, _ = rounded.train(tagged, CIM, 0)
    plain, expected = exact.train(tagged, CIM, 0)

    assert same(model, again)
    assert not same(model, plain)
    assert all(p.dtype is torch.float32 for p in model.parameters())
    loss, wanted = (p.losses[0]["total"] for p in (progress, expected))
    assert loss == pytest.approx(wanted, rel=0.02)


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_precision_holds_during_training_alone(pipeline, precision):
    given = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [one.allow_tf32 for one in given]
    seen = []
    bags = pipeline.bags(Squares().train().images)

    with computing(precision, torch.device("cpu")):
        seen += [one.allow_tf32 for one in given]
        product = torch.ones(2, 2) @ torch.ones(2, 2)
        shared = overlaps(bags[0].proposals)

    assert seen == (before if precision == "float32" else [True, True])
    assert (product.dtype is torch.bfloat16) == (precision == "bfloat16")
    assert shared.iou.equal(overlaps(bags[0].proposals).iou)
    assert [one.allow_tf32 for one in given] == before


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_features_are_in_float32_whatever_the_precision(tmp_path, frozen):
    """They are kept, and read again by trainings of other precisions."""
    pipeline = Pipeline(settings(f"freeze={frozen}"), tmp_path)
    tagged, seen = Squares().train(), set()
    bags, model = pipeline.bags(tagged.images), pipeline.model(len(CLASSES), 0)

    def features(bag, scale):
        seen.add(torch.is_autocast_enabled("cpu"))
        return pipeline.features(model)(bag, scale)

    fit(
        *(model, bags, features, pipeline.cues(bags, 0), pipeline.strategy(CIM)),
        Schedule(epochs=1, precision="bfloat16"),
        seed=0,
        scales=pipeline.train_views,
    )

    assert seen == ({False} if frozen else {False, True})  # calibration comes first


def test_an_unknown_precision_is_refused():
    with pytest.raises(SettingsError, match=r"schedule\.precision.*bfloat16"):
        settings("schedule.precision=fp16")
