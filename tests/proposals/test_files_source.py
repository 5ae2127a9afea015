import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.builders import random_proposals
from tests.drawn import Squares, settings
from tests.proposals.test_packing import assert_same
from wsis import plugins
from wsis._support.files import digest
from wsis.contracts import ProposalSource, Supervision
from wsis.geometry.masks import dense
from wsis.plugins import SettingError
from wsis.proposals.region_tree import RegionTree
from wsis.proposals.shards import About, Writer
from wsis.proposals.store import KeptSource, StoredProposals
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part

LEDGER = frozenset({Supervision.BOUNDARIES})


def image(seed=0):
    return np.random.default_rng(seed).integers(0, 255, (6, 7, 3), np.uint8)


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "store"
    fill(folder, [0, 1])
    return folder


def fill(folder, seeds):
    with Writer(folder, About(source="mcg", settings={}, ledger=LEDGER)) as writer:
        for i in seeds:
            proposals = replace(random_proposals(9, seed=i), ledger=LEDGER)
            writer.add(digest(image(i)), f"{i}.jpg", proposals)


def test_finds_photos_by_their_pixels(store):
    source = plugins.create("sources", "files", {"path": str(store)})

    assert isinstance(source, ProposalSource)
    assert isinstance(source, KeptSource)
    assert source.ledger == LEDGER
    assert_same(source(image(1)), random_proposals(9, seed=1))
    assert source(image(1)).source == "mcg"


def test_takes_the_first_masks(store):
    whole = StoredProposals(path=str(store))(image())
    first = StoredProposals(path=str(store), limit=3)(image())

    assert len(first) == 3
    index = torch.arange(3)
    assert dense(first, index).equal(dense(whole, index))
    assert len(StoredProposals(path=str(store), limit=99)(image())) == 9


def test_sees_what_was_added_since(store):
    source = StoredProposals(path=str(store))
    with pytest.raises(ValueError, match=r"no proposals of this photo \(6 x 7 pixels"):
        source(image(2))

    fill(store, [2])

    assert len(source(image(2))) == 9


def test_a_store_that_is_none_fails_before_any_work(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(SettingError, match="expected a store of proposals"):
            plugins.create("sources", "files", {"path": str(path)})
    with pytest.raises(SettingError, match="needs the setting 'path'"):
        plugins.create("sources", "files")


def test_limit_is_checked(store):
    with pytest.raises(ValueError, match="limit must be at least 0, got -1"):
        StoredProposals(path=str(store), limit=-1)


def squares_store(folder, source):
    """Proposals of the drawn squares, in a store."""
    with Writer(folder, About(source="region_tree", settings={})) as writer:
        for half in (Squares().train(), Squares().val().tagged):
            for one in half.images:
                pixels = one.load()
                writer.add(digest(pixels), one.name, source(pixels))
    return folder


def test_a_pipeline_trains_on_a_store_as_on_its_source(tmp_path):
    tree = RegionTree(nodes=30, pairs=10, side=64)
    folder = squares_store(tmp_path / "store", tree)
    plain = Pipeline(settings(), tmp_path / "a")
    stored = Pipeline(
        settings().model_copy(update={"source": Part.parse(f"files:path={folder}")}),
        tmp_path / "b",
    )

    models = [
        pipeline.train(Squares().train(), Part(name="oicr"), seed=0, steps=6)[0]
        for pipeline in (plain, stored)
    ]

    for one, other in zip(*(model.parameters() for model in models), strict=True):
        assert one.equal(other)
    # The store is on disk already: nothing is kept twice.
    assert not (tmp_path / "b" / "proposals").exists()
    with pytest.raises(ValueError, match="no proposals of this photo"):
        _ = stored.bags(Squares(seed=5).train().images)[0].proposals


def test_another_store_at_the_same_path_has_features_of_its_own(tmp_path):
    """Frozen features are kept by settings, and a path alone says too little."""
    origins = []
    for nodes in (30, 20):
        shutil.rmtree(tmp_path / "store", ignore_errors=True)
        tree = RegionTree(nodes=nodes, pairs=0, side=64)
        folder = squares_store(tmp_path / "store", tree)
        part = Part.parse(f"files:path={folder}")
        pipeline = Pipeline(
            settings().model_copy(update={"source": part}), tmp_path / "cache"
        )
        [bag] = pipeline.bags(Squares(train=1).train().images)
        pooled = pipeline.frozen(bag, pipeline.train_views[0])
        assert len(pooled) == len(bag.proposals)
        cues = pipeline.cues([bag], 0)
        assert len(cues(bag)) == len(bag.proposals)
        origins.append(bag.origin)

    assert origins[0] != origins[1]
