import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.plain_mining import cim, found, plain
from tests.problems import drawn, overlaps_of, scores_of, spans, tags_of
from wsis.contracts import BranchScores, Cascading, Miner
from wsis.mining import CIMMiner
from wsis.mining.cim import oversized

MINER: Miner = CIMMiner()
# A part and the whole around it, a thing apart, and the image.
SCENE = spans((0, 2), (0, 6), (10, 14), (0, 20))
# Parts of one another, and the image.
NESTED = spans((0, 2), (0, 6), (0, 8), (0, 20))


def test_grows_a_part_to_the_whole() -> None:
    scores = scores_of([0.75, 0.5, 0.25, 0.125], loc=[[0.25, 0.5, 0.125, 1.0]])

    pseudo = MINER(scores, SCENE, tags_of(1))

    assert found(pseudo) == [(1, 1, 0.25)]


def test_tells_the_seed_of_each_instance() -> None:
    scores = scores_of([0.75, 0.5, 0.25, 0.125], loc=[[0.25, 0.5, 0.125, 1.0]])

    pseudo = CIMMiner(p_seed=0.75)(scores, SCENE, tags_of(1))

    # The part and the whole are seeds of the whole; the part is classified higher.
    assert pseudo.seed is not None
    assert list(zip(pseudo.seed.tolist(), pseudo.index.tolist(), strict=True)) == [
        (0, 1),
        (2, 2),
    ]
    some = pseudo.chosen(torch.tensor([1])).seed
    assert some is not None
    assert some.tolist() == [2]


def test_finds_every_instance() -> None:
    scores = scores_of([0.75, 0.5, 0.25, 0.125], loc=[[0.25, 0.5, 0.125, 1.0]])

    pseudo = CIMMiner(p_seed=0.75)(scores, SCENE, tags_of(1))

    assert found(pseudo) == [(1, 1, 0.25), (2, 1, 0.03125)]


def test_without_integrity_the_best_classified_whole_is_taken() -> None:
    cls = scores_of([0.75, 0.25, 0.5, 0.125]).classification

    # The seed contains itself, as every proposal does, and is the best classified.
    pseudo = MINER(BranchScores(cls, None), NESTED, tags_of(1))

    assert found(pseudo) == [(0, 1, 0.75)]


def test_saturated_integrity_is_still_integrity() -> None:
    # In float32 a sigmoid is exactly 1 from a logit of 17 on.
    integrity = torch.full((4, 2), 17.0).sigmoid()
    assert bool((integrity == 1).all())
    line = spans((0, 8), (0, 2), (10, 20), (10, 30))
    cls = scores_of([0.25, 0.75, 0, 0]).classification

    # The whole and the part are equally whole then: the first is taken, not the one
    # that is classified best.
    pseudo = MINER(BranchScores(cls, integrity), line, tags_of(1))

    assert found(pseudo) == [(0, 1, 0.25)]


def test_the_image_itself_is_oversized() -> None:
    assert oversized(SCENE).tolist() == [False, False, False, True]


def test_a_seed_that_only_the_image_contains_gives_nothing() -> None:
    scores = scores_of([0.25, 0.25, 0.25, 0.75])

    assert found(MINER(scores, SCENE, tags_of(1))) == []


def test_a_lone_proposal_is_oversized() -> None:
    assert found(MINER(scores_of([0.75]), spans((0, 2)), tags_of(1))) == []


def test_containing_as_much_as_the_threshold_is_not_containing() -> None:
    # The second holds 17 of the first's 20 pixels, which is 0.85; the third holds 18.
    line = spans((0, 20), (3, 30), (2, 40), (50, 60))
    loc = [0.25, 1.0, 0.5, 0.0]

    pseudo = MINER(scores_of([0.75, 0.5, 0.25, 0.0], loc=[loc]), line, tags_of(1))

    assert found(pseudo) == [(2, 1, 0.125)]


def test_holding_nine_tenths_of_the_proposals_is_oversized() -> None:
    pixels = torch.eye(10, dtype=torch.bool)
    pixels[0, :9] = True

    assert oversized(overlaps_of(pixels)).tolist() == [True] + [False] * 9
    pixels[0, 8] = False
    assert not oversized(overlaps_of(pixels)).any()


def test_a_proposal_found_for_two_classes_keeps_the_heavier() -> None:
    scores = scores_of([0.75, 0.25, 0, 0], [0.75, 0.5, 0, 0], [0.75, 0.5, 0, 0])
    loc = torch.zeros_like(scores.classification)
    loc[1] = 1.0

    pseudo = MINER(BranchScores(scores.classification, loc), SCENE, tags_of(1, 1, 1))

    assert found(pseudo) == [(1, 2, 0.5)]


def test_without_tags_there_is_nothing() -> None:
    assert found(MINER(scores_of([0.5] * 4), SCENE, tags_of(0))) == []


def test_the_threshold_rises_by_branch() -> None:
    assert isinstance(CIMMiner(), Cascading)
    assert [CIMMiner().at(k).t_cls for k in range(3)] == [0.25, 0.35, 0.25 + 0.1 * 2]
    assert CIMMiner(step=0.0).at(2) == CIMMiner(step=0.0)


@pytest.mark.parametrize("setting", ["p_seed", "oversize", "t_cls"])
@pytest.mark.parametrize("value", [0.0, -0.5, 1.5, float("nan")])
def test_refuses_what_is_no_fraction(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^{setting} must be in \(0, 1\], got"):
        CIMMiner(**{setting: value})


def test_refuses_a_containment_that_nothing_reaches() -> None:
    with pytest.raises(ValueError, match=r"^containment must be in \[0, 1\), got 1.0"):
        CIMMiner(containment=1.0)
    with pytest.raises(ValueError, match=r"^step must be in \[0, 1\], got -0.5"):
        CIMMiner(step=-0.5)


def test_oversized_proposals_contain_more_than_the_threshold() -> None:
    # The first holds 17 of the second's 20 pixels, which is 0.85; or 18 of them.
    assert not oversized(spans((0, 100), (83, 103))).any()
    assert oversized(spans((0, 100), (82, 102))).tolist() == [True, False]


def test_refuses_a_negative_branch() -> None:
    with pytest.raises(ValueError, match=r"^branch must be 0 or more, got -1"):
        CIMMiner().at(-1)


@settings(max_examples=100)
@given(
    st.integers(0, 2**31),
    st.integers(1, 40),
    st.integers(1, 5),
    st.sampled_from([0.1, 0.5, 1.0]),
    st.sampled_from([0.25, 0.35, 0.5, 1.0]),
)
def test_matches_the_plain_loop(
    seed: int, count: int, classes: int, p_seed: float, t_cls: float
) -> None:
    scores, *rest = drawn(seed, count, classes)
    miner = CIMMiner(p_seed=p_seed, t_cls=t_cls)

    for one in (scores, BranchScores(scores.classification, None)):
        assert found(miner(one, *rest)) == cim(plain(one, *rest), p_seed, t_cls)


def test_oversized_proposals_are_found_anew_for_other_settings_and_overlaps():
    wide = spans((0, 100), (82, 102))

    assert oversized(wide).tolist() == [True, False]
    oversized(wide).fill_(value=False)
    assert oversized(wide).tolist() == [True, False]
    assert oversized(wide, 0.95).tolist() == [False, False]
    assert oversized(wide, share=0.5).tolist() == [True, True]
    assert oversized(wide).tolist() == [True, False]
    assert oversized(spans((0, 10), (20, 30))).tolist() == [False, False]
