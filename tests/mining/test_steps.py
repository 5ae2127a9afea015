import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.plain_mining import found
from tests.problems import drawn, pseudo_of, spans
from wsis.mining._steps import each_once, greedy_nms, ranked, strict_nms

# Each overlaps the next by a third and no other: 0–1–2.
CHAIN = spans((0, 4), (2, 6), (4, 8)).iou


def test_a_suppressed_proposal_suppresses_nobody() -> None:
    ranks = torch.tensor([[0, 1, 2]])

    assert greedy_nms(ranks, CHAIN, 0.3).tolist() == [[True, False, True]]


def test_the_strict_reading_lets_it_suppress() -> None:
    ranks = torch.tensor([[0, 1, 2]])

    assert strict_nms(ranks, CHAIN, 0.3).tolist() == [[True, False, False]]


def test_an_overlap_equal_to_the_limit_suppresses() -> None:
    iou = spans((0, 4), (2, 4)).iou
    ranks = torch.tensor([[0, 1]])

    assert greedy_nms(ranks, iou, 0.5).tolist() == [[True, False]]
    assert greedy_nms(ranks, iou, 0.51).tolist() == [[True, True]]


def test_equal_scores_rank_by_index() -> None:
    scores = torch.tensor([[0.5, 0.1], [0.9, 0.1], [0.5, 0.1]])

    assert ranked(scores, 2).tolist() == [[1, 0], [0, 1]]


def test_nothing_ranked_keeps_nothing() -> None:
    ranks = torch.empty(0, 3, dtype=torch.long)

    assert greedy_nms(ranks, CHAIN, 0.3).shape == (0, 3)
    assert greedy_nms(torch.empty(2, 0, dtype=torch.long), CHAIN, 0.3).shape == (2, 0)


@settings(max_examples=60)
@given(
    st.integers(0, 2**31), st.integers(1, 30), st.sampled_from([0.2, 0.25, 0.5, 1.0])
)
def test_greedy_matches_the_loop(seed: int, count: int, limit: float) -> None:
    scores, overlaps, _ = drawn(seed, count, classes=2)
    ranks = ranked(scores.classification, count)

    keep = greedy_nms(ranks, overlaps.iou, limit)

    for row, kept_row in zip(ranks, keep, strict=True):
        kept: list[int] = []
        for i in row.tolist():
            if not any(bool(overlaps.iou[i, j] >= limit) for j in kept):
                kept.append(i)
        assert row[kept_row].tolist() == kept


def test_the_larger_weight_gives_the_class() -> None:
    pseudo = pseudo_of((4, 1, 0.25), (2, 1, 0.5), (4, 2, 0.75), (2, 3, 0.125))

    assert found(each_once(pseudo)) == [(2, 1, 0.5), (4, 2, 0.75)]


def test_of_equal_weights_the_first_stays() -> None:
    pseudo = pseudo_of((1, 2, 0.5), (1, 3, 0.5), (0, 4, 0.0), (0, 5, 0.0))

    assert found(each_once(pseudo)) == [(0, 4, 0.0), (1, 2, 0.5)]


def test_those_of_weight_minus_infinity_go_and_hide_no_others() -> None:
    none = -torch.inf
    pseudo = pseudo_of((0, 1, none), (0, 2, 0.25), (3, 1, none), (5, 1, 0.5))

    assert found(each_once(pseudo)) == [(0, 2, 0.25), (5, 1, 0.5)]


def test_nothing_stays_nothing() -> None:
    assert found(each_once(pseudo_of())) == []
