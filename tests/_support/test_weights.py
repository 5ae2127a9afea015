import re
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from wsis import InputWarning
from wsis._support.checks import WeightsError
from wsis._support.weights import all_finite, matching, not_finite, read_state
from wsis.features.backbones import efficientnet_lite0, resnet50, vgg16


def write(path, content):
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif path.suffix == ".safetensors":
        save_file({k: v.contiguous() for k, v in content.items()}, path)
    else:
        torch.save(content, path)
    return path


def shapes(name):
    with torch.device("meta"):
        return timm.create_model(name).state_dict()


@pytest.fixture(scope="module")
def fifty():
    return shapes("resnet50")


def fitted(build, state):
    """What a backbone takes of a file's tensors, by shapes alone."""
    with torch.device("meta"):
        network = build("random")
    return matching(network.net.state_dict(), state, Path("w.pth"), network.whole())


def under(prefix, state):
    return {f"{prefix}{key}": value for key, value in state.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: under("module.", s),
        lambda s: under("module.backbone.", s),
        lambda s: {
            k.replace("fc.", "head.fc.") if "fc" in k else f"backbone.{k}": v
            for k, v in s.items()
        },
        lambda s: {k: v for k, v in s.items() if "layer4" not in k},
        lambda s: {**s, "fc.weight": torch.zeros(21000, 2048)},
        lambda s: {k: v.half() if v.is_floating_point() else v for k, v in s.items()},
    ],
)
def test_a_network_is_found_however_its_names_begin(fifty, wrap):
    state = wrap(fifty)

    found = fitted(resnet50, state)

    [given] = [value for key, value in state.items() if "layer3.5.conv2.w" in key]
    assert found["layer3.5.conv2.weight"] is given
    assert len(found) == 258


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"state_dict": s, "epoch": 1},
        lambda s: {"model": s, "optimizer": {"state": {}}},
        lambda s: {"model": {"state_dict": s}},
    ],
)
def test_a_state_dict_is_found_under_its_usual_names(tmp_path, wrap):
    path = write(tmp_path / "w.pth", wrap({"module.a": torch.arange(3.0)}))

    assert read_state(path)["module.a"].tolist() == [0, 1, 2]


def test_the_length_that_a_file_begins_with_may_be_a_space(tmp_path):
    path = tmp_path / "w.safetensors"
    for length in range(0, 256, 8):
        save_file({"a": torch.zeros(2)}, path, {"more": "x" * length})
        if path.read_bytes()[:1] == b" ":
            break

    assert path.read_bytes()[:1] == b" "
    assert list(read_state(path)) == ["a"]


def test_the_kind_of_a_file_goes_by_its_content(tmp_path):
    write(tmp_path / "w.safetensors", {"a": torch.zeros(2)}).rename(tmp_path / "w.pth")

    assert list(read_state(tmp_path / "w.pth")) == ["a"]


@pytest.mark.parametrize(
    ("build", "name", "message"),
    [
        (
            resnet50,
            "resnet101",
            r"no place for layer3\.6\.conv1\.weight, .*255 tensors",
        ),
        (resnet50, "resnet26", r"expected layer1\.2\.conv1\.weight .*got nothing"),
        (resnet50, "wide_resnet50_2", r"expected layer1\.0\.conv1\.weight .*128, 64"),
        (resnet50, "seresnet50", r"no place for layer1\.0\.se\.fc1\.weight"),
        (resnet50, "mobilenetv2_100", r"expected conv1\.weight .*211 of 258"),
        (vgg16, "vgg19", r"no place for features\.16\.weight"),
        (vgg16, "vgg16_bn", r"no place for features\.1\.weight"),
        (
            efficientnet_lite0,
            "efficientnet_lite1",
            r"no place for blocks\.1\.2\.conv_pw",
        ),
        (efficientnet_lite0, "efficientnet_b0", r"no place for blocks\.0\.0\.se\."),
    ],
)
def test_weights_of_another_network_are_refused(build, name, message):
    with pytest.raises(WeightsError, match=rf"w\.pth does not hold .*{message}"):
        fitted(build, shapes(name))


def test_a_detector_and_two_networks_in_one_file_are_refused(tmp_path, fifty):
    detector = under("backbone.", fifty) | {"roi_heads.box.weight": torch.zeros(2)}
    twice = under("encoder_q.", fifty) | under("encoder_k.", fifty)
    both = {"model": {"a": torch.zeros(1)}, "model_ema": {"a": torch.ones(1)}}

    with pytest.raises(WeightsError, match=r"no place for roi_heads\.box\.weight"):
        fitted(resnet50, detector)
    with pytest.raises(WeightsError, match="got several: encoder_q_, encoder_k_"):
        fitted(resnet50, twice)
    with pytest.raises(WeightsError, match=r"one .*got model, model_ema; keep one"):
        read_state(write(tmp_path / "w.pth", both))


def test_numbers_that_are_none_are_refused(tmp_path, fifty):
    spoilt = {"a": torch.zeros(2), "b": torch.tensor([1.0, torch.nan])}
    whole = {key: value.to(torch.int8) for key, value in fifty.items()}

    with pytest.raises(WeightsError, match=r"w\.pth, 1 of 2 tensors .*: b"):
        read_state(write(tmp_path / "w.pth", spoilt))
    with pytest.raises(
        WeightsError, match=r"conv1\.weight of real numbers, got .*int8"
    ):
        fitted(resnet50, whole)


@pytest.mark.parametrize("file", ["w.pth", "w.safetensors"])
def test_kernels_of_zeros_are_refused(tmp_path, file):
    state = {
        "conv.weight": torch.ones(2, 3, 1, 1),
        "bn.bias": torch.zeros(2),
        "token": torch.zeros(1, 2),
        "module.fc.weight": torch.zeros(4, 2),
        "index": torch.zeros(2, 2, dtype=torch.long),
    }
    assert read_state(write(tmp_path / file, state)).keys() == state.keys()

    state["last.weight"] = torch.zeros(2, 3, 1, 1)
    message = rf"{re.escape(file)}, 1 of 6 tensors .* alone: last\.weight; was a down"
    with pytest.raises(WeightsError, match=message):
        read_state(write(tmp_path / file, state))


class Anything:
    """What a pickle may not hold."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"\n<!DOCTYPE html><html>", "it is a web page; download the file itself"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
        (b"\x89HDF\r\n", "an HDF5 file"),
        (b"junk" * 50, "truncated or damaged"),
        ({"model": {"a": Anything()}}, "could run code of its own"),
        ({"model": {"a": 3}}, "a state dict of tensors"),
        ([1], "expected a state dict in"),
        ({"model": {}}, "got nothing"),
    ],
)
def test_files_that_hold_no_weights_are_told_apart(tmp_path, content, message):
    path = tmp_path / "w.pth"
    write(path, content)

    with pytest.raises(WeightsError, match=rf"w\.pth.*{message}|{message}.*w\.pth"):
        read_state(path)


@pytest.mark.parametrize("file", ["w.pth", "w.safetensors"])
def test_a_truncated_file_is_named(tmp_path, file):
    path = tmp_path / file
    write(path, {"a": torch.zeros(5000)})
    path.write_bytes(path.read_bytes()[:9000])

    with pytest.raises(WeightsError, match=rf"{re.escape(file)}: it is truncated"):
        read_state(path)
    with pytest.raises(WeightsError, match="is a folder"):
        read_state(tmp_path)


def test_other_names_are_taken_in_order_only_if_all_fits(tmp_path):
    wanted = {"a.weight": torch.zeros(2), "b.weight": torch.zeros(3)}
    whole = {**wanted, "fc.weight": torch.zeros(4)}
    theirs = {"x": torch.ones(2), "y": torch.ones(3), "z": torch.ones(9)}

    with pytest.warns(InputWarning, match="taken in order, as all shapes agree"):
        found = matching(wanted, theirs, tmp_path, whole)

    assert found["b.weight"].tolist() == [1, 1, 1]
    with pytest.raises(WeightsError, match="2 of 2 tensors are missing"):
        matching(wanted, {**theirs, "more": torch.ones(1)}, tmp_path, whole)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_one_value_that_is_not_finite_is_noticed_anywhere(dtype, wrong):
    fine = torch.linspace(-3, 3, 35, dtype=dtype).view(5, 7)
    spoilt = fine.clone()
    spoilt[3, 2] = wrong

    assert all_finite(fine, fine[:0], torch.tensor(True), torch.tensor([1, 2]))
    assert not all_finite(fine, spoilt)
    assert not_finite({"fine": fine, "spoilt": spoilt}) == ["spoilt"]


def test_nothing_and_the_largest_numbers_are_finite():
    assert all_finite()
    most = torch.finfo(torch.float64).max
    assert all_finite(torch.full((2,), most, dtype=torch.float64))
