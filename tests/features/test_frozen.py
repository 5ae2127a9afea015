import pytest
import torch

from tests.drawn import Squares, settings
from wsis.features.scale import Scale
from wsis.proposals import PixelEvidence
from wsis.runs.pipeline import Pipeline


@pytest.fixture
def pipeline(tmp_path):
    return Pipeline(settings(), tmp_path)


def test_the_backbone_runs_once_a_photo_and_scale(pipeline):
    [bag] = pipeline.bags(Squares(train=1).train().images)
    calls = []
    module = pipeline.frozen.live.backbone
    module.register_forward_hook(lambda *_: calls.append(1))

    first = pipeline.frozen(bag, Scale(64))
    again = Pipeline(pipeline.settings, pipeline.cache).frozen(bag, Scale(64))
    mapped = pipeline.frozen.map(bag, Scale(64))
    pipeline.frozen(bag, Scale(64, flip=True))

    assert len(calls) == 2
    assert first.equal(again)
    assert mapped.dtype == torch.float32


def test_kept_features_are_the_live_ones_in_half_precision(pipeline):
    [bag] = pipeline.bags(Squares(train=1).train().images)

    kept = pipeline.frozen(bag, Scale(64))
    with torch.no_grad():
        live = pipeline.frozen.live(bag, Scale(64))

    assert kept.dtype == torch.float16
    assert kept.float().allclose(live, rtol=5e-3, atol=5e-3)


def test_evidence_is_kept_with_the_features_and_is_that_of_the_photo(tmp_path):
    pipeline = Pipeline(settings("head=mask_pool:evidence=lab"), tmp_path)
    [bag] = pipeline.bags(Squares(train=1).train().images)
    evidence = PixelEvidence()(bag.pixels, bag.proposals)

    for scale in Scale(64), Scale(64, flip=True):
        kept = pipeline.frozen(bag, scale).float()
        assert kept[:, -26:].allclose(evidence, rtol=1e-3, atol=1e-3)


def test_a_trained_backbone_has_evidence_too(tmp_path):
    pipeline = Pipeline(
        settings("head=mask_pool:evidence=lab", "freeze=false"), tmp_path
    )
    [bag] = pipeline.bags(Squares(train=1).train().images)
    live = pipeline.features(pipeline.model(2, 0))

    with torch.no_grad():
        found = live(bag, Scale(64))

    assert found[:, -26:].equal(PixelEvidence()(bag.pixels, bag.proposals))


def test_other_settings_have_other_caches(pipeline):
    other = Pipeline(settings("source.nodes=20"), pipeline.cache)

    assert other.frozen.pooled.folder != pipeline.frozen.pooled.folder
    assert other.frozen.maps.folder == pipeline.frozen.maps.folder
    assert other.source.cache.folder != pipeline.source.cache.folder
