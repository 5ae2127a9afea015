"""What every installed part keeps to, built-in and third-party alike."""

import copy
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from tests.builders import random_proposals
from tests.tiny_hed import tiny_hed
from tests.tiny_sam import tiny_sam
from wsis import plugins
from wsis._support.files import digest
from wsis.contracts import (
    Assigner,
    Backbone,
    BranchScores,
    Cascading,
    Contours,
    CueSource,
    DataSource,
    Miner,
    NoiseSampler,
    Points,
    ProposalHead,
    ProposalSource,
    PseudoInstances,
    Sampling,
    TaggedImage,
    Tracing,
)
from wsis.features.scale import Scale
from wsis.features.views import view
from wsis.geometry.masks import areas
from wsis.geometry.overlap import overlaps
from wsis.proposals.shards import About, Writer

CLASSES = 4
PROTOCOLS = {
    "assigners": Assigner,
    "contours": Contours,
    "cues": CueSource,
    "miners": Miner,
    "samplers": NoiseSampler,
    "sources": ProposalSource,
}


def parts(kind):
    return pytest.mark.parametrize("name", plugins.names(kind))


def case(seed, count=20):
    """Scores, overlaps and tags of one drawn image."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, count, CLASSES + 1, generator=generator)
    scores = BranchScores(logits[0].softmax(1), logits[1].sigmoid())
    tags = torch.rand(CLASSES, generator=generator) > 0.5
    tags[seed % CLASSES] = True
    return scores, overlaps(random_proposals(count, seed=seed)), tags


def pseudo_instances(seed):
    generator = torch.Generator().manual_seed(seed)
    return PseudoInstances(
        torch.randperm(20, generator=generator)[:6].sort().values,
        torch.randint(1, CLASSES + 1, (6,), generator=generator),
        torch.rand(6, generator=generator) + 0.01,
    )


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


def create(kind, name, given):
    if name == "sam" and "sam" not in given:
        pytest.skip("transformers is not installed")
    return plugins.create(kind, name, given.get(name))


@pytest.mark.parametrize("kind", [kind for kind in PROTOCOLS if kind != "sources"])
def test_parts_meet_their_protocol_with_their_defaults(kind, hed_weights):
    for name in plugins.names(kind):
        assert isinstance(plugins.create(kind, name), PROTOCOLS[kind]), name


@parts("sources")
def test_sources_meet_their_protocol(name, given, hed_weights):
    assert isinstance(create("sources", name, given), ProposalSource)


@pytest.mark.parametrize("kind", plugins.KINDS)
def test_parts_describe_themselves(kind):
    for name in plugins.names(kind):
        assert (plugins.find(kind, name).__doc__ or "").strip(), name


@parts("miners")
@pytest.mark.parametrize("seed", range(5))
def test_miners_choose_proposals_of_present_classes(name, seed):
    miner = plugins.create("miners", name)
    for branch in range(3):
        scores, overlap, tags = case(seed)
        part = miner.at(branch) if isinstance(miner, Cascading) else miner
        before = copy.deepcopy((scores, overlap, tags))

        pseudo = part(scores, overlap, tags)

        assert len(pseudo) >= 1
        assert set(pseudo.label.tolist()) <= set(
            (tags.nonzero() + 1).flatten().tolist()
        )
        assert pseudo.index.min() >= 0
        assert pseudo.index.max() < len(overlap)
        assert pseudo.weight.isfinite().all()
        assert pseudo.weight.min() >= 0
        again = part(scores, overlap, tags)
        assert pseudo.index.equal(again.index)
        assert pseudo.weight.equal(again.weight)
        assert scores.classification.equal(before[0].classification)
        assert overlap.iou.equal(before[1].iou)


@parts("miners")
@pytest.mark.parametrize("seed", range(3))
def test_miners_take_a_branch_without_localization_by_classification(name, seed):
    miner = plugins.create("miners", name)
    scores, overlap, tags = case(seed)
    bare = BranchScores(scores.classification, None)

    pseudo = miner(bare, overlap, tags)

    assert len(pseudo) >= 1
    assert set(pseudo.label.tolist()) <= set((tags.nonzero() + 1).flatten().tolist())
    assert pseudo.weight.isfinite().all()


@parts("miners")
def test_miners_that_name_a_sampler_name_one_that_is_installed(name):
    miner = plugins.find("miners", name)

    assert not isinstance(miner, Sampling) or miner.sampler in plugins.names("samplers")


@parts("miners")
def test_miners_know_one_proposal_and_no_tags(name):
    miner = plugins.create("miners", name)
    scores, overlap, tags = case(0, count=1)

    assert set(miner(scores, overlap, tags).index.tolist()) <= {0}
    assert len(miner(scores, overlap, torch.zeros_like(tags))) == 0


@parts("samplers")
def test_samplers_keep_some_and_repeat_with_the_generator(name):
    sampler = plugins.create("samplers", name)
    pseudo = pseudo_instances(0)

    kept, again = (sampler(pseudo, torch.Generator().manual_seed(1)) for _ in "ab")

    assert 1 <= len(kept) <= len(pseudo)
    assert set(kept.index.tolist()) <= set(pseudo.index.tolist())
    assert set(kept.label.tolist()) == set(pseudo.label.tolist())
    assert kept.index.equal(again.index)


@parts("assigners")
@pytest.mark.parametrize("seed", range(5))
def test_assigners_give_every_proposal_a_target(name, seed):
    assigner = plugins.create("assigners", name)
    overlap, pseudo = overlaps(random_proposals(20, seed=seed)), pseudo_instances(seed)

    targets = assigner(pseudo, overlap)

    assert len(targets.label) == len(overlap)
    assert set(targets.label.tolist()) <= {-1, 0, *pseudo.label.tolist()}
    assert targets.integrity.min() >= 0
    assert targets.integrity.max() <= 1
    assert targets.weight.isfinite().all()
    foreground = targets.label > 0
    assigned = targets.assignment[foreground]
    assert pseudo.label[assigned].equal(targets.label[foreground])


@parts("sources")
def test_sources_give_whole_proposals_in_order(name, given, hed_weights):
    source, image = create("sources", name, given), photo()

    proposals, again = source(image), source(image)

    assert proposals.size == (48, 64)
    assert len(proposals) >= 1
    assert areas(proposals).min() >= 1
    assert proposals.objectness.diff().max() <= 0
    assert proposals.ledger == source.ledger
    assert proposals.members.equal(again.members)


@parts("contours")
def test_contours_are_shares_of_the_images_size(name, hed_weights):
    contours = plugins.create("contours", name)
    image = np.random.default_rng(0).integers(0, 255, (24, 33, 3), np.uint8)

    found, again = contours(image), contours(image)

    assert found.shape == (24, 33)
    assert 0 <= found.min() <= found.max() <= 1
    assert np.array_equal(found, again)


@parts("cues")
def test_cues_label_clusters_of_present_classes(name):
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(12, 5, 4, 6, generator=generator)
    tags = torch.rand(12, CLASSES, generator=generator) > 0.5
    tags[:, 0] = True
    labeller = plugins.create("cues", name).fit(list(maps), tags, generator)
    if labeller is None:
        pytest.skip("it labels nothing")
    if isinstance(labeller, Tracing):
        labeller = labeller.through(
            lambda image, gradients: torch.ones(len(gradients), 8, 12) / 96
        )
    proposals = random_proposals(20, size=(16, 24))
    image = TaggedImage(
        id=0,
        name="drawn",
        tags=tags[0],
        load=lambda: np.zeros((16, 24, 3), np.uint8),
        points=Points(xy=torch.tensor([[3.0, 5.0]]), label=torch.tensor([1])),
    )

    labels = labeller(image, maps[0], proposals, overlaps(proposals))

    assert labels.shape == (20, CLASSES + 1)
    assert ((labels > 0).sum(1) <= 1).all()
    assert not labels[:, 1:][:, ~tags[0]].any()
    for number in labels.unique().tolist():
        columns = {c for _, c in (labels == number).nonzero().tolist()}
        assert number == 0 or len(columns) == 1


@parts("heads")
def test_heads_pool_views_and_give_their_width(name):
    head = plugins.create("heads", name, {"channels": 6})
    proposals = random_proposals(9, size=(32, 48))
    feature_map = torch.rand(6, 2, 3)

    pooled = head.pool(view(feature_map, proposals, Scale(48)))

    assert isinstance(head, ProposalHead)
    assert head(pooled).shape == (9, head.width)
    assert head(pooled).isfinite().all()


@parts("backbones")
def test_backbones_tell_their_channels_and_stride(name):
    backbone = plugins.create("backbones", name, {"weights": "random"})

    assert isinstance(backbone, Backbone)
    size = 2 * backbone.stride
    with torch.no_grad():
        feature_map = backbone(torch.zeros(1, 3, size, size))
    assert feature_map.shape == (1, backbone.channels, 2, 2)


@parts("datasets")
def test_data_sets_are_data_sources(name):
    assert issubclass(plugins.find("datasets", name), DataSource)
    assert issubclass(plugins.find("datasets", name), DataSource)
