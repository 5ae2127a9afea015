"""Gives a bench's verdict: each strategy's interval, and differences from the first."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from wsis._support.randomness import generator
from wsis.evaluation.matches import Matches
from wsis.experiments._resampling import NAMES, draws, figures, point
from wsis.experiments._statistics import LEVEL, POWER, Estimate

SAMPLES = 1000
"""Bootstrap samples of the images."""

Samples = dict[str, dict[int, Float[np.ndarray, "figures B1"]]]
"""By strategy and seed: a figure a row, as it is and then on each sample."""


def judge(
    runs: Mapping[tuple[str, int], Matches], *, samples: int = SAMPLES
) -> dict[str, Any]:
    """Return what the runs show, by strategy and figure; JSON-like.

    ``strategies`` has the mean over seeds, the standard deviation of single seeds and
    the interval of the mean. ``differences`` tells by how much each further strategy
    exceeds the first, over the seeds that both have: mean, interval, p, the verdict and
    how many more seeds would settle it (None: more seeds would not). Every verdict by
    itself is false in at most 5 % of the cases where nothing differs; ``p_all`` is p
    for all of a figure's comparisons together (Holm).

    Args:
        runs: matches by strategy and seed, all of the same images; the others are
            compared with the first strategy.
        samples: of the images; the same for all.

    Raises:
        ValueError: if the runs are of different images.
    """
    sizes = {len(matches.objects) for matches in runs.values()}
    if len(sizes) != 1:
        raise ValueError(f"expected runs of the same images, got numbers {sizes}")
    [images] = sizes
    weights = draws(images, samples, generator(0, "bootstrap"))
    found: Samples = {}
    for (label, seed), matches in runs.items():
        plain, resampled = point(matches), figures(matches, weights)
        rows = [np.append(plain[name], resampled[name]) for name in NAMES]
        found.setdefault(label, {})[seed] = np.stack(rows)
    first, *others = found
    against = {
        label: {
            seed: table - found[first][seed]
            for seed, table in found[label].items()
            if seed in found[first]
        }
        for label in others
    }
    return {
        "method": "bootstrap over images, variance over seeds, Banerjee's interval",
        "level": LEVEL,
        "power": POWER,
        "samples": samples,
        "images": images,
        "first": first,
        "strategies": {
            label: {name: _mean(one) for name, one in _estimates(seeds, images).items()}
            for label, seeds in found.items()
        },
        "differences": _judged(
            {
                label: _estimates(seeds, images)
                for label, seeds in against.items()
                if seeds
            }
        ),
    }


def _estimates(
    seeds: Mapping[int, Float[np.ndarray, "figures B1"]], images: int
) -> dict[str, Estimate]:
    """Estimate each figure from each seed's value and those on samples."""
    rows = np.stack(list(seeds.values()), 1)  # (figures, seeds, B1)
    return {
        name: Estimate.of(row[:, 0], row[:, 1:], images)
        for name, row in zip(NAMES, rows, strict=True)
    }


def _mean(estimate: Estimate) -> dict[str, Any]:
    """Return a strategy's figure, whose interval ends at 0 and 100."""
    found = _plain(estimate)
    if found["interval"] is not None:
        low, high = found["interval"]
        found["interval"] = max(low, 0.0), min(high, 100.0)
    return found


def _plain(estimate: Estimate) -> dict[str, Any]:
    return {
        "mean": estimate.mean,
        "deviation": estimate.deviation,
        "seeds": estimate.seeds,
        "interval": estimate.interval(),
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
                **_plain(one),
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
    """Adjust p values as Holm (Scandinavian Journal of Statistics 6, 1979) does."""
    adjusted: list[float | None] = [None] * len(values)
    known = sorted((p, i) for i, p in enumerate(values) if p is not None)
    highest = 0.0
    for rank, (p, i) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        adjusted[i] = highest
    return adjusted
