"""Verdicts on simulated results whose truth is known."""

import math

import numpy as np
import pytest

from wsis.experiments._statistics import Estimate

EXPERIMENTS = 2000


def estimates(effect, seeds, *, seed_spread, image_spread, images=100, both=0.0):
    """Differences of many experiments: effect + images' part + each seed's part.

    The variance by images is itself estimated, as a bootstrap would: a scaled χ².
    ``both`` is the spread of what one seed does on one set of images, which seeds and
    bootstrap see alike.
    """
    draw = np.random.default_rng(0)
    for _ in range(EXPERIMENTS):
        shared = draw.normal(0, image_spread)
        own = draw.normal(0, math.hypot(seed_spread, both), seeds)
        values = effect + shared + own
        true = image_spread**2 + both**2 / seeds
        yield Estimate(
            mean=float(values.mean()),
            seeds=seeds,
            seed_variance=float(values.var(ddof=1)) / seeds,
            image_variance=true * draw.chisquare(images - 1) / (images - 1),
            images=images,
        )


def share(verdict, found):
    return np.mean([one.verdict() == verdict for one in found])


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("image_spread", [0.0, 0.3, 1.0, 3.0])
def test_at_most_one_verdict_in_twenty_is_false(seeds, image_spread):
    found = list(
        estimates(0, seeds, seed_spread=1, image_spread=image_spread, both=0.5)
    )

    false = 1 - share("not significant", found)

    # Three standard errors of the share that so many experiments give.
    assert false < 0.05 + 3 * math.sqrt(0.05 * 0.95 / EXPERIMENTS)


def test_the_interval_covers_the_truth():
    found = estimates(2.0, 3, seed_spread=1, image_spread=1)
    spans = [one.interval() for one in found]

    covered = np.mean([low <= 2.0 <= high for low, high in spans])

    assert covered > 0.95 - 3 * math.sqrt(0.05 * 0.95 / EXPERIMENTS)


@pytest.mark.parametrize(
    ("effect", "seeds", "least"), [(3.0, 3, 0.6), (3.0, 5, 0.98), (1.5, 10, 0.85)]
)
def test_real_differences_are_found(effect, seeds, least):
    better = list(estimates(effect, seeds, seed_spread=1, image_spread=0.3))
    worse = list(estimates(-effect, seeds, seed_spread=1, image_spread=0.3))

    assert share("better", better) > least
    assert share("worse", worse) > least
    assert share("worse", better) < 0.001


def test_so_many_seeds_more_settle_it():
    one = Estimate(
        mean=2.0, seeds=3, seed_variance=4 / 3, image_variance=0.04, images=100
    )
    more = one.seeds_more()

    assert one.verdict() == "not significant"
    found = list(estimates(2.0, 3 + more, seed_spread=2, image_spread=0.2))
    assert share("better", found) == pytest.approx(0.8, abs=0.04)


def test_more_seeds_do_not_help_where_images_are_too_few():
    one = Estimate(mean=1.0, seeds=3, seed_variance=0.01, image_variance=1.0, images=50)

    assert one.verdict() == "not significant"
    assert one.seeds_more() is None


def test_one_seed_shows_nothing():
    one = Estimate.of(np.array([30.0]), np.array([[29.9, 30.1, 30.0]]), images=50)

    assert one.verdict() == "not significant"
    assert (one.p, one.interval(), one.deviation, one.seeds_more()) == (None,) * 4


def test_variances_are_those_of_seeds_and_of_images():
    values = np.array([1.0, 3.0])
    resampled = np.array([[1.0, 2.0, np.nan], [3.0, 6.0, np.nan]])

    one = Estimate.of(values, resampled, images=5)

    assert one.mean == 2
    assert one.deviation == pytest.approx(math.sqrt(2))
    assert one.seed_variance == pytest.approx(1)
    # Means of the samples 2 and 4; a sample without objects is left out.
    assert one.image_variance == pytest.approx(2 * 5 / 4)


def test_what_never_differs_is_not_shown_to():
    same = Estimate.of(np.zeros(3), np.zeros((3, 10)), images=10)

    assert (same.p, same.verdict()) == (1.0, "not significant")
