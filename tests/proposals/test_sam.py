from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import interpolate
from torchvision.ops import box_iou

from tests.tiny_sam import tiny_sam
from wsis import InputWarning, plugins
from wsis._support.checks import WeightsError
from wsis.contracts import Supervision
from wsis.geometry.masks import areas, boxes, dense
from wsis.proposals import sam
from wsis.proposals.sam import Sam

pytest.importorskip("transformers")

OPEN = {"min_iou": -1e9, "min_stability": 0.0, "max_overlap": 1.0, "device": "cpu"}
"""Settings that let everything pass."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return str(tiny_sam(tmp_path_factory.mktemp("sam")))


@pytest.fixture
def photo():
    image = np.random.default_rng(0).integers(0, 255, (48, 70, 3), np.uint8)
    image[10:30, 20:50] = (200, 30, 30)
    return image


def test_gives_masks_of_the_photo_best_first(weights, photo):
    source = Sam(weights=weights, points=4, **OPEN)

    proposals, again = source(photo), source(photo)

    assert proposals.size == (48, 70)
    assert 3 <= len(proposals) <= 4 * 4 * 3
    assert areas(proposals).min() >= 1
    assert proposals.objectness.diff().max() <= 0
    assert proposals.source == "sam"
    assert proposals.ledger == {Supervision.MASKS}
    assert proposals.members.equal(again.members)


def test_one_point_gives_the_models_own_three_masks(weights, photo):
    """Against the model asked in one go, the photo in the upper part of its frame."""
    proposals = Sam(weights=weights, points=1, **OPEN)(photo)

    model = sam._model(weights, torch.device("cpu"), ())
    frame = torch.zeros(1, 3, 64, 64)
    frame[0] = sam._framed(photo, 64)
    assert frame[0, :, 44:].eq(0).all()
    with torch.no_grad():
        found = model(pixel_values=frame, input_points=torch.tensor([[[[32.0, 22.0]]]]))
    logits = interpolate(found.pred_masks[0], (64, 64), mode="bilinear")[..., :44, :]
    inside = interpolate(logits, (48, 70), mode="bilinear")[0] > 0
    score, order = found.iou_scores[0, 0].sort(descending=True)
    some = inside[order].flatten(1).any(1)
    assert proposals.objectness.tolist() == pytest.approx(score[some].tolist())
    agree = dense(proposals, torch.arange(len(proposals))) == inside[order][some]
    assert agree.float().mean() > 0.999


def test_batches_do_not_matter(weights, photo):
    whole = Sam(weights=weights, points=3, batch=64, **OPEN)(photo)
    parts = Sam(weights=weights, points=3, batch=2, **OPEN)(photo)

    assert torch.allclose(parts.objectness, whole.objectness, atol=1e-5)


def test_filters_leave_out(weights, photo):
    apart = Sam(weights=weights, points=4, **{**OPEN, "max_overlap": 0.1})(photo)
    overlap = box_iou(boxes(apart), boxes(apart)).fill_diagonal_(0)
    # The filter's boxes end at the last pixel, ours behind it.
    assert overlap.max() < 0.2

    none = Sam(weights=weights, points=2, **{**OPEN, "min_iou": 1e9})(photo)
    assert len(none) == 0
    assert none.size == (48, 70)
    assert none.ledger == {Supervision.MASKS}


def test_stability_by_hand():
    logits = torch.tensor([[[2.0, 0.5, -0.5, -2.0]], [[3.0, 3.0, -3.0, -3.0]]])

    # Above 1 is one pixel of the three above -1; nothing is between the others.
    assert sam._stability(logits).tolist() == pytest.approx([1 / 3, 1])


def test_missing_weights_say_how_to_get_them(tmp_path, weights):
    with pytest.raises(plugins.SettingError, match="hf download facebook/sam-vit-base"):
        plugins.create("sources", "sam")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"model\.safetensors, got .*; get them"):
        Sam(weights=str(tmp_path))
    with pytest.raises(ValueError, match="points must be at least 1, got 0"):
        Sam(weights=weights, points=0)
    with pytest.raises(ValueError, match=r"max_overlap must be in \[0, 1\], got 2"):
        Sam(weights=weights, max_overlap=2.0)


def test_without_transformers_it_says_what_to_install(monkeypatch, weights):
    monkeypatch.setattr(sam, "find_spec", lambda name: None)

    with pytest.raises(ValueError, match=r"pip install 'wsis\[sam\]'"):
        Sam(weights=weights)


def test_weights_that_lack_or_spoil_a_tensor_are_refused(weights, photo, tmp_path):
    config = Path(weights) / "config.json"
    (tmp_path / "config.json").write_bytes(config.read_bytes())
    state = load_file(Path(weights) / "model.safetensors")
    name = "mask_decoder.iou_token.weight"
    dead = "vision_encoder.layers.0.mlp.lin1.weight"

    for change, message in (
        (
            {k: v for k, v in state.items() if k != name},
            f"1 tensors are missing, {name}",
        ),
        ({**state, name: state[name] * torch.nan}, f"hold NaN or infinity: {name}"),
        ({**state, dead: state[dead] * 0}, f"hold zeros alone: {dead}; was a download"),
    ):
        save_file(change, tmp_path / "model.safetensors", {"format": "pt"})
        sam._model.cache_clear()
        with pytest.raises(WeightsError, match=message):
            Sam(weights=str(tmp_path), points=1, **OPEN)(photo)
    sam._model.cache_clear()
    save_file({**state, "more": torch.ones(1)}, tmp_path / "model.safetensors")
    with pytest.warns(InputWarning, match="1 tensors without use: more"):
        assert len(Sam(weights=str(tmp_path), points=1, **OPEN)(photo))
    sam._model.cache_clear()
