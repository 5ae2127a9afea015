"""Criteria on four strips of an image ten pixels wide, of two classes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import random_proposals, strips
from wsis.contracts import BranchScores
from wsis.experiments.tuning import criteria
from wsis.experiments.tuning._seen import Seen
from wsis.experiments.tuning.criteria import CRITERIA, chance_ap, class_mean, mean_ap
from wsis.geometry.masks import dense
from wsis.geometry.overlap import overlaps
from wsis.training.network import Scores

PART, WHOLE, TOO_LARGE, APART = range(4)
PROPOSALS = strips((0, 2), (0, 4), (0, 8), (8, 10))
NAN = float("nan")


def branch(*best, integrity=1.0, count=4):
    """A branch whose best proposal of each class is the one given."""
    classification = torch.full((count, len(best) + 1), 0.1)
    for c, index in enumerate(best):
        classification[index, c + 1] = 0.8
    return BranchScores(classification, torch.full_like(classification, integrity))


def scores(*branches, anti_noise=None):
    return Scores(anti_noise or branches[0], tuple(branches))


def seen(plain, tags=(True, False), **others):
    given = {"flipped": None, "smaller": None, **others}
    evidence = given.pop("evidence", torch.zeros(PROPOSALS.members.shape[1], 2))
    return Seen(
        tags=torch.tensor(tags),
        proposals=PROPOSALS,
        plain=plain,
        evidence=evidence,
        **given,
    )


def test_a_tag_is_worth_its_best_instance():
    one = seen(scores(branch(PART, APART, integrity=0.5), branch(PART, APART)))

    # The mean over branches of 0.8 · 0.5 and 0.8 · 1.
    assert criteria.tag_scores(one).tolist() == pytest.approx([0.6, 0.6])


def test_a_bag_is_worth_the_sum_of_the_anti_noise_branch():
    mil = BranchScores(torch.tensor([[0.5, 0.5, 0.0]] * 4), torch.full((4, 3), 0.25))
    one = seen(scores(branch(PART, PART), anti_noise=mil))

    assert criteria.bag_scores(one).tolist() == pytest.approx([0.5, 0.0])


def test_branches_that_disagree_by_half():
    one = seen(
        scores(branch(PART, PART), branch(WHOLE, PART), branch(WHOLE, APART)),
        tags=(True, True),
    )

    # 2 of 4 pixels, then the same; the same, then nothing in common.
    assert criteria.agreement(one).tolist() == pytest.approx([0.75, 0.5])


def test_a_single_branch_is_compared_with_the_anti_noise_branch():
    one = seen(scores(branch(WHOLE, PART), anti_noise=branch(PART, PART)))

    assert criteria.agreement(one)[0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("look", "view"), [(criteria.flips, "flipped"), (criteria.scales, "smaller")]
)
def test_views_agree_where_the_same_proposal_is_best(look, view):
    plain = scores(branch(WHOLE, PART))
    other = scores(branch(TOO_LARGE, PART))

    assert look(seen(plain, **{view: plain}))[0] == 1
    assert look(seen(plain, **{view: other}))[0] == pytest.approx(0.5)
    assert look(seen(plain)).isnan().all()


def test_integrity_of_the_best():
    one = scores(branch(WHOLE, PART, integrity=0.4), branch(WHOLE, PART, integrity=0.8))

    assert criteria.integrity(seen(one))[0] == pytest.approx(0.6)
    bare = tuple(replace(b, localization=None) for b in one.branches)
    assert criteria.integrity(seen(replace(one, branches=bare))).isnan().all()


def region_evidence(*by_pixel):
    """What regions respond, where each is given by its pixels' responses."""
    regions = PROPOSALS.regions.flatten()
    values = torch.zeros(int(regions.max()) + 1)
    for pixel, value in enumerate(by_pixel):
        values[regions[pixel]] = value
    return torch.stack([values, values], 1)


def test_evidence_is_highest_for_the_whole_object():
    responses = region_evidence(5, 5, 5, 5, 0, 0, 0, 0, 0, 0)

    part, whole, too_large, apart = (
        float(
            criteria.evidence(seen(scores(branch(best, best)), evidence=responses))[0]
        )
        for best in (PART, WHOLE, TOO_LARGE, APART)
    )

    assert whole == pytest.approx(1)
    # Correlations of two yes/no vectors of ten pixels, by hand.
    assert part == pytest.approx(0.12 / (0.16 * 0.24) ** 0.5, abs=1e-5)
    assert too_large == pytest.approx(0.08 / (0.16 * 0.24) ** 0.5, abs=1e-5)
    assert apart < 0


def test_nothing_is_said_where_all_responds_alike():
    one = seen(scores(branch(WHOLE, PART)), evidence=region_evidence(*[1] * 10))

    assert criteria.evidence(one).isnan().all()


@given(st.integers(0, 1000))
def test_evidence_and_overlap_as_pixel_by_pixel(seed):
    proposals = random_proposals(5, seed=seed)
    regions = proposals.members.shape[1]
    draw = torch.Generator().manual_seed(seed)
    responses = torch.randn(regions, 1, generator=draw)
    best = int(torch.randint(5, (1,), generator=draw))
    one = Seen(
        tags=torch.tensor([True]),
        proposals=proposals,
        plain=scores(branch(best, count=5)),
        flipped=None,
        smaller=None,
        evidence=responses,
    )

    found = float(criteria.evidence(one))
    mask = dense(proposals, torch.tensor([best]))[0].flatten().double().numpy()
    pixels = responses[proposals.regions.flatten(), 0].double().numpy()
    if pixels.std() < 1e-6:
        assert np.isnan(found)
    elif mask.all():
        assert found == 0
    else:
        assert found == pytest.approx(np.corrcoef(mask, pixels)[0, 1], abs=1e-4)
    rows = torch.arange(5)
    iou = overlaps(proposals).iou
    torch.testing.assert_close(one.overlap(rows, rows.flip(0)), iou[rows, rows.flip(0)])


def test_every_criterion_of_place_is_silent_on_absent_classes():
    one = scores(branch(WHOLE, PART), branch(PART, PART))
    absent = seen(one, tags=(False, False), flipped=one, smaller=one)

    for criterion in CRITERIA:
        if criterion.join is class_mean:
            assert criterion.look(absent).isnan().all(), criterion.name


def test_mean_ap_by_hand():
    rows = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    tags = np.array([[1, 0], [0, 0], [1, 1], [0, 1]], bool)

    # Class 1: found at ranks 1 and 3, (1 + 2/3) / 2; class 2: at ranks 1 and 2.
    assert mean_ap(rows, tags) == pytest.approx((5 / 6 + 1) / 2)


def test_mean_ap_says_nothing_where_all_or_none_have_the_tag():
    rows, tags = np.zeros((2, 2)), np.array([[True, False], [True, False]])

    assert mean_ap(rows, tags) is None


def test_class_means_weigh_classes_alike():
    rows = np.array([[1.0, NAN, NAN], [0.0, 0.4, NAN], [0.5, NAN, NAN]])

    assert class_mean(rows, np.ones((3, 3), bool)) == pytest.approx((0.5 + 0.4) / 2)
    assert class_mean(np.full((2, 2), NAN), np.ones((2, 2), bool)) is None


def test_names_are_different():
    assert len({criterion.name for criterion in CRITERIA}) == len(CRITERIA)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_chance_is_about_the_share_of_photos_with_the_tag(share):
    tags = np.zeros((200, 2), bool)
    tags[: round(200 * share)] = True

    # The precision that recall allows at best is a little above it.
    assert share <= chance_ap(tags) < share + 0.05


def test_chance_of_tags_that_all_or_none_have_is_unknown():
    assert chance_ap(np.ones((5, 2), bool)) is None
