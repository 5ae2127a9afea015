"""What holds for every installed part, whatever it is given; third-party ones too."""

import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.problems import drawn
from tests.properties.problems import found, order, reordered, scores_by, untied
from wsis import plugins
from wsis.contracts import Cascading, Miner
from wsis.testing import check_assigner, check_miner, check_sampler

seeds = st.integers(0, 2**31 - 1)
counts = st.integers(1, 14)
branches = st.integers(0, 2)

NEIGHBOURS_TIE = {"pcl"}
"""Miners that count neighbours, which are few and often as many: ties break by place.

``tests/mining/test_pcl.py`` looks at problems without such ties.
"""

WHOLE: dict[str, dict[str, Any]] = {
    "cim": {"p_seed": 1.0, "oversize": 1.0},
    "mist": {"top": 1.0},
    "oicr": {},
}
"""Settings at which no share of the number of proposals counts."""


def parts(kind: plugins.Kind) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", plugins.names(kind))


def build(name: str, branch: int, **values: Any) -> Miner:
    miner: Miner = plugins.create("miners", name, values)
    return miner.at(branch) if isinstance(miner, Cascading) else miner


@parts("miners")
@settings(max_examples=20, deadline=None)
@given(seeds)
def test_miners_keep_to_their_contract(name: str, seed: int) -> None:
    miner: Miner = plugins.create("miners", name)
    check_miner(miner, seeds=[seed], any_order=name not in NEIGHBOURS_TIE)


@parts("samplers")
def test_samplers_keep_to_their_contract(name: str) -> None:
    # All at once, as the check looks at the shares of many draws beside them.
    some = random.Random(0).sample(range(2**31), 20)
    check_sampler(plugins.create("samplers", name), seeds=some)


@parts("assigners")
@settings(max_examples=20, deadline=None)
@given(seeds)
def test_assigners_keep_to_their_contract(name: str, seed: int) -> None:
    check_assigner(plugins.create("assigners", name), seeds=[seed])


@pytest.mark.parametrize("name", [*WHOLE, "pcl"])
@settings(max_examples=20)
@given(seeds, counts, branches)
def test_a_proposal_and_its_copy_are_not_both_taken_for_a_class(
    name: str, seed: int, count: int, branch: int
) -> None:
    scores, overlap, tags = drawn(seed, count, 3)
    by = torch.arange(2 * count) % count

    pseudo = build(name, branch)(*reordered(scores, overlap, by), tags)

    original = list(zip(by[pseudo.index].tolist(), pseudo.label.tolist(), strict=True))
    assert len(original) == len(set(original))


@pytest.mark.parametrize("name", WHOLE)
@settings(max_examples=20)
@given(seeds, counts, branches)
def test_a_copy_of_a_proposal_changes_nothing(
    name: str, seed: int, count: int, branch: int
) -> None:
    miner = build(name, branch, **WHOLE[name])
    scores, overlap, _ = drawn(seed, count, 3)
    by = torch.cat([torch.arange(count), order(seed, count)[:1]])
    # With several classes OICR takes the copy for the next one, as published.
    tags = torch.tensor([False, True, name != "oicr"])

    here = miner(scores, overlap, tags)
    there = miner(*reordered(scores, overlap, by), tags)

    assert found(here) == found(there)


def test_reordering_moves_proposals_with_their_scores() -> None:
    """Sampled problems are what they say."""
    scores, by = untied(0, 3, 1), torch.tensor([2, 0, 1])

    moved = scores_by(scores, by)

    assert moved.classification[0].equal(scores.classification[2])
    assert moved.product.unique().numel() == 6
