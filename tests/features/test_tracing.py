import numpy as np
import pytest
import torch
from torch import nn

from wsis.contracts import TaggedImage
from wsis.features.backbones import efficientnet_lite0
from wsis.features.scale import Scale
from wsis.features.tracing import trace


def image(pixels=None):
    if pixels is None:
        pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    return TaggedImage(
        id=0, name="noise", tags=torch.tensor([True]), load=lambda: pixels
    )


class Plain(nn.Module):
    """Layers as a backbone."""

    mean, std, ledger = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0), frozenset()

    def __init__(self, *layers, channels=1, stride=1):
        super().__init__()
        self.channels, self.stride = channels, stride
        self.layers = nn.Sequential(*layers)

    def forward(self, images):
        return self.layers(images)


def convolution(weight):
    layer = nn.Conv2d(3, 1, weight.shape[-1], padding=weight.shape[-1] // 2, bias=True)
    layer.weight.data = weight
    return layer


def test_a_convolution_shares_by_input_and_positive_weight():
    weight = torch.zeros(1, 3, 3, 3)
    weight[0, 0, 1, 1], weight[0, 0, 1, 2], weight[0, 0, 0, 0] = 1, 3, -5
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[4, 5], pixels[4, 6] = (200, 0, 0), (100, 0, 0)
    gradient = torch.zeros(1, 1, 32, 32)
    gradient[0, 0, 4, 5] = 7

    [chance] = trace(Plain(convolution(weight)), Scale(32))(image(pixels), gradient)

    # 200 · 1 and 100 · 3 of what the cell saw; the negative weight has no part.
    assert chance[4, 5] == pytest.approx(0.4)
    assert chance[4, 6] == pytest.approx(0.6)
    assert chance.sum() == pytest.approx(1)


def test_chances_stay_inside_what_the_cell_saw_and_sum_to_one():
    backbone = Plain(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 2, 3, padding=1),
        channels=2,
    ).eval()
    gradients = torch.zeros(2, 2, 64, 64)
    gradients[0, :, 10, 20], gradients[1, :, 50, 40] = 1, 1

    maps = trace(backbone, Scale(64))(image(), gradients)

    assert maps.shape == (2, 64, 64)
    assert maps.min() >= 0
    assert maps.sum((1, 2)).allclose(torch.ones(2))
    assert maps[0, 8:13, 18:23].sum() == pytest.approx(1, abs=1e-5)
    assert maps[1, 48:53, 38:43].sum() == pytest.approx(1, abs=1e-5)


def test_the_backbone_is_left_as_it_was():
    backbone = efficientnet_lite0("random")
    given = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = backbone(given)

    maps = trace(backbone, Scale(64))(image(), torch.ones(1, 320, 4, 4))

    with torch.no_grad():
        assert backbone(given).equal(before)
    assert maps.sum() == pytest.approx(1, abs=1e-4)
    assert all(p.grad is None for p in backbone.parameters())


def test_other_convolutions_are_refused():
    class Own(nn.Conv2d):
        pass

    backbone = Plain(Own(3, 1, 3, padding=1))

    with pytest.raises(ValueError, match=r"plain nn\.Conv2d.*Own"):
        trace(backbone, Scale(64))(image(), torch.ones(1, 1, 64, 64))
