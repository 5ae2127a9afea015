"""Outlines: which regions an instance has, by a vote of proposals and class map."""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wsis.contracts import Proposals
from wsis.geometry import masks
from wsis.geometry.overlap import iou
from wsis.geometry.predictions import Predictions
from wsis.training.class_map import sizes

_CLASS = 0.4
"""Weight of the class map's probability in the vote; the proposals have the rest. Below
one half, so that what no proposal around an instance holds is never in it; 0.3 gives
less, and 0.6 far less (docs/findings.md, "A vote on regions outlines photos")."""

_SAME = 0.6
"""Of two instances of a class with a higher IoU, the one of lower score goes; at 0.3
neighbours are lost (the same finding)."""


def voted(
    found: Predictions,
    scores: Float[Tensor, "N C"],
    share: Float[Tensor, "R C"],
    proposals: Proposals,
    least: float,
) -> tuple[Predictions, Bool[Tensor, "M R"]]:
    """Return instances whose regions were voted on, and these regions.

    The proposals that overlap an instance vote on its regions, each with the square of
    its score for the class: what they hold by themselves is rarely wrong at the same
    place. A region is in where 0.6 times their share of the votes and 0.4 times the
    class map's probability exceed one half. Where none is, the instance keeps the
    proposal that it is. Instances that become alike (an IoU of 0.6 within a class) are
    one, that of the higher score.

    Not of the paper (docs/findings.md has the figures).

    Args:
        found: instances, each a proposal; best first.
        scores: of the proposals, by which the instances were chosen.
        share: the probability of each class in every region, of a class map.
        proposals: of the image.
        least: IoU with an instance above which a proposal votes, below 1.
    """
    area, members = sizes(proposals), proposals.members.float().cpu()
    own, column = members @ area, found.label - 1
    shared = (members[found.index] * area) @ members.T
    near = iou(shared, own[found.index], own) > least
    weight = scores.T[column].square().where(near, 0)  # (M, N)
    vote = weight @ members / weight.sum(1, keepdim=True).clamp_min(1e-12)
    regions = (1 - _CLASS) * vote + _CLASS * share.T[column] > 0.5
    none = ~regions.any(1, keepdim=True)
    regions = regions | (none & proposals.members[found.index].cpu())
    kept = _distinct(regions, area, found.label)
    found, regions = found.chosen(kept), regions[kept]
    shaped = replace(proposals, members=regions, objectness=found.score)
    return (
        replace(
            found,
            boxes=masks.boxes(shaped),
            masks=masks.rles(shaped, torch.arange(len(found))),
        ),
        regions,
    )


def _distinct(
    regions: Bool[Tensor, "M R"], area: Float[Tensor, " R"], label: Tensor
) -> Bool[Tensor, " M"]:
    """Mark the instances that are not alike one of their class that is kept."""
    sets = regions.float()
    own = sets @ area
    alike = iou((sets * area) @ sets.T, own, own) > _SAME
    alike &= label[:, None] == label
    kept = torch.ones(len(regions), dtype=torch.bool)
    for i in range(len(regions)):
        kept[i + 1 :] &= ~(alike[i, i + 1 :] & kept[i])
    return kept
