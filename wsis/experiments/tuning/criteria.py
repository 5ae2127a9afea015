"""Criteria without masks: they look at a trained model on held-out, tagged photos.

Each looks at one photo at a time and gives a number for every class, NaN if it cannot
tell; the rows of all photos are then put together. Higher is better.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wsis._support.randomness import generator
from wsis.contracts import BranchScores
from wsis.evaluation import average_precision
from wsis.experiments.tuning._seen import Seen
from wsis.geometry.masks import region_areas
from wsis.training.network import Scores

Rows = Float[np.ndarray, "B C"]

_ORDERS = 100
"""Random orders that ``chance_ap`` averages over."""

Look = Callable[[Seen], Float[Tensor, " C"]]
"""One photo's number for every class."""

Join = Callable[[Rows, Bool[np.ndarray, "B C"]], float | None]
"""All photos' numbers and tags -> the criterion; None if nothing is known."""


def tag_scores(seen: Seen) -> Float[Tensor, " C"]:
    """Return the highest score of a class's instances: how sure the tag is."""
    return seen.plain.final().max(0).values


def bag_scores(seen: Seen) -> Float[Tensor, " C"]:
    """Return the anti-noise branch's score of the tag: the sum of both scores' product.

    Bilen and Vedaldi, "Weakly supervised deep detection networks", CVPR 2016,
    https://arxiv.org/abs/1511.02853, section 3.3.
    """
    one = seen.plain.anti_noise
    return one.product.sum(0)[1:]


def agreement(seen: Seen) -> Float[Tensor, " C"]:
    """Return the IoU of the best proposals of consecutive branches, averaged.

    Without a second one the first is compared with the anti-noise branch.
    """
    branches: Sequence[BranchScores] = seen.plain.branches
    if len(branches) < 2:
        branches = [seen.plain.anti_noise, *branches]
    best = [b.product[:, 1:].argmax(0) for b in branches]
    overlap = torch.stack([seen.overlap(one, other) for one, other in pairwise(best)])
    return _present(overlap.mean(0), seen)


def flips(seen: Seen) -> Float[Tensor, " C"]:
    """Return the IoU of the best proposal in the photo and in the mirrored one."""
    return _stable(seen, seen.flipped)


def scales(seen: Seen) -> Float[Tensor, " C"]:
    """Return the IoU of the best proposal in the photo and in a smaller one."""
    return _stable(seen, seen.smaller)


def integrity(seen: Seen) -> Float[Tensor, " C"]:
    """Return the integrity that branches predict of the best proposal, averaged."""
    known = [b.localization for b in seen.plain.branches if b.localization is not None]
    if not known:
        return torch.full(seen.tags.shape, torch.nan)
    said = torch.stack(known).mean(0)[:, 1:]
    return _present(said.gather(0, _best(seen.plain)[None])[0], seen)


def evidence(seen: Seen) -> Float[Tensor, " C"]:
    """Correlate the best proposal with a tag classifier's responses, over pixels.

    A part leaves response outside, too large a mask has ground inside: both lower it;
    the whole photo has 0. The classifier is linear, on frozen features, and knows no
    proposals. The response counts as constant in each region; the result is NaN if it
    is constant in the whole photo.
    """
    size = region_areas(seen.proposals.regions).double()
    share = size / size.sum()
    inside = seen.proposals.members[_best(seen.plain)].double().T  # (R, C)
    covered = share @ inside
    response = seen.evidence.double() - share @ seen.evidence.double()
    spread = share @ response.square()
    covariance = share @ (inside * response)
    correlation = covariance / (covered * (1 - covered) * spread).sqrt()
    whole = inside.bool().all(0)
    found = correlation.where(~whole, 0).where(spread > 0, torch.nan)
    return _present(found.float(), seen)


def mean_ap(rows: Rows, tags: Bool[np.ndarray, "B C"]) -> float | None:
    """Return the AP of each class's photos ordered by their numbers, mean over classes.

    As in VOC's classification task: the area under the precision that recall allows at
    best. Classes that all photos or none have are left out.
    """
    found = []
    for score, present in zip(rows.T, tags.T, strict=True):
        if 0 < present.sum() < len(present):
            order = np.argsort(-score, kind="stable")
            hit = np.where(present, np.arange(len(present)), -1)[order]
            nothing = np.zeros(len(present), bool)
            found.append(average_precision(hit, nothing, int(present.sum())))
    return float(np.mean(found)) if found else None


def chance_ap(tags: Bool[np.ndarray, "B C"]) -> float | None:
    """Return ``mean_ap`` of photos in random order, on average."""
    draws = generator(0, "chance")
    rows = torch.rand((_ORDERS, *tags.shape), generator=draws).double().numpy()
    found = [ap for one in rows if (ap := mean_ap(one, tags)) is not None]
    return float(np.mean(found)) if found else None


def class_mean(rows: Rows, tags: Bool[np.ndarray, "B C"]) -> float | None:
    """Return the mean over the photos of each class, then over classes, without NaN."""
    del tags
    known = ~np.isnan(rows)
    count = known.sum(0)
    if not count.any():
        return None
    total = np.where(known, rows, 0).sum(0)
    return float((total[count > 0] / count[count > 0]).mean())


@dataclass(frozen=True, slots=True)
class Criterion:
    """A number that tells how good a trained model is, from held-out tags.

    Args:
        name: in tables and options.
        says: describes it in a line.
        look: at one photo.
        join: all photos.
    """

    name: str
    says: str
    look: Look
    join: Join = class_mean


CRITERIA = (
    Criterion(
        "tag-ap",
        "mean AP of the held-out tags by the highest score of an instance",
        tag_scores,
        mean_ap,
    ),
    Criterion(
        "bag-ap",
        "mean AP of the held-out tags by the anti-noise branch",
        bag_scores,
        mean_ap,
    ),
    Criterion(
        "agreement",
        "IoU of the best proposals of consecutive refinement branches",
        agreement,
    ),
    Criterion("flips", "IoU of the best proposal in the photo and mirrored", flips),
    Criterion(
        "scales", "IoU of the best proposal in the photo and at 3/4 of its size", scales
    ),
    Criterion("integrity", "predicted integrity of the best proposal", integrity),
    Criterion(
        "evidence",
        "correlation of the best proposal with a tag classifier's responses",
        evidence,
    ),
)


def _best(scores: Scores) -> Int[Tensor, " C"]:
    """Return each class's proposal of highest score; ties: the lowest index."""
    return scores.final().argmax(0)


def _stable(seen: Seen, view: Scores | None) -> Float[Tensor, " C"]:
    if view is None:
        return torch.full(seen.tags.shape, torch.nan)
    return _present(seen.overlap(_best(seen.plain), _best(view)), seen)


def _present(values: Float[Tensor, " C"], seen: Seen) -> Float[Tensor, " C"]:
    return values.where(seen.tags, torch.nan)
