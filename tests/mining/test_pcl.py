from itertools import combinations, pairwise

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.plain_mining import Found, found
from tests.problems import drawn, scores_of, spans, tags_of
from tests.properties.problems import found as rows
from tests.properties.problems import order, reordered, untied
from wsis.contracts import BranchScores, Miner, Overlaps
from wsis.mining import PCLMiner
from wsis.mining.pcl import _top_cluster

MINER: Miner = PCLMiner()
# Three on one object, one apart, and background.
LINE = spans((0, 8), (1, 9), (2, 10), (20, 28), (40, 48), (50, 58), (60, 68))
SCORE = [0.75, 0.8125, 0.875, 0.8125, 0.25, 0.25, 0.0625]


def test_the_best_connected_is_the_centre_with_the_best_score_around() -> None:
    pseudo = PCLMiner(centres=1)(scores_of(SCORE), LINE, tags_of(1))

    assert found(pseudo) == [(2, 1, 0.875)]


def test_stops_once_few_are_left() -> None:
    assert found(MINER(scores_of(SCORE), LINE, tags_of(1))) == [(2, 1, 0.875)]


def test_a_neighbour_of_a_centre_is_no_centre_of_what_is_left() -> None:
    # 3 has the neighbours 0, 1, 2, and 0 has 3, 4, 5: once 3 is taken, 0 has gone with
    # it, though it has more neighbours left than 4 and 5, which know only themselves.
    iou = torch.eye(6)
    for one, other in ((3, 0), (3, 1), (3, 2), (0, 4), (0, 5)):
        iou[one, other] = iou[other, one] = 0.5
    line = Overlaps(iou, iou, torch.ones(6))
    score = [0.25, 0.25, 0.25, 0.25, 0.875, 0.75]

    pseudo = PCLMiner(clusters=1, centres=1)(scores_of(score), line, tags_of(1))

    assert found(pseudo) == [(5, 1, 0.75)]


def test_every_object_has_its_centre() -> None:
    line = spans(*[(10 * i, 10 * i + 4) for i in range(8)], (100, 104), (110, 114))
    score = [0.5 + i / 16 for i in range(8)] + [0.25, 0.125]

    pseudo = PCLMiner(clusters=2, centres=3)(scores_of(score), line, tags_of(1))

    # All have one neighbour, so that the highest index is taken first.
    assert pseudo.index.tolist() == [7, 6, 5]


def test_a_centre_leaves_the_pool() -> None:
    score = [0.75, 0.25, 0.5, 0.125]
    line = spans((0, 4), (10, 14), (20, 24), (30, 34))

    pseudo = MINER(scores_of(score, score), line, tags_of(1, 1))

    assert found(pseudo) == [(0, 1, 0.75), (2, 2, 0.5)]


def test_too_small_a_pool_gives_nothing() -> None:
    pseudo = MINER(scores_of([0.75, 0.25]), spans((0, 4), (2, 6)), tags_of(1))

    assert found(pseudo) == []


@pytest.mark.parametrize("setting", ["clusters", "centres"])
def test_refuses_no_clusters(setting: str) -> None:
    with pytest.raises(ValueError, match=f"^{setting} must be positive, got 0"):
        PCLMiner(**{setting: 0})


def test_refuses_a_threshold_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"^t_graph must be in \[0, 1\), got 1.0"):
        PCLMiner(t_graph=1.0)


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 1000), min_size=4, max_size=12, unique=True),
    st.integers(1, 4),
)
def test_the_top_cluster_is_that_of_the_best_partition(
    values: list[int], clusters: int
) -> None:
    top = _top_cluster(torch.tensor(values, dtype=torch.float64), clusters).tolist()

    ordered = sorted(values)
    costs = {}
    for cuts in combinations(range(1, len(values)), clusters - 1):
        ends = [0, *cuts, len(values)]
        parts = [ordered[a:b] for a, b in pairwise(ends)]
        costs[cuts] = sum(
            len(part) * sum(v * v for v in part) * 720720 // len(part)
            - sum(part) ** 2 * 720720 // len(part)
            for part in parts
        )
    least = min(costs.values())
    tops = [
        ordered[(cuts[-1] if cuts else 0) :]
        for cuts, cost in costs.items()
        if cost == least
    ]
    assert sorted(values[i] for i in top) in tops
    assert top == sorted(top)


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 4))
def test_finds_few_distinct_proposals_per_class(
    seed: int, count: int, classes: int
) -> None:
    scores, overlaps, tags = drawn(seed, count, classes)

    pseudo = MINER(scores, overlaps, tags)

    assert len(pseudo.index.unique()) == len(pseudo)
    assert (pseudo.label.bincount(minlength=classes + 1) <= 5).all()
    assert tags[pseudo.label - 1].all()
    assert (pseudo.weight <= 1).all()


def plain_pcl(
    miner: PCLMiner, scores: BranchScores, overlaps: Overlaps, tags: Tensor
) -> tuple[Found, bool]:
    """What PCL finds, in loops, and whether proposals had equally many neighbours."""
    score = scores.product.clamp(1e-9, 1 - 1e-9)
    near = (overlaps.iou > miner.t_graph).tolist()
    pool, result, tied = list(range(len(score))), [], False
    for c in (tags.nonzero().flatten() + 1).tolist():
        if len(pool) < miner.clusters:
            continue
        top = _top_cluster(score[pool, c], miner.clusters).tolist()
        left, centres = [pool[i] for i in top], []
        while not centres or len(left) > miner.centres:
            degree = [sum(near[i][j] for j in left) for i in left]
            best = [i for i, d in zip(left, degree, strict=True) if d == max(degree)]
            tied |= len(best) > 1
            around = [j for j in left if near[best[-1]][j]]
            weight = max(float(score[j, c]) for j in around)
            centres.append((weight, len(centres), best[-1]))
            left = [j for j in left if j not in around]
        kept = sorted(centres, reverse=True)[: miner.centres]
        result += [(i, c, weight) for weight, _, i in kept]
        pool = [i for i in pool if i not in {i for _, _, i in kept}]
    return result, tied


miners = st.builds(
    PCLMiner,
    clusters=st.integers(1, 3),
    t_graph=st.sampled_from([0.0, 0.2, 0.4, 0.5]),
    centres=st.integers(1, 5),
)


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.integers(1, 30), st.integers(1, 4), miners)
def test_matches_the_plain_loop(
    seed: int, count: int, classes: int, miner: PCLMiner
) -> None:
    problem = drawn(seed, count, classes)

    assert found(miner(*problem)) == plain_pcl(miner, *problem)[0]


@settings(max_examples=40, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.integers(0, 2**31), st.integers(3, 9), miners)
def test_order_decides_ties_between_neighbours_alone(
    seed: int, count: int, miner: PCLMiner
) -> None:
    scores, overlaps = untied(seed, count, 2), drawn(seed, count, 2)[1]
    tags, by = tags_of(1, 1), order(seed, count)
    assume(not plain_pcl(miner, scores, overlaps, tags)[1])

    here = miner(scores, overlaps, tags)
    there = miner(*reordered(scores, overlaps, by), tags)

    assert rows(here) == rows(there, by)


def test_an_impossible_score_keeps_a_weight() -> None:
    pseudo = PCLMiner(clusters=1)(scores_of([0.0]), spans((0, 4)), tags_of(1))

    assert pseudo.weight.tolist() == pytest.approx([1e-9])


@pytest.mark.parametrize("more", ["below", "above"])
def test_scores_that_all_but_agree_are_split_where_the_distances_are_least(
    more: str,
) -> None:
    """Three neighbours in float32; by their numbers the middle one belongs to either.

    The distances differ by 4e-16, of sums of squares of 2,500 without the shift.
    """
    low, middle, high = (1 - k * 2**-24 for k in (3, 2, 1))
    below, above = (1001, 1000) if more == "below" else (1000, 1001)
    score = torch.tensor([high] * above + [low] * below + [middle] * 500)

    top = _top_cluster(score, 2).tolist()

    centre = list(range(2001, 2501))
    assert top == list(range(above)) + (centre if more == "below" else [])
