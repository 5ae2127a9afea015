import numpy as np
import pytest
from scipy import stats

from wsis.experiments.tuning import judge
from wsis.experiments.tuning.judging import (
    _draws,
    correlation,
    interval,
    ranks,
    regret,
    small_regret,
)


def test_ranks_go_from_0_to_1_and_are_shared():
    assert ranks(np.array([3.0, 1.0, 2.0])).tolist() == [1.0, 0.0, 0.5]
    assert ranks(np.array([5.0, 5.0, 7.0])).tolist() == [0.25, 0.25, 1.0]
    assert ranks(np.array([5.0])).tolist() == [1.0]


def test_correlations_of_known_orders():
    one = np.arange(5.0)

    assert correlation(one, one**3) == pytest.approx(1)
    assert correlation(one, -one) == pytest.approx(-1)
    # Spearman: 1 − 6 Σd² / (n (n² − 1)), d = (0, 0, 0, 1, −1); Kendall: 9 of 10 agree.
    other = np.array([0.0, 1, 2, 4, 3])
    assert correlation(one, other) == pytest.approx(1 - 6 * 2 / (5 * 24))
    assert correlation(one, other, stats.kendalltau) == pytest.approx((9 - 1) / 10)


def test_nothing_is_known_of_two_or_of_a_constant():
    assert correlation(np.array([1.0, 2.0]), np.array([1.0, 2.0])) is None
    assert correlation(np.ones(5), np.arange(5.0)) is None
    assert interval(np.ones(5), np.arange(5.0)) is None


def test_an_interval_is_of_resampled_settings():
    one = np.array([1.0, 2.0, 2.0, 4.0, 5.0, 7.0])
    other = np.array([2.0, 1.0, 3.0, 3.0, 9.0, 5.0])

    draws = _draws(6, 6, 200, "tuning bootstrap", again=True)
    slow = [correlation(one[draw], other[draw]) for draw in draws]
    wanted = np.quantile([r for r in slow if r is not None], [0.025, 0.975])
    assert interval(one, other, samples=200) == pytest.approx(tuple(wanted))


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    held = 0
    for _ in range(40):
        one, other = random.normal(size=(2, 40))
        low, high = interval(one, other, samples=200)
        held += low <= 0 <= high

    assert held >= 34


def test_regret_is_what_the_best_has_more_than_the_choice():
    verdict = np.array([10.0, 40.0, 30.0])

    assert regret(np.array([0.0, 1.0, 0.5]), verdict) == 0
    assert regret(np.array([0.0, 0.5, 1.0]), verdict) == 10
    assert regret(np.array([1.0, 0.5, 1.0]), verdict) == 20  # (30 + 10) / 2


def test_small_regret_of_a_perfect_criterion_and_of_none():
    verdict = np.arange(30.0)

    chosen, chance = small_regret(verdict, verdict, samples=200)
    assert chosen == 0
    # Best of ten of 0…29 less the mean: 10/11 · 30 − 1 + 1/11… about 26.3 − 14.5.
    assert chance == pytest.approx(10 / 11 * 31 - 1 - 14.5, abs=0.4)
    same, chance = small_regret(np.ones(30), verdict, samples=200)
    assert same == pytest.approx(chance)
    assert small_regret(verdict[:10], verdict[:10]) is None


def test_the_verdict_by_hand():
    found = judge(
        {
            "good": [1.0, 2.0, 3.0, 4.0],
            "bad": [4.0, 3.0, 2.0, 1.0],
            "unknown": [1.0, None, 2.0, 3.0],
        },
        [10.0, 20.0, 40.0, 30.0],
    )

    assert (found["best"], found["default"], found["mean"]) == (40, 10, 25)
    assert (found["default_regret"], found["random_regret"]) == (30, 15)
    assert list(found["criteria"]) == ["good", "bad"]
    good, bad = found["criteria"].values()
    assert good["spearman"] == pytest.approx(0.8)
    assert (good["chosen"], good["regret"], good["gain"]) == (30, 10, 20)
    assert (good["above"], bad["above"]) == (0.5, 0.0)
    assert bad["spearman"] == pytest.approx(-0.8)
    assert bad["regret"] == 30
    assert good["among_few"] is None


def test_the_same_figures_give_the_same_intervals():
    values = {"one": [3.0, 1.0, 4.0, 1.5, 9.0, 2.0, 6.0]}
    verdict = [2.0, 7.0, 1.0, 8.0, 2.5, 8.5, 3.0]

    assert judge(values, verdict) == judge(values, verdict)
