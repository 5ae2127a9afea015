"""Whether one strategy is better than another, from few seeds and a sample of images.

Two things make a figure uncertain: the seed of a run, and which images happen to be in
the validation set. A bootstrap of both takes few seeds for all there are: with three to
five it calls a difference real far too often. So the images are resampled (mAP has no
simple formula for them), the seeds are not: their part of the variance is s²/S. The sum
is judged by Student's t with the degrees of freedom of Welch and Satterthwaite, so that
three seeds give two degrees of freedom where the seeds' part dominates, and as many as
there are images where theirs does.

Welch, "The generalization of 'Student's' problem when several different population
variances are involved", Biometrika 34, 1947.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy import stats

Verdict = Literal["better", "worse", "not shown"]

LEVEL = 0.05
"""Share of false verdicts, at most."""

POWER = 0.8
"""Chance of a verdict that the number of seeds is planned for."""

MOST = 1000
"""Numbers of seeds are looked for up to this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over seeds, and how sure it is.

    Args:
        mean: over the seeds.
        seeds: how many.
        seed_variance: of the mean, by the seeds: s²/S; None of one seed.
        image_variance: of the mean, by the images.
        images: how many.
    """

    mean: float
    seeds: int
    seed_variance: float | None
    image_variance: float
    images: int

    @classmethod
    def of(
        cls,
        values: Float[np.ndarray, " S"],
        resampled: Float[np.ndarray, "S B"],
        images: int,
    ) -> "Estimate":
        """From one figure of each seed, and the same on each sample of the images.

        What seeds and images do together is in both variances: the error is rather
        taken too large.

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
        """Standard deviation of single seeds; None of one."""
        if self.seed_variance is None:
            return None
        return math.sqrt(self.seed_variance * self.seeds)

    @property
    def error(self) -> float | None:
        """Standard error of the mean by seeds and images; None of one seed."""
        if self.seed_variance is None:
            return None
        return math.sqrt(self.seed_variance + self.image_variance)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the error, by Welch and Satterthwaite."""
        return _freedom(
            self.seed_variance or 0.0, self.seeds, self.image_variance, self.images
        )

    def interval(self, level: float = LEVEL) -> tuple[float, float] | None:
        """Covers the true mean with probability 1 − ``level``; None of one seed."""
        if self.error is None:
            return None
        reach = float(stats.t.ppf(1 - level / 2, self.freedom)) * self.error
        return self.mean - reach, self.mean + reach

    @property
    def p(self) -> float | None:
        """Two-sided, of the mean being 0; None of one seed."""
        if self.error is None:
            return None
        if self.error == 0:
            return 1.0 if self.mean == 0 else 0.0
        return float(2 * stats.t.sf(abs(self.mean) / self.error, self.freedom))

    def verdict(self, level: float = LEVEL) -> Verdict:
        """What a difference shows; one seed shows nothing."""
        if self.p is None or self.p > level:
            return "not shown"
        return "better" if self.mean > 0 else "worse"

    def seeds_more(self, level: float = LEVEL, power: float = POWER) -> int | None:
        """How many seeds more would settle a difference of this size.

        With so many the verdict is reached with probability ``power``, if the
        difference and both variances are what they now seem to be: a plan, not a
        promise. None where ``MOST`` seeds would not do (only more images would), or
        where one seed tells nothing of the spread.
        """
        if self.seed_variance is None or self.mean == 0:
            return None
        single = self.seed_variance * self.seeds
        for count in range(self.seeds, MOST + 1):
            variance = single / count
            error = math.sqrt(variance + self.image_variance)
            if error == 0:
                return 0
            freedom = _freedom(variance, count, self.image_variance, self.images)
            critical = stats.t.ppf(1 - level / 2, freedom)
            if stats.nct.sf(critical, freedom, abs(self.mean) / error) >= power:
                return count - self.seeds
        return None


def _freedom(
    seed_variance: float, seeds: int, image_variance: float, images: int
) -> float:
    total = seed_variance + image_variance
    if total == 0 or seeds < 2:
        return float(max(seeds - 1, 1))
    least = max(images - 1, 1)
    return total**2 / (seed_variance**2 / (seeds - 1) + image_variance**2 / least)
