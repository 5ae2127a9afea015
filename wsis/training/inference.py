"""Inference: scores averaged over views, then instances."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wsis._support.weights import all_finite, check_finite
from wsis.contracts import Ledger, Proposals, View
from wsis.features.frozen import Features
from wsis.features.scale import Scale
from wsis.geometry.overlap import iou
from wsis.geometry.predictions import Predictions
from wsis.proposals.bags import Bag
from wsis.training._outlines import voted
from wsis.training.class_map import extent, sizes
from wsis.training.network import Model, Scores
from wsis.training.selection import Selection

NOT_FINITE = (
    "expected finite features, got NaN or infinity; look at the backbone's weights, or "
    "delete the cache of features"
)

MapsOf = Callable[[Bag, Scale], Float[Tensor, "D h w"]]
"""Gives the backbone's map of a bag's photo at a scale."""

_SAME = 0.5
"""IoU from which on two branches mean the same instance."""


def finite(pooled: Tensor | View) -> bool:
    """Tell whether pooled features, or the map of a view, are finite numbers."""
    return all_finite(pooled.map if isinstance(pooled, View) else pooled)


@torch.no_grad()
def scores(
    model: Model, bag: Bag, features: Features, scales: Sequence[Scale]
) -> list[Scores]:
    """Return the scores of a bag's proposals at each scale and flip.

    Raises:
        ValueError: if features, weights or scores are not finite; names the photo.
    """
    model.eval()
    views = []
    for scale in scales:
        pooled = features(bag, scale)
        if not finite(pooled):
            raise ValueError(f"{bag.image.name}: {NOT_FINITE}")
        views.append(model(pooled))
    if not all_finite(*(one.final() for one in views)):
        check_finite(model.state_dict(), f"the model's weights, for {bag.image.name}")
        raise ValueError(f"{bag.image.name}: expected finite scores, got NaN")
    return views


def predict(
    model: Model,
    bag: Bag,
    features: Features,
    scales: Sequence[Scale],
    selection: Selection,
    ledger: Ledger = frozenset(),
    allowed: Bool[Tensor, " C"] | None = None,
    maps: MapsOf | None = None,
) -> Predictions:
    """Return the instances on one image; none where it has no proposals.

    With ``allowed``, they are of these classes alone. Scores are those of ``rated``; a
    model with a class map needs ``maps``, which gives a bag's feature map at a scale.
    Where it has one and ``selection.vote`` is below 1, the regions of instances are
    voted on.
    """
    proposals = bag.proposals
    views = scores(model, bag, features, scales) if len(proposals) else []
    of_classes, seen = torch.zeros(0, model.classes), None
    if views:
        seen = look(model, bag, scales, allowed, maps)
        of_classes = rated(views, proposals, allowed, seen)
    found = selection(of_classes, proposals, image_id=bag.image.id, ledger=ledger)
    regions = proposals.members[found.index].cpu()
    if seen is not None and selection.vote < 1:
        votes = of_classes, seen.share, proposals, selection.vote
        found, regions = voted(found, *votes)
    return replace(found, agreement=_agreement(found, regions, views, proposals))


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A class map's view of a photo, the mean over all scales and flips.

    Args:
        present: the probability of each class to be on the photo.
        share: the probability of each class in every region.
    """

    present: Float[Tensor, " C"]
    share: Float[Tensor, "R C"]


@torch.no_grad()
def look(
    model: Model,
    bag: Bag,
    scales: Sequence[Scale],
    allowed: Bool[Tensor, " C"] | None = None,
    maps: MapsOf | None = None,
) -> Seen | None:
    """Return what the model's class map sees on a photo; None without one.

    ``maps`` gives a bag's feature map at a scale; classes are known where ``allowed``
    says them.

    Raises:
        ValueError: if the model has a class map and there are no ``maps``.
    """
    if model.class_map is None:
        return None
    if maps is None:
        raise ValueError("expected maps for a model with a class map, got none")
    upright = [_upright(maps(bag, one), one) for one in scales]
    if allowed is None:
        chances = [model.class_map.present(one) for one in upright]
        present = torch.stack(chances).mean(0)
    else:
        present = allowed.float().cpu()
    given = bag.proposals, present
    share = [model.class_map.shares(one, *given) for one in upright]
    return Seen(present, torch.stack(share).mean(0))


@torch.no_grad()
def rated(
    views: Sequence[Scores],
    proposals: Proposals,
    allowed: Bool[Tensor, " C"] | None = None,
    seen: Seen | None = None,
) -> Float[Tensor, "N C"]:
    """Return the scores by which instances are chosen, of proposals and classes.

    They are those of the branches, averaged over ``views``. With what a class map has
    ``seen`` they are the root of these times the extent, times the fourth root of the
    probability that the class is on the photo, 1 for those ``allowed``. Each is then
    multiplied by its share of the best one of its class there, so that what is far
    behind ranks lower among photos. Classes that are not allowed have 0.
    """
    found = torch.stack([one.final() for one in views]).mean(0).cpu()
    if allowed is not None:
        found = found * allowed
    if seen is None:
        return found
    found = (found * seen.present.sqrt()).sqrt() * extent(seen.share, proposals)
    return found * (found / found.max(0).values.clamp_min(1e-9))


def _upright(feature_map: Float[Tensor, "D h w"], scale: Scale) -> Tensor:
    return feature_map.flip(-1) if scale.flip else feature_map


def _agreement(
    found: Predictions,
    regions: Bool[Tensor, "M R"],
    views: Sequence[Scores],
    proposals: Proposals,
) -> Float[Tensor, " M"]:
    """Return the share of branches whose best proposal of a class is the instance."""
    if not len(found):
        return torch.zeros(0)
    labels = found.label.unique()
    best = [
        torch.stack([one.product for one in branch]).mean(0)[:, labels].argmax(0).cpu()
        for branch in zip(*(one.branches for one in views), strict=True)
    ]  # (K,) of each branch
    area, instances = sizes(proposals), regions.float()
    weighed, own = instances * area, instances @ area
    column = torch.searchsorted(labels, found.label)
    near = []
    for one in best:
        chosen = proposals.members[one].float().cpu()
        same = iou(weighed @ chosen.T, own, chosen @ area) >= _SAME
        near.append(same.gather(1, column[:, None])[:, 0])
    return torch.stack(near).float().mean(0)
