import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet50
from torchvision.models.detection import maskrcnn_resnet50_fpn

from tests.runs.refine.builders import refine_settings
from wsis.features.backbones import WeightsError, efficientnet_lite0
from wsis.runs.refine import DETECTORS, RefineSettings, mask_rcnn


def shapes(model):
    return {
        key: value.shape
        for key, value in model.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }


def test_at_the_papers_size_it_is_torchvisions_own(tmp_path):
    path = tmp_path / "resnet50.safetensors"
    known = resnet50()
    save_file(known.state_dict(), path)
    settings = RefineSettings.read(DETECTORS["r50"], [f"weights={path}"])

    ours = mask_rcnn(settings, classes=20, seed=0)
    theirs = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=21)

    assert shapes(ours) == shapes(theirs)
    assert torch.equal(
        ours.backbone.body.layer4[2].conv3.weight, known.layer4[2].conv3.weight
    )
    trained = {n for n, p in ours.named_parameters() if p.requires_grad}
    assert not any(
        n.startswith(("backbone.body.conv1", "backbone.body.layer1")) for n in trained
    )
    assert any(n.startswith("backbone.body.layer2") for n in trained)
    assert not any("bn" in n for n in trained)


def test_the_small_one_starts_from_imagenet_and_keeps_its_stem():
    model = mask_rcnn(RefineSettings(width=8), classes=2, seed=0)
    known = efficientnet_lite0().net.state_dict()
    body = model.backbone.body

    for key in ("conv_stem.weight", "blocks.6.0.conv_pwl.weight"):
        assert torch.equal(body.state_dict()[key], known[key])
    assert not body.conv_stem.weight.requires_grad
    assert body.blocks[6][0].conv_pwl.weight.requires_grad
    before = body.bn1.running_mean.clone()
    model.train()
    body(torch.rand(1, 3, 64, 64))
    assert torch.equal(body.bn1.running_mean, before)


def test_levels_go_from_stride_4_to_64():
    model = mask_rcnn(refine_settings(), classes=2, seed=0)

    maps = model.backbone(torch.rand(1, 3, 64, 128))

    assert [tuple(one.shape[1:]) for one in maps.values()] == [
        (8, 16, 32),
        (8, 8, 16),
        (8, 4, 8),
        (8, 2, 4),
        (8, 1, 2),
    ]


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one, two, other = (mask_rcnn(refine_settings(), 2, seed) for seed in (0, 0, 1))

    assert torch.equal(torch.rand(1), expected)
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            one.state_dict().values(), two.state_dict().values(), strict=True
        )
    )
    key = "roi_heads.box_predictor.cls_score.weight"
    assert not torch.equal(one.state_dict()[key], other.state_dict()[key])


def test_missing_weights_say_how_to_get_them():
    with pytest.raises(WeightsError, match="weights=FILE"):
        mask_rcnn(RefineSettings(backbone="resnet50"), 2, 0)
