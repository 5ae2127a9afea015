"""Prints how often a verdict of wsis bench is false, and how often it finds a gain.

    python benchmarks/verdicts.py

Differences between two strategies are simulated: a true effect, in units of the spread
of one seed's difference, plus what the images at hand add to all seeds, plus what each
seed adds.
"""

import argparse
from collections.abc import Iterator

import numpy as np

from wsis.experiments._statistics import Estimate

IMAGES = 100
SEEDS = (2, 3, 5, 10)
SPREADS = (0.0, 0.3, 1.0)
EFFECTS = (0.0, 1.0, 2.0, 3.0, 4.0)


def differences(
    effect: float, seeds: int, by_images: float, experiments: int
) -> Iterator[Estimate]:
    """Yield the bench's estimates, whose image variance is itself estimated."""
    draw = np.random.default_rng(0)
    for _ in range(experiments):
        values = effect + draw.normal(0, by_images) + draw.normal(0, 1, seeds)
        scale = draw.chisquare(IMAGES - 1) / (IMAGES - 1)
        yield Estimate(
            mean=float(values.mean()),
            seeds=seeds,
            seed_variance=float(values.var(ddof=1)) / seeds,
            image_variance=by_images**2 * scale,
            images=IMAGES,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=10_000)
    experiments = parser.parse_args().experiments
    head = " | ".join(f"effect {effect:g}" for effect in EFFECTS)
    print(f"| seeds | spread by images | {head} |")
    print("|---|---|" + "---|" * len(EFFECTS))
    for seeds in SEEDS:
        for spread in SPREADS:
            shares = []
            for effect in EFFECTS:
                found = differences(effect, seeds, spread, experiments)
                shown = sum(one.verdict() != "not significant" for one in found)
                shares.append(f"{100 * shown / experiments:.1f} %")
            print(f"| {seeds} | {spread:g} | {' | '.join(shares)} |")


if __name__ == "__main__":
    main()
