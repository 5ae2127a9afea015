"""What every installed part keeps to, built-in and third-party alike."""

from importlib.util import find_spec

import numpy as np
import pytest

from tests.builders import random_proposals
from tests.tiny_hed import tiny_hed
from tests.tiny_sam import tiny_sam
from wsis import plugins, testing
from wsis._support.files import digest
from wsis.contracts import DataSource
from wsis.proposals.shards import About, Writer

COUNTING = {"pcl"}
"""Miners that count neighbours, of which many have as many: their order decides."""


def parts(kind):
    return pytest.mark.parametrize("name", plugins.names(kind))


@pytest.fixture
def hed_weights(tmp_path, monkeypatch):
    """Weights of a small network where people's are not installed."""
    monkeypatch.setenv("WSIS_HED_WEIGHTS", str(tiny_hed(tmp_path / "hed.h5")))


def photo():
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    image[10:30, 20:50] = (200, 30, 30)
    return image


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Settings of the parts that read files, with such files."""
    folder = tmp_path_factory.mktemp("given")
    with Writer(folder / "store", About(source="drawn", settings={})) as writer:
        writer.add(digest(photo()), "photo", random_proposals(9, (48, 64)))
    found = {"files": {"path": str(folder / "store")}}
    if find_spec("transformers") is not None:
        weights = str(tiny_sam(folder / "sam"))
        lenient = {"min_iou": -9.0, "min_stability": 0.0, "max_overlap": 1.0}
        found["sam"] = {"weights": weights, "points": 4, **lenient}
    return found


@pytest.mark.parametrize("kind", plugins.KINDS)
def test_parts_describe_themselves(kind):
    for name in plugins.names(kind):
        assert (plugins.find(kind, name).__doc__ or "").strip(), name


@parts("miners")
def test_miners(name):
    miner = plugins.create("miners", name)
    testing.check_miner(miner, seeds=range(5), any_order=name not in COUNTING)


@parts("samplers")
def test_samplers(name):
    testing.check_sampler(plugins.create("samplers", name))


@parts("assigners")
def test_assigners(name):
    testing.check_assigner(plugins.create("assigners", name))


@parts("sources")
def test_sources(name, given, hed_weights):
    if name == "sam" and "sam" not in given:
        pytest.skip("transformers is not installed")
    source = plugins.create("sources", name, given.get(name))
    testing.check_source(source, photo())


@parts("contours")
def test_contours(name, hed_weights):
    testing.check_contours(plugins.create("contours", name))


@parts("cues")
def test_cues(name):
    testing.check_cues(plugins.create("cues", name))


@parts("heads")
def test_heads(name):
    testing.check_head(plugins.create("heads", name, {"channels": 6}), channels=6)


@parts("backbones")
def test_backbones(name):
    testing.check_backbone(plugins.create("backbones", name, {"weights": "random"}))


@parts("datasets")
def test_data_sets_are_data_sources(name):
    assert issubclass(plugins.find("datasets", name), DataSource)


def test_drawn_scenes():
    scenes = plugins.create("datasets", "scenes", {"train_images": 3, "val_images": 2})
    testing.check_dataset(scenes)
