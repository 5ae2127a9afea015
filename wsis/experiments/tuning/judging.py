"""Judges how well a criterion ranks settings, by the verdict of masks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from wsis._support.randomness import generator

SAMPLES, LEVEL, FEW = 2000, 0.05, 10

Values = Float[np.ndarray, " settings"]


def ranks(values: Values) -> Values:
    """Return ranks in [0, 1], 1 the best; equal values share the mean of theirs."""
    if len(values) < 2:
        return np.ones(len(values))
    found: Values = (stats.rankdata(values) - 1) / (len(values) - 1)
    return found


def correlation(
    one: Values, other: Values, kind: Callable[..., Any] = stats.spearmanr
) -> float | None:
    """Return the rank correlation, in [−1, 1].

    None for fewer than three settings, or if one criterion is constant.

    Args:
        one: a number for each setting.
        other: likewise.
        kind: ``stats.spearmanr`` or ``stats.kendalltau`` (tau-b).
    """
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(kind(one, other).statistic)


def interval(
    one: Values, other: Values, samples: int = SAMPLES
) -> tuple[float, float] | None:
    """Return the bootstrap interval of Spearman's correlation (percentiles)."""
    if len(one) < 3:
        return None
    draws = _draws(len(one), len(one), samples, "tuning bootstrap", again=True)
    mine, theirs = (
        stats.rankdata(values[draws], axis=1) - (len(one) + 1) / 2
        for values in (one, other)
    )
    spread = np.sqrt((mine**2).sum(1) * (theirs**2).sum(1))
    known = spread > 0  # a sample may have one value only
    if known.sum() < samples / 2:
        return None
    found = (mine * theirs).sum(1)[known] / spread[known]
    low, high = np.quantile(found, [LEVEL / 2, 1 - LEVEL / 2]).tolist()
    return low, high


def regret(criterion: Values, verdict: Values) -> float:
    """Return how much better the best setting is than the criterion's choice.

    If several settings share the criterion's best value, their regrets are averaged.
    """
    return float(verdict.max() - verdict[criterion == criterion.max()].mean())


def small_regret(
    criterion: Values, verdict: Values, samples: int = SAMPLES
) -> tuple[float, float] | None:
    """Return the mean regret of the choice among ``FEW`` settings, and of chance.

    The regret of a single choice depends much on chance; this is its mean over sweeps
    that might have been made. None for ``FEW`` settings or fewer.
    """
    if len(verdict) <= FEW:
        return None
    draws = _draws(len(verdict), FEW, samples, "tuning subsets", again=False)
    chosen = [regret(criterion[draw], verdict[draw]) for draw in draws]
    chance = [verdict[draw].max() - verdict[draw].mean() for draw in draws]
    return float(np.mean(chosen)), float(np.mean(chance))


def judge(
    criteria: Mapping[str, Sequence[float | None]],
    verdict: Sequence[float],
    default: int = 0,
) -> dict[str, Any]:
    """Return what the masks say of each criterion; JSON-like.

    Args:
        criteria: a number for each setting, higher is better; criteria that lack one
            are left out.
        verdict: the masks' figure of each setting.
        default: the place of the setting that is not tuned.

    Returns:
        ``best`` setting's figure, the ``default`` one's, the ``mean``, the regrets of
        the default and of a ``random`` choice; and of each criterion ``spearman`` with
        its ``interval``, ``kendall``, the ``chosen`` figure, its ``regret``, its
        ``gain`` over the default, the share of the settings that it is ``above``, and
        ``among_few``: the mean regret among ten settings drawn, beside that of chance.
    """
    judged = np.asarray(verdict, float)
    found: dict[str, Any] = {
        "settings": len(judged),
        "best": float(judged.max()),
        "default": float(judged[default]),
        "mean": float(judged.mean()),
        "default_regret": float(judged.max() - judged[default]),
        "random_regret": float(judged.max() - judged.mean()),
        "criteria": {},
    }
    for name, values in criteria.items():
        known = [value for value in values if value is not None]
        if len(known) < len(judged):
            continue
        mine = np.asarray(known, float)
        chosen = float(judged.max() - regret(mine, judged))
        few = small_regret(mine, judged)
        found["criteria"][name] = {
            "spearman": correlation(mine, judged),
            "interval": interval(mine, judged),
            "kendall": correlation(mine, judged, stats.kendalltau),
            "chosen": chosen,
            "regret": regret(mine, judged),
            "gain": chosen - float(judged[default]),
            "above": float((judged < chosen).mean()),
            "among_few": None if few is None else {"chosen": few[0], "random": few[1]},
        }
    return found


def _draws(
    size: int, count: int, samples: int, purpose: str, *, again: bool
) -> Int[np.ndarray, "samples settings"]:
    """Draw the places of ``count`` of ``size`` settings, ``samples`` times."""
    random = np.random.default_rng(generator(0, purpose).initial_seed())
    if again:
        return random.integers(size, size=(samples, count))
    return random.random((samples, size)).argsort(1)[:, :count]
