import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.plain_mining import found, mist_box, mist_mask, plain
from tests.problems import drawn, scores_of, spans, tags_of
from wsis.contracts import Cascading, Miner
from wsis.mining import MISTMiner

MINER: Miner = MISTMiner()
# Each overlaps the next by a third and no other.
CHAIN = spans((0, 4), (2, 6), (4, 8))


def test_the_mask_reading_forgives_what_was_dropped() -> None:
    scores = scores_of([0.75, 0.5, 0.25])

    pseudo = MISTMiner(top=1.0)(scores, CHAIN, tags_of(1))

    assert found(pseudo) == [(0, 1, 0.75), (2, 1, 0.25)]


def test_the_box_reading_does_not() -> None:
    scores = scores_of([0.75, 0.5, 0.25])

    pseudo = MISTMiner(reading="box", top=1.0)(scores, CHAIN, tags_of(1))

    assert found(pseudo) == [(0, 1, 0.75)]


def test_counts_the_best_part_only() -> None:
    line = spans(*[(10 * i, 10 * i + 4) for i in range(14)])
    scores = scores_of([i / 16 for i in range(14)])

    assert MISTMiner()(scores, line, tags_of(1)).index.tolist() == [12, 13]
    assert MISTMiner(reading="box")(scores, line, tags_of(1)).index.tolist() == [13, 12]


def test_the_mask_reading_gives_a_proposal_one_class() -> None:
    scores = scores_of([0.5, 0.25], [0.75, 0.5])
    line = spans((0, 4), (6, 8))

    assert found(MISTMiner(top=0.5)(scores, line, tags_of(1, 1))) == [(0, 2, 0.75)]


def test_few_boxes_give_nothing() -> None:
    scores = scores_of([0.75, 0.5, 0.25])

    assert found(MISTMiner(reading="box")(scores, CHAIN, tags_of(1))) == []


def test_without_tags_there_is_nothing() -> None:
    assert found(MINER(scores_of([0.75, 0.5, 0.25]), CHAIN, tags_of(0))) == []


def test_only_the_mask_reading_rises_by_branch() -> None:
    assert isinstance(MISTMiner(), Cascading)
    assert MISTMiner().at(2).t_cls == 0.25 + 0.1 * 2
    assert MISTMiner(reading="box").at(2).t_cls == 0.2
    assert MISTMiner(reading="box", step=0.25).at(1).t_cls == 0.45


@pytest.mark.parametrize("setting", ["top", "t_cls"])
@pytest.mark.parametrize("value", [0.0, -0.5, 1.5, float("nan")])
def test_refuses_what_is_no_fraction(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^{setting} must be in \(0, 1\], got"):
        MISTMiner(**{setting: value})


def test_refuses_a_step_down() -> None:
    with pytest.raises(ValueError, match=r"^step must be in \[0, 1\], got -0.5"):
        MISTMiner(step=-0.5)


def test_refuses_branches_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"^branch must be 0 or more, got -1"):
        MISTMiner().at(-1)
    with pytest.raises(ValueError, match=r"^t_cls must be in \(0, 1\]"):
        MISTMiner().at(8)


def test_refuses_an_unknown_reading() -> None:
    # The run-time check of types, on in tests, refuses it first: with a TypeError.
    with pytest.raises((ValueError, TypeError), match="reading"):
        MISTMiner(reading="boxes")  # type: ignore[arg-type]


@settings(max_examples=60)
@given(
    st.integers(0, 2**31),
    st.integers(1, 40),
    st.integers(1, 5),
    st.sampled_from([0.1, 0.15, 0.5, 1.0]),
    st.sampled_from([0.2, 0.25, 0.5, 1.0]),
)
def test_matches_the_plain_loops(
    seed: int, count: int, classes: int, top: float, t_cls: float
) -> None:
    problem = drawn(seed, count, classes)
    mask = MISTMiner(top=top, t_cls=t_cls)
    box = MISTMiner(reading="box", top=top, t_cls=t_cls)

    assert found(mask(*problem)) == mist_mask(plain(*problem), top, t_cls)
    assert found(box(*problem)) == mist_box(plain(*problem), top, t_cls)
