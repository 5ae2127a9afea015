"""The verdict of a bench: intervals of every strategy, and differences to the first."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from wsis._support.randomness import generator
from wsis.evaluation.matches import Matches
from wsis.experiments.resampling import NAMES, draws, figures, point
from wsis.experiments.statistics import LEVEL, POWER, Estimate

SAMPLES = 1000
"""Bootstrap samples of the images."""

Samples = dict[str, dict[int, Float[np.ndarray, "T B1"]]]


def judge(
    runs: Mapping[tuple[str, int], Matches],
    *,
    samples: int = SAMPLES,
) -> dict[str, Any]:
    """What the runs show, by strategy and figure; JSON-like.

    ``strategies`` has the mean over seeds, the standard deviation of single seeds and
    the interval of the mean; ``differences`` what each further strategy has more than
    the first, over the seeds that both have: its mean, interval, p, the verdict and
    how many seeds more would settle it (None: more seeds would not). Every verdict by
    itself is false in at most 5 % of the cases where nothing differs; ``p_all`` is p
    for all of a figure's comparisons together (Holm).

    Args:
        runs: matches by strategy and seed, all of the same images; the first strategy
            is what the others are compared with.
        samples: of the images; the same for all.

    Raises:
        ValueError: if the runs are of different images.
    """
    sizes = {len(matches.objects) for matches in runs.values()}
    if len(sizes) != 1:
        raise ValueError(f"expected runs of the same images, got numbers {sizes}")
    [images] = sizes
    found = _measure(runs, draws(images, samples, generator(0, "bootstrap")))
    first, *others = found
    against = {other: _differences(found[other], found[first]) for other in others}
    return {
        "method": "bootstrap over images, variance over seeds, Banerjee's interval",
        "level": LEVEL,
        "power": POWER,
        "samples": samples,
        "images": images,
        "first": first,
        "strategies": {
            label: {
                name: _mean(_estimate(of_seeds, i, images))
                for i, name in enumerate(NAMES)
            }
            for label, of_seeds in found.items()
        },
        "differences": _judged(
            {
                other: {
                    name: _estimate(of_seeds, i, images) for i, name in enumerate(NAMES)
                }
                for other, of_seeds in against.items()
                if of_seeds
            }
        ),
    }


def _measure(runs: Mapping[tuple[str, int], Matches], weights: np.ndarray) -> Samples:
    """Of each run a row a figure: as it is, then on each sample."""
    found: Samples = {}
    for (label, seed), matches in runs.items():
        plain, resampled = point(matches), figures(matches, weights)
        table = np.stack([np.append(plain[name], resampled[name]) for name in NAMES])
        found.setdefault(label, {})[seed] = table
    return found


def _differences(
    mine: Mapping[int, np.ndarray], first: Mapping[int, np.ndarray]
) -> dict[int, np.ndarray]:
    return {seed: mine[seed] - first[seed] for seed in mine if seed in first}


def _estimate(of_seeds: Mapping[int, np.ndarray], i: int, images: int) -> Estimate:
    rows = np.stack([table[i] for table in of_seeds.values()])
    return Estimate.of(rows[:, 0], rows[:, 1:], images)


def _mean(estimate: Estimate) -> dict[str, Any]:
    interval = estimate.interval()
    if interval is not None:
        interval = max(interval[0], 0.0), min(interval[1], 100.0)
    return {
        "mean": estimate.mean,
        "deviation": estimate.deviation,
        "seeds": estimate.seeds,
        "interval": interval,
        "image_error": float(np.sqrt(estimate.image_variance)),
    }


def _judged(found: Mapping[str, Mapping[str, Estimate]]) -> dict[str, Any]:
    together = {
        name: _holm([estimates[name].p for estimates in found.values()])
        for name in NAMES
    }
    return {
        label: {
            name: {
                "mean": one.mean,
                "deviation": one.deviation,
                "seeds": one.seeds,
                "interval": one.interval(),
                "image_error": float(np.sqrt(one.image_variance)),
                "p": one.p,
                "p_all": together[name][i],
                "verdict": one.verdict(),
                "seeds_more": one.seeds_more(),
            }
            for name, one in estimates.items()
        }
        for i, (label, estimates) in enumerate(found.items())
    }


def _holm(values: Sequence[float | None]) -> list[float | None]:
    """Holm, "A simple sequentially rejective multiple test procedure", 1979."""
    adjusted: list[float | None] = [None] * len(values)
    known = sorted((p, i) for i, p in enumerate(values) if p is not None)
    highest = 0.0
    for rank, (p, i) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        adjusted[i] = highest
    return adjusted
