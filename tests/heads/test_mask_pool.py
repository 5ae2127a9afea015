from dataclasses import replace

import pytest
import torch

from wsis.contracts import View
from wsis.heads.mask_pool import MaskPool


def view_of(feature_map, masks):
    """A view whose image has one pixel a cell of the map, and a region a pixel."""
    height, width = feature_map.shape[1:]
    regions = torch.arange(height * width).view(height, width)
    boxes, crops = [], []
    for mask in masks:
        rows, columns = mask.nonzero(as_tuple=True)
        x0, y0 = int(columns.min()), int(rows.min())
        x1, y1 = int(columns.max()) + 1, int(rows.max()) + 1
        boxes.append([x0, y0, x1, y1])
        inside = mask[y0:y1, x0:x1].float()[None, None]
        crops.append(torch.nn.functional.interpolate(inside, size=(7, 7))[0, 0])
    return View(
        feature_map,
        torch.tensor(boxes, dtype=torch.float32),
        torch.stack(crops),
        regions,
        torch.stack([mask.flatten() for mask in masks]),
    )


def test_means_are_those_of_the_mask_and_of_its_box():
    feature_map = torch.rand(3, 6, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(6, 8, dtype=torch.bool)
    mask[1:4, 2] = mask[3, 2:6] = True

    pooled = MaskPool(channels=3).pool(view_of(feature_map, [mask]))

    assert pooled[0, :3].allclose(feature_map[:, mask].mean(1), atol=1e-5)
    assert pooled[0, 3:6].allclose(feature_map[:, 1:4, 2:6].mean((1, 2)), atol=1e-5)


def test_what_a_part_leaves_out_shows_around_it():
    feature_map = torch.zeros(1, 9, 12)
    feature_map[:, :, 4:8] = 1  # an object that fills columns 4…7
    part = torch.zeros(9, 12, dtype=torch.bool)
    part[:, 4:6] = True
    whole = torch.zeros(9, 12, dtype=torch.bool)
    whole[:, 4:8] = True

    pooled = MaskPool(channels=1).pool(view_of(feature_map, [part, whole]))

    # The part's box, half as wide again, is columns 3.5…6.5; the whole's is 3…9.
    assert pooled[:, 2].tolist() == pytest.approx([0.5, 0], abs=1e-5)


def test_the_whole_image_has_its_own_mean_and_nothing_around():
    feature_map = torch.rand(2, 5, 5, generator=torch.Generator().manual_seed(1))
    everything = torch.ones(5, 5, dtype=torch.bool)

    pooled = MaskPool(channels=2).pool(view_of(feature_map, [everything]))

    mean = feature_map.mean((1, 2))
    assert pooled[0, :4].allclose(mean.repeat(2), atol=1e-5)
    assert pooled[0, 4:6].eq(0).all()
    assert pooled[0, -54:-5].eq(1).all()
    assert pooled[0, -5:].tolist() == pytest.approx([0, 0, 1, 1, 0], abs=1e-5)


def test_calibrated_inputs_have_mean_nothing_and_deviation_one():
    head = MaskPool(channels=2, width=4, reduced=1)
    size = head.mean.numel()
    pooled = 3 + 2 * torch.randn(500, size, generator=torch.Generator().manual_seed(0))
    seen = []
    head.layers.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))

    head.calibrate([pooled[:250].half(), pooled[250:].half()])
    vectors = head(pooled.half())

    assert vectors.shape == (500, 4)
    assert seen[0].mean(0).abs().max() < 0.05
    assert (seen[0].std(0) - 1).abs().max() < 0.05


def test_sizes_that_are_none_are_refused():
    with pytest.raises(ValueError, match="positive, got 2, 0 and 32"):
        MaskPool(channels=2, width=0)


def test_evidence_stands_behind_the_other_numbers():
    laid = view_of(torch.rand(2, 5, 5), [torch.ones(5, 5, dtype=torch.bool)])
    evidence = torch.arange(26.0)[None]

    pooled = MaskPool(channels=2, evidence="lab").pool(replace(laid, evidence=evidence))

    assert pooled[:, :-26].equal(MaskPool(channels=2).pool(laid))
    assert pooled[:, -26:].equal(evidence)


def test_a_view_without_evidence_is_refused():
    laid = view_of(torch.rand(2, 5, 5), [torch.ones(5, 5, dtype=torch.bool)])

    with pytest.raises(ValueError, match="with evidence"):
        MaskPool(channels=2, evidence="lab").pool(laid)
