"""Judges differences between strategies from few seeds and a sample of images.

Two things make a figure uncertain: the seed of a run, and which images happen to be in
the validation set. The images are resampled, as mAP has no simple formula for them. The
seeds are not: a bootstrap takes few seeds for all there are, and with three to five it
calls a difference real far too often. Their part of the variance is s²/S. The margin of
a mean at a level is √(t²(S−1)·s²/S + t²(N−1)·v), t being Student's quantiles, S and N
the numbers of seeds and images, and v the variance that resampling the images gives. It
holds at least what it promises whichever part dominates, with two seeds as well; the
degrees of freedom of Welch and Satterthwaite would not (up to 12 % false verdicts with
two seeds, 7 % with three, in the simulation of the tests).

Banerjee, "Approximate confidence interval for linear functions of means of k
populations when the population variances are not equal", Sankhya 22, 1960.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy import optimize, stats

Verdict = Literal["better", "worse", "not significant"]

LEVEL = 0.05
"""Largest share of false verdicts."""

POWER = 0.8
"""Chance of a verdict for which the number of seeds is planned."""

MOST = 1000
"""Largest number of seeds that is considered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over seeds, and how sure it is.

    Args:
        mean: over the seeds.
        seeds: how many there are.
        seed_variance: the part of the mean's variance due to seeds, s²/S; None of one
            seed.
        image_variance: the part due to images.
        images: how many there are.
    """

    mean: float
    seeds: int
    seed_variance: float | None
    image_variance: float
    images: int

    @classmethod
    def of(
        cls,
        values: Float[np.ndarray, " seeds"],
        resampled: Float[np.ndarray, "seeds samples"],
        images: int,
    ) -> "Estimate":
        """Estimate from one figure of each seed, and the same on samples of the images.

        What seeds and images do together is in both variances, so that the error is
        rather too large than too small.

        Args:
            values: on the images as they are.
            resampled: on bootstrap samples, the same ones for every seed; NaN where a
                sample has no object.
            images: how many there are.
        """
        means = resampled.mean(0)
        means = means[~np.isnan(means)]
        # A bootstrap sees (N − 1) / N of the variance.
        spread = float(means.var(ddof=1)) * images / max(images - 1, 1)
        several = len(values) > 1
        return cls(
            mean=float(values.mean()),
            seeds=len(values),
            seed_variance=float(values.var(ddof=1)) / len(values) if several else None,
            image_variance=spread,
            images=images,
        )

    @property
    def deviation(self) -> float | None:
        """Return the standard deviation of single seeds; None of one."""
        if self.seed_variance is None:
            return None
        return math.sqrt(self.seed_variance * self.seeds)

    def margin(self, level: float = LEVEL) -> float | None:
        """Return half the width of the interval; None of one seed."""
        if self.seed_variance is None:
            return None
        by_seeds = _quantile(level, self.seeds - 1) ** 2 * self.seed_variance
        by_images = _quantile(level, self.images - 1) ** 2 * self.image_variance
        return math.sqrt(by_seeds + by_images)

    def interval(self, level: float = LEVEL) -> tuple[float, float] | None:
        """Return what misses the true mean with probability ``level`` at most."""
        margin = self.margin(level)
        return None if margin is None else (self.mean - margin, self.mean + margin)

    @property
    def p(self) -> float | None:
        """Return the level at which the interval just reaches 0; None of one seed."""
        if self.seed_variance is None:
            return None
        if self.seed_variance + self.image_variance == 0:
            return 1.0 if self.mean == 0 else 0.0

        def beyond(log_level: float) -> float:
            return (self.margin(math.exp(log_level)) or 0.0) - abs(self.mean)

        lowest = math.log(1e-12)
        if self.mean == 0 or beyond(lowest) <= 0:
            return 1.0 if self.mean == 0 else 1e-12
        return math.exp(optimize.brentq(beyond, lowest, 0.0, xtol=1e-6))

    def verdict(self, level: float = LEVEL) -> Verdict:
        """Return what a difference shows; one seed shows nothing."""
        margin = self.margin(level)
        if margin is None or abs(self.mean) <= margin:
            return "not significant"
        return "better" if self.mean > 0 else "worse"

    def seeds_more(self, level: float = LEVEL) -> int | None:
        """Return how many more seeds would settle a difference of this size.

        With so many the verdict is reached with probability ``POWER``, if the
        difference and both variances are what they now seem to be: a plan, not a
        promise. 0 where the present seeds suffice; None where even ``MOST`` would not
        (only more images would), or where one seed tells nothing of the spread.
        """
        if self.seed_variance is None or self.mean == 0:
            return None
        if self.verdict(level) != "not significant":
            return 0
        counts = range(self.seeds, MOST + 1)
        more = bisect_left(counts, POWER, key=lambda seeds: self._power(seeds, level))
        return more if more < len(counts) else None

    def _power(self, seeds: int, level: float) -> float:
        """Return the chance of a verdict of the right sign with so many seeds."""
        single = (self.seed_variance or 0.0) * self.seeds
        spread = math.sqrt(single / seeds + self.image_variance)
        if spread == 0:
            return 1.0
        share = (np.arange(64) + 0.5) / 64
        drawn = stats.chi2.ppf(share, seeds - 1) / (seeds - 1) * single / seeds
        margin = np.sqrt(
            _quantile(level, seeds - 1) ** 2 * drawn
            + _quantile(level, self.images - 1) ** 2 * self.image_variance
        )
        return float(stats.norm.sf((margin - abs(self.mean)) / spread).mean())


@cache
def _quantile(level: float, freedom: int) -> float:
    return float(stats.t.ppf(1 - level / 2, max(freedom, 1)))
