from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

import wsis
from tests.drawn import Squares, settings
from wsis.geometry import overlay
from wsis.geometry.masks import rles
from wsis.mining import OICRMiner
from wsis.runs import Branch


def trained(folder, *overrides):
    given = settings("schedule.epochs=1", *overrides)
    return wsis.train(Squares(), "cim", settings=given, cache=folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def image():
    return Squares().val().tagged.images[0]


def test_each_branch_is_mined_from_the_one_before(run, image):
    found = run.branches(image)

    assert [one.number for one in found] == [0, 1, 2]
    for one, following in pairwise(found):
        assert isinstance(one, Branch)
        assert following.before is one.scores
        assert len(one.scores.product) == len(one.proposals)
        present = {i + 1 for i in image.tags.nonzero().flatten().tolist()}
        assert set(one.pseudo.label.tolist()) == present


def test_tags_may_be_given_and_another_miner_sees_the_same_scores(run, image):
    pixels = image.load()

    found = run.branches(pixels, tags="red")
    other = run.branches(pixels, tags=["red"], miner=OICRMiner())

    assert all(one.pseudo.label.unique().tolist() == [1] for one in found)
    for ours, theirs in zip(found, other, strict=True):
        assert torch.equal(ours.scores.product, theirs.scores.product)
        best = theirs.before.classification[:, 1].argmax()
        assert theirs.pseudo.index.tolist() == [int(best)]


def test_a_picture_has_the_heaviest_and_the_seeds_that_grew(run, image):
    one = run.branches(image)[0]
    grown = replace(
        one,
        pseudo=replace(
            one.pseudo.chosen(torch.tensor([0])),
            index=torch.tensor([0]),
            label=torch.tensor([2]),
            weight=torch.tensor([0.5]),
            seed=torch.tensor([1]),
        ),
    )
    mask, seed = rles(one.proposals, torch.tensor([0, 1]))

    drawn = grown.draw()

    expected = overlay(image.load(), [mask], [f"{run.classes[1]} 0.5"], inner=[seed])
    assert np.array_equal(drawn, expected)
    assert np.array_equal(grown.draw(most=0), overlay(image.load(), []))
    assert max(one.draw(side=40).shape) == 40


def test_a_branch_that_cues_taught_has_scores_alone(tmp_path, image):
    run = trained(tmp_path, "anti_noise=false")

    first, *others = run.branches(image)

    assert first.pseudo is None
    assert np.array_equal(first.draw(), image.load())
    assert all(len(one.pseudo) for one in others)


def test_photos_without_tags_are_refused(run, image):
    with pytest.raises(ValueError, match=r"expected the tags of array.*tags=\["):
        run.branches(image.load())
    with pytest.raises(LookupError, match=r"there is no class 'redd'.*red"):
        run.branches(image.load(), tags="redd")
