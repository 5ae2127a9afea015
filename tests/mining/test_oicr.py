import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.plain_mining import found, oicr, plain
from tests.problems import drawn, scores_of, spans, tags_of
from wsis.contracts import Miner
from wsis.mining import OICRMiner

MINER: Miner = OICRMiner()
LINE = spans((0, 4), (2, 6), (8, 12))


def test_takes_the_best_of_each_class_present() -> None:
    scores = scores_of([0.25, 0.5, 0.125], [0.5, 0.5, 0.75], [0.0, 0.0, 1.0])

    pseudo = MINER(scores, LINE, tags_of(1, 1, 0))

    assert found(pseudo) == [(1, 1, 0.5), (2, 2, 0.75)]


def test_a_proposal_taken_is_not_taken_again() -> None:
    scores = scores_of([0.25, 0.5, 0.125], [0.25, 0.75, 0.5])

    assert found(MINER(scores, LINE, tags_of(1, 1))) == [(1, 1, 0.5), (2, 2, 0.5)]


def test_localization_counts() -> None:
    scores = scores_of([0.5, 0.75, 0.5], loc=[[0.5, 0.25, 0.5]])

    assert found(MINER(scores, LINE, tags_of(1))) == [(0, 1, 0.25)]


def test_without_tags_there_is_nothing() -> None:
    scores = scores_of([0.25, 0.5, 0.125])

    assert found(MINER(scores, LINE, tags_of(0))) == []


def test_with_fewer_proposals_than_classes_some_repeat_without_weight() -> None:
    scores = scores_of([0.5], [0.25])

    assert found(MINER(scores, spans((0, 4)), tags_of(1, 1))) == [
        (0, 1, 0.5),
        (0, 2, 0),
    ]


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.integers(1, 30), st.integers(1, 5))
def test_matches_the_plain_loop(seed: int, count: int, classes: int) -> None:
    problem = drawn(seed, count, classes)

    assert found(MINER(*problem)) == oicr(plain(*problem))


def test_later_branches_mine_the_classification_alone() -> None:
    scores = scores_of([0.5, 0.75, 0.5], loc=[[0.5, 0.25, 0.5]])

    assert found(OICRMiner().at(0)(scores, LINE, tags_of(1))) == [(0, 1, 0.25)]
    assert found(OICRMiner().at(1)(scores, LINE, tags_of(1))) == [(1, 1, 0.75)]
    assert found(OICRMiner().at(2)(scores, LINE, tags_of(1))) == [(1, 1, 0.75)]


def test_refuses_a_negative_branch() -> None:
    with pytest.raises(ValueError, match=r"^branch must be 0 or more, got -1"):
        OICRMiner().at(-1)
