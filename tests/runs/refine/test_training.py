import dataclasses
import os
import signal

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests.drawn import Squares
from tests.runs.refine.builders import predictions, refine_settings
from wsis._support.checks import WeightsError
from wsis.contracts import Supervision
from wsis.features.backbones import efficientnet_lite0
from wsis.geometry.masks import to_dense
from wsis.runs.refine import detect, fit_detector, mask_rcnn
from wsis.runs.refine.training import UNLABELLED, _example
from wsis.training.checkpoints import CheckpointError, DivergedError

LEDGER = frozenset({Supervision.TAGS})


@pytest.fixture(scope="module")
def images():
    return Squares(train=4).train().images


@pytest.fixture(scope="module")
def labels(images):
    return [
        predictions((1 + i.id % 2, 0.9, (8, 8, 34, 34)), image_id=i.id) for i in images
    ]


def trained(images, labels, *overrides, seed=0, **options):
    settings = refine_settings(*overrides)
    model = mask_rcnn(settings, 2, seed)
    progress = fit_detector(model, images, labels, settings, seed=seed, **options)
    return model, progress


def same(one, two):
    return all(
        torch.equal(a, b)
        for a, b in zip(
            one.state_dict().values(), two.state_dict().values(), strict=True
        )
    )


def test_one_seed_gives_one_result_whatever_the_global_state(images, labels):
    torch.manual_seed(1)
    one, first = trained(images, labels)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    two, second = trained(images, labels)
    other, _ = trained(images, labels, seed=1)

    assert torch.equal(torch.get_rng_state(), state)
    assert first.losses == second.losses
    assert same(one, two)
    assert not same(one, other)
    assert first.step == 8
    assert set(first.losses[0]) == {
        "loss_classifier",
        "loss_box_reg",
        "loss_mask",
        "loss_objectness",
        "loss_rpn_box_reg",
        "total",
    }


def interrupting(step):
    def tick(progress):
        if progress.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return tick


def kept(path):
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return tensors, file.metadata()


def test_every_step_resumes_to_the_same_end(images, labels, tmp_path):
    # Three photos in twos: a batch joins the epochs.
    some, told, path = images[:3], labels[:3], tmp_path / "whole"
    whole, progress = trained(some, told, checkpoint=path)
    assert (progress.step, progress.taken) == (6, 3)

    for k in (2, 4):
        parts = tmp_path / f"{k}"
        with pytest.raises(KeyboardInterrupt):
            trained(some, told, checkpoint=parts, tick=interrupting(k))
        resumed, end = trained(some, told, checkpoint=parts)

        assert end == progress
        assert same(whole, resumed)
        (mine, about), (theirs, again) = kept(path), kept(parts)
        assert about == again
        assert all(mine[key].equal(theirs[key]) for key in mine)


def test_iterations_are_steps_of_the_optimiser(images, labels):
    _, progress = trained(images[:3], labels[:3], "schedule.iterations=3")

    assert (progress.step, progress.taken) == (6, 3)


def test_another_photo_or_label_is_refused(images, labels, tmp_path):
    path = tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        trained(images, labels, checkpoint=path, tick=interrupting(2))
    other = dataclasses.replace(images[0], load=lambda: np.zeros((48, 64, 3), np.uint8))
    moved = predictions((1, 0.9, (8, 8, 30, 34)), image_id=images[0].id)

    with pytest.raises(CheckpointError, match=r"is of another \(photos: "):
        trained([other, *images[1:]], labels, checkpoint=path)
    with pytest.raises(CheckpointError, match=r"is of another \(labels: "):
        trained(images, [moved, *labels[1:]], checkpoint=path)


def test_weights_at_another_path_are_the_same_weights(images, labels, tmp_path):
    checkpoint = tmp_path / "checkpoint"
    net, paths = efficientnet_lite0("random").net, (tmp_path / "a.pth", tmp_path / "b")
    for path in paths:
        save_file(net.state_dict(), path)
    with pytest.raises(KeyboardInterrupt):
        trained(
            *(images, labels, f"weights={paths[0]}"),
            checkpoint=checkpoint,
            tick=interrupting(2),
        )
    paths[0].unlink()

    _, end = trained(images, labels, f"weights={paths[1]}", checkpoint=checkpoint)
    assert end.step == 8

    net.bn1.weight.data += 1
    save_file(net.state_dict(), paths[1])
    with pytest.raises(CheckpointError, match=r"is of another \(model: "):
        trained(images, labels, f"weights={paths[1]}", checkpoint=checkpoint)


def test_a_detector_that_diverges_says_so(images, labels):
    wild = ("schedule.lr=1e30", "schedule.clip=0", "schedule.epochs=8")

    with pytest.raises(DivergedError, match=r"lower schedule\.lr"):
        trained(images, labels, *wild)
    model = mask_rcnn(refine_settings(), 2, 0)
    for parameter in model.roi_heads.box_predictor.parameters():
        parameter.data.fill_(torch.nan)
    with pytest.raises(WeightsError, match=rf"for {images[0].name}, .*box_predictor"):
        detect(model, images[0], LEDGER)


def test_training_goes_on_from_the_last_epoch_to_the_same_end(images, labels, tmp_path):
    whole, progress = trained(images, labels)

    class Stop(Exception):
        pass

    def interrupt(progress):
        if progress.step == 6:  # in the middle of the second epoch
            raise Stop

    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Stop):
        trained(images, labels, checkpoint=path, tick=interrupt)
    resumed, continued = trained(images, labels, checkpoint=path)

    assert same(resumed, whole)
    assert continued == progress
    with pytest.raises(CheckpointError, match="of this run"):
        trained(images, labels, "schedule.lr=0.1", checkpoint=path)


def test_losses_fall(images, labels):
    _, progress = trained(
        images, labels, "schedule.epochs=8", "schedule.lr=1e-3", "flips=false"
    )

    assert progress.losses[-1]["total"] < 0.8 * progress.losses[0]["total"]


def test_the_whole_schedule_counts(images, labels):
    begun = mask_rcnn(refine_settings(), 2, 0)
    free, _ = trained(images, labels, "schedule.clip=0", "schedule.weight_decay=0")
    short, progress = trained(images, labels, "schedule.iterations=3", "batch=2")
    halted, _ = trained(
        images, labels, "schedule.iterations=3", "batch=2", "schedule.milestones=1,2"
    )

    # No limit to gradients is not a limit of 0.
    assert any(
        not a.equal(b)
        for a, b in zip(free.parameters(), begun.parameters(), strict=True)
    )
    assert progress.step == 6
    assert len(progress.losses) == 2
    assert not same(short, halted)


def test_photos_without_labels_are_left_out(images, labels):
    some = [labels[0], predictions(image_id=1), labels[2], predictions(image_id=3)]
    _, progress = trained(images, some)

    assert progress.skipped == {UNLABELLED: 2}
    assert progress.step == 4
    with pytest.raises(ValueError, match="none of 4 photos has any"):
        trained(images, [predictions(image_id=i.id) for i in images])


def test_mirrored_labels_lie_on_the_mirrored_photo(images):
    label = predictions((1, 0.9, (4, 6, 20, 30)))
    plain, target = _example(images[0], label, flip=False)
    mirrored, flipped = _example(images[0], label, flip=True)

    assert torch.equal(mirrored, plain.flip(-1))
    assert target["boxes"].tolist() == [[4, 6, 20, 30]]
    assert flipped["boxes"].tolist() == [[44, 6, 60, 30]]
    assert torch.equal(flipped["masks"], target["masks"].flip(-1))
    assert flipped["masks"][0, 6:30, 44:60].all()
    assert flipped["masks"].sum() == 16 * 24


def test_labels_of_another_size_are_refused(images):
    label = predictions((1, 0.9, (0, 0, 9, 9)), size=(20, 20))

    with pytest.raises(ValueError, match=r"train 0: expected \(20, 20\) pixels"):
        trained(images[:1], [label])


def test_detections_are_masks_of_the_photos_size(images):
    class Fixed(torch.nn.Module):
        """What torchvision's detectors return; the last mask is empty."""

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, batch):
            masks = torch.zeros(3, 1, *batch[0].shape[1:])
            masks[0, 0, 3:9, 5:25] = 0.9
            masks[0, 0, 3:9, 25:30] = 0.4
            masks[1, 0, 0, 0] = 0.5
            return [
                {
                    "masks": masks,
                    "labels": torch.tensor([2, 1, 1]),
                    "scores": torch.tensor([0.9, 0.5, 0.4]),
                    "boxes": torch.zeros(3, 4),
                }
            ]

    found = detect(Fixed(), images[3], LEDGER)

    assert found.image_id == 3
    assert found.size == (48, 64)
    assert found.label.tolist() == [2, 1]
    assert found.score.tolist() == pytest.approx([0.9, 0.5])
    assert found.boxes.tolist() == [[5, 3, 25, 9], [0, 0, 1, 1]]
    assert to_dense(found.masks)[0].sum() == 6 * 20
    assert found.index.tolist() == [-1, -1]
    assert found.ledger == LEDGER


def test_nothing_found_is_no_error(images):
    class Blind(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, batch):
            return [
                {
                    "masks": torch.zeros(0, 1, *batch[0].shape[1:]),
                    "labels": torch.zeros(0, dtype=torch.long),
                    "scores": torch.zeros(0),
                    "boxes": torch.zeros(0, 4),
                }
            ]

    found = detect(Blind(), images[0], LEDGER)

    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    assert found.masks == []
