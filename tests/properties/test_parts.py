"""What holds for every installed part, whatever it is given; third-party ones too."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.builders import random_proposals
from tests.problems import drawn
from tests.properties.problems import (
    found,
    order,
    overlaps_by,
    reordered,
    scores_by,
    untied,
)
from wsis import plugins
from wsis.contracts import (
    BranchScores,
    Cascading,
    Miner,
    Overlaps,
    Points,
    Proposals,
    PseudoInstances,
    TaggedImage,
    Targets,
    Tracing,
)
from wsis.geometry.masks import empty, select
from wsis.geometry.overlap import overlaps

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


def parts(kind: plugins.Kind, leave: set[str] | None = None) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "name", [name for name in plugins.names(kind) if name not in (leave or ())]
    )


def build(kind: plugins.Kind, name: str, branch: int = 0, **values: Any) -> Any:
    part = plugins.create(kind, name, values)
    return part.at(branch) if isinstance(part, Cascading) else part


def tags_from(seed: int, classes: int) -> Tensor:
    return torch.rand(classes, generator=torch.Generator().manual_seed(seed)) > 0.4


# --- Miners ------------------------------------------------------------------------


@parts("miners", NEIGHBOURS_TIE)
@settings(max_examples=20)
@given(seeds, counts, branches, st.booleans())
def test_miners_find_the_same_in_any_order(
    name: str, seed: int, count: int, branch: int, whole: bool
) -> None:
    miner: Miner = build("miners", name, branch)
    scores, overlap = untied(seed, count, 3, whole), drawn(seed, count, 3)[1]
    tags, by = tags_from(seed, 3), order(seed, count)

    here, there = (
        miner(scores, overlap, tags),
        miner(*reordered(scores, overlap, by), tags),
    )

    assert found(here) == found(there, by)


@parts("miners")
@settings(max_examples=20)
@given(seeds, counts, branches)
def test_scores_of_absent_classes_do_not_count(
    name: str, seed: int, count: int, branch: int
) -> None:
    miner: Miner = build("miners", name, branch)
    scores, overlap, tags = drawn(seed, count, 4)
    absent = ~torch.cat([torch.zeros(1, dtype=torch.bool), tags])
    other = BranchScores(scores.classification.clone(), scores.localization)
    other.classification[:, absent] = 1 - other.classification[:, absent]

    here, there = miner(scores, overlap, tags), miner(other, overlap, tags)

    assert tags[here.label - 1].all()
    assert found(here) == found(there)


@parts("miners")
@settings(max_examples=20)
@given(seeds, counts, branches)
def test_a_proposal_and_its_copy_are_not_both_taken_for_a_class(
    name: str, seed: int, count: int, branch: int
) -> None:
    miner: Miner = build("miners", name, branch)
    scores, overlap, tags = drawn(seed, count, 3)
    by = torch.arange(2 * count) % count

    pseudo = miner(*reordered(scores, overlap, by), tags)

    original = list(zip(by[pseudo.index].tolist(), pseudo.label.tolist(), strict=True))
    assert len(original) == len(set(original))


@pytest.mark.parametrize("name", WHOLE)
@settings(max_examples=20)
@given(seeds, counts, branches)
def test_a_copy_of_a_proposal_changes_nothing(
    name: str, seed: int, count: int, branch: int
) -> None:
    miner: Miner = build("miners", name, branch, **WHOLE[name])
    scores, overlap, _ = drawn(seed, count, 3)
    by = torch.cat([torch.arange(count), order(seed, count)[:1]])
    # With several classes OICR takes the copy for the next one, as published.
    tags = torch.tensor([False, True, name != "oicr"])

    here = miner(scores, overlap, tags)
    there = miner(*reordered(scores, overlap, by), tags)

    assert found(here) == found(there)


@parts("miners")
@settings(max_examples=20)
@given(seeds, counts, branches)
def test_miners_answer_where_everything_ties(
    name: str, seed: int, count: int, branch: int
) -> None:
    miner: Miner = build("miners", name, branch)
    scores, overlap, tags = drawn(seed, count, 3, levels=1)

    pseudo, again = miner(scores, overlap, tags), miner(scores, overlap, tags)

    assert found(pseudo) == found(again)
    assert tags[pseudo.label - 1].all()
    assert ((pseudo.index >= 0) & (pseudo.index < count)).all()
    assert ((pseudo.weight >= 0) & (pseudo.weight <= 1)).all()


# --- Samplers ----------------------------------------------------------------------


def pseudo_drawn(seed: int, count: int, proposals: int = 20) -> PseudoInstances:
    generator = torch.Generator().manual_seed(seed)
    return PseudoInstances(
        torch.randint(proposals, (count,), generator=generator),
        torch.randint(1, 4, (count,), generator=generator),
        torch.randint(4, (count,), generator=generator) / 4,
    )


@parts("samplers")
@settings(max_examples=20)
@given(seeds, st.integers(0, 12))
def test_samplers_keep_some_of_each_class_in_their_order(
    name: str, seed: int, count: int
) -> None:
    sampler, pseudo = build("samplers", name), pseudo_drawn(seed, count)
    places = torch.arange(count)
    numbered = PseudoInstances(places, pseudo.label, pseudo.weight, seed=places)

    kept = sampler(pseudo, torch.Generator().manual_seed(seed))
    same = sampler(numbered, torch.Generator().manual_seed(seed))

    # Which proposals they are does not count.
    assert kept.index.equal(pseudo.index[same.index])
    assert same.index.diff().gt(0).all()
    assert same.seed is not None
    assert same.seed.equal(same.index)
    assert kept.label.equal(pseudo.label[same.index])
    assert kept.weight.equal(pseudo.weight[same.index])
    assert kept.label.unique().equal(pseudo.label.unique())


@parts("samplers")
def test_samplers_keep_each_as_often_in_any_order(name: str) -> None:
    sampler, pseudo, by = build("samplers", name), pseudo_drawn(7, 6), order(3, 6)
    places = torch.arange(6)
    share = []
    for some in (places, by):
        numbered = PseudoInstances(some, pseudo.label[some], pseudo.weight[some])
        generator = torch.Generator().manual_seed(0)
        kept = torch.cat([sampler(numbered, generator).index for _ in range(400)])
        share.append(kept.bincount(minlength=6) / 400)

    # Five standard deviations of the difference of two shares of 400 draws.
    assert torch.allclose(*share, atol=0.18)


# --- Assigners ---------------------------------------------------------------------


def rows(targets: Targets, by: Tensor | None = None) -> list[tuple[float, ...]]:
    columns = (targets.label, targets.integrity, targets.weight, targets.assignment)
    some = [column if by is None else column[by] for column in columns]
    return list(zip(*(column.tolist() for column in some), strict=True))


def assigned(seed: int, count: int) -> tuple[PseudoInstances, Overlaps]:
    pseudo = pseudo_drawn(seed, 1 + seed % 5, count)
    return pseudo, drawn(seed, count, 3)[1]


@parts("assigners")
@settings(max_examples=20)
@given(seeds, counts, branches)
def test_targets_follow_their_proposals_in_any_order(
    name: str, seed: int, count: int, branch: int
) -> None:
    assigner = build("assigners", name, branch)
    (pseudo, overlap), by = assigned(seed, count), order(seed, count)
    moved = PseudoInstances(by.argsort()[pseudo.index], pseudo.label, pseudo.weight)

    here, there = assigner(pseudo, overlap), assigner(moved, overlaps_by(overlap, by))

    assert rows(here, by) == rows(there)


@parts("assigners")
@settings(max_examples=20)
@given(seeds, counts, branches)
def test_a_copy_has_its_originals_target_and_changes_no_other(
    name: str, seed: int, count: int, branch: int
) -> None:
    assigner = build("assigners", name, branch)
    pseudo, overlap = assigned(seed, count)
    one = order(seed, count)[:1]
    by = torch.cat([torch.arange(count), one])

    here, there = assigner(pseudo, overlap), assigner(pseudo, overlaps_by(overlap, by))

    assert rows(there) == rows(here, by)


@parts("assigners")
@settings(max_examples=20)
@given(seeds, counts, branches)
def test_a_pseudo_instance_twice_changes_nothing(
    name: str, seed: int, count: int, branch: int
) -> None:
    assigner = build("assigners", name, branch)
    pseudo, overlap = assigned(seed, count)
    twice = pseudo.chosen(torch.cat([torch.arange(len(pseudo)), torch.tensor([0])]))

    assert rows(assigner(pseudo, overlap)) == rows(assigner(twice, overlap))


@parts("assigners")
@settings(max_examples=20)
@given(seeds, counts, branches)
def test_only_classes_of_pseudo_instances_are_assigned(
    name: str, seed: int, count: int, branch: int
) -> None:
    assigner = build("assigners", name, branch)
    pseudo, overlap = assigned(seed, count)

    targets = assigner(pseudo, overlap)

    foreground = targets.label > 0
    assert torch.isin(targets.label[foreground], pseudo.label).all()
    assert ((targets.assignment >= 0) == foreground).all()
    # A pseudo instance's own proposal is an object of some class.
    assert foreground[pseudo.index].all()


# --- Cues --------------------------------------------------------------------------

SILENT = {"none"}
"""Cues that label nothing."""

SIZE = (16, 24)
MAPS = torch.rand(12, 5, 4, 6, generator=torch.Generator().manual_seed(0))
TAGS = torch.rand(12, 3, generator=torch.Generator().manual_seed(1)) > 0.5
TAGS[0] = torch.tensor([True, False, True])
IMAGE = TaggedImage(
    id=0,
    name="drawn",
    tags=TAGS[0],
    load=lambda: np.zeros((*SIZE, 3), np.uint8),
    points=Points(xy=torch.tensor([[3.0, 5.0], [9, 12]]), label=torch.tensor([1, 3])),
)


@pytest.fixture(scope="module")
def labellers() -> dict[str, Any]:
    made = {}
    for name in set(plugins.names("cues")) - SILENT:
        generator = torch.Generator().manual_seed(0)
        labeller = plugins.create("cues", name).fit(list(MAPS), TAGS, generator)
        if isinstance(labeller, Tracing):
            labeller = labeller.through(_spread)
        made[name] = labeller
    return made


def _spread(image: TaggedImage, gradients: Tensor) -> Tensor:
    """A way to the pixels: each cell's gradient on four by four of them."""
    flat = gradients.abs().sum(1) + 1e-3
    fine = flat.repeat_interleave(4, 1).repeat_interleave(4, 2)
    return fine / fine.sum((1, 2), keepdim=True)


def labels(labellers: dict[str, Any], name: str, proposals: Proposals) -> Tensor:
    found: Tensor = labellers[name](IMAGE, MAPS[0], proposals, overlaps(proposals))
    return found


@parts("cues", SILENT)
@pytest.mark.parametrize("seed", range(6))
def test_labels_follow_their_proposals_in_any_order(
    labellers: dict[str, Any], name: str, seed: int
) -> None:
    proposals, by = random_proposals(12, SIZE, seed), order(seed, 12)

    here = labels(labellers, name, proposals)
    there = labels(labellers, name, select(proposals, by))

    assert there.equal(here[by])


@parts("cues", SILENT)
@pytest.mark.parametrize("seed", range(3))
def test_copies_have_one_label(labellers: dict[str, Any], name: str, seed: int) -> None:
    twice = select(random_proposals(6, SIZE, seed), torch.arange(12) % 6)

    found = labels(labellers, name, twice)

    assert found[:6].equal(found[6:])
    assert not found[:, 2].any()


@parts("cues", SILENT)
@pytest.mark.parametrize("count", [0, 1])
def test_no_proposal_and_a_single_one_have_labels(
    labellers: dict[str, Any], name: str, count: int
) -> None:
    proposals = random_proposals(1, SIZE) if count else empty(SIZE)

    assert labels(labellers, name, proposals).shape == (count, 4)


# --- Sampled problems are what they say --------------------------------------------


def test_reordering_moves_proposals_with_their_scores() -> None:
    scores, by = untied(0, 3, 1), torch.tensor([2, 0, 1])

    moved = scores_by(scores, by)

    assert moved.classification[0].equal(scores.classification[2])
    assert moved.product.unique().numel() == 6
