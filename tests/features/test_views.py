import numpy as np
import pytest
import torch

from tests.builders import random_proposals
from wsis.features.backbones import TimmBackbone, efficientnet_lite0
from wsis.features.scale import Scale, scales
from wsis.features.views import pixels, region_means, view
from wsis.geometry import masks


@pytest.fixture(scope="module")
def backbone() -> TimmBackbone:
    return efficientnet_lite0(weights="random")


def test_sides_are_whole_strides_and_keep_the_shape(backbone):
    image = np.zeros((30, 60, 3), np.uint8)

    assert pixels(image, Scale(128), backbone).shape == (1, 3, 64, 128)


def test_the_shorter_side_may_be_scaled_and_the_longer_one_limited(backbone):
    image = np.zeros((30, 60, 3), np.uint8)

    assert pixels(image, Scale(64, resize="shorter"), backbone).shape[2:] == (64, 128)
    limited = Scale(64, resize="shorter", limit=96)
    assert pixels(image, limited, backbone).shape[2:] == (48, 96)
    assert Scale(64, resize="shorter", limit=2000).ratio(600, 800) == 64 / 600
    assert Scale(1200, resize="shorter", limit=2000).ratio(100, 400) == 5


def test_names_of_scales_differ_where_they_do():
    some = [
        *scales([64, 96], flips=True),
        *scales([64], flips=True, resize="shorter"),
        *scales([64], flips=True, resize="shorter", limit=96),
    ]

    assert len({scale.name for scale in some}) == len(some)
    assert Scale(64).name == "64"
    with pytest.raises(ValueError, match="0 or at least side, got 32 and 64"):
        Scale(64, limit=32)


def test_pixels_are_normalised_and_mirrored(backbone):
    image = np.zeros((32, 64, 3), np.uint8)
    image[:, :32] = 255

    plain, mirrored = (
        pixels(image, scale, backbone) for scale in scales([64], flips=True)
    )

    assert plain[0, 0, 16, 2].item() == pytest.approx((255 - 127) / 128)
    assert plain[0, 0, 16, -3].item() == pytest.approx(-127 / 128)
    assert mirrored.equal(plain.flip(-1))


def test_boxes_are_in_cells_of_the_map():
    proposals = random_proposals(4, size=(40, 80))

    laid = view(torch.zeros(1, 5, 20), proposals, Scale(320))

    scaled = masks.boxes(proposals) * torch.tensor([20 / 80, 5 / 40, 20 / 80, 5 / 40])
    assert laid.boxes.allclose(scaled)


def test_a_mirrored_view_of_a_mirrored_map_pools_the_same():
    proposals = random_proposals(6, size=(12, 20))
    feature_map = torch.rand(3, 3, 5)

    plain = view(feature_map, proposals, Scale(320))
    mirrored = view(feature_map.flip(-1), proposals, Scale(320, flip=True))

    ours, area = region_means(plain.map, plain.regions)
    theirs, _ = region_means(mirrored.map, mirrored.regions)
    assert ours.allclose(theirs, atol=1e-5)
    assert area.sum() == 12 * 20


def test_region_means_are_those_of_the_map_read_at_every_pixel():
    feature_map = torch.rand(2, 3, 4)
    regions = torch.randint(5, (9, 16), generator=torch.Generator().manual_seed(0))
    fine = torch.nn.functional.interpolate(feature_map[None], (9, 16), mode="bilinear")

    means, area = region_means(feature_map, regions)

    for region in range(5):
        inside = regions == region
        assert means[region].allclose(fine[0][:, inside].mean(1), atol=1e-5)
        assert area[region].item() == pytest.approx(int(inside.sum()), rel=1e-5)


def test_a_side_too_short_is_refused():
    with pytest.raises(ValueError, match="at least 32 pixels, got 16"):
        Scale(16)
