"""Inference: scores averaged over views, then instances."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wsis._support.weights import check_finite
from wsis.contracts import Ledger, View
from wsis.features.frozen import Features
from wsis.features.scale import Scale
from wsis.geometry.predictions import Predictions
from wsis.proposals.bags import Bag
from wsis.training.network import Model
from wsis.training.selection import Selection

NOT_FINITE = (
    "expected finite features, got NaN or infinity; look at the backbone's weights, or "
    "delete the cache of features"
)


def finite(pooled: Tensor | View) -> bool:
    """Tell whether pooled features, or the map of a view, are finite numbers."""
    tensor = pooled.map if isinstance(pooled, View) else pooled
    return bool(tensor.isfinite().all())


@torch.no_grad()
def scores(
    model: Model, bag: Bag, features: Features, scales: Sequence[Scale]
) -> Float[Tensor, "N C"]:
    """Return the scores of a bag's proposals, averaged over scales and flips.

    Raises:
        ValueError: if features, weights or scores are not finite; names the photo.
    """
    model.eval()
    views = []
    for scale in scales:
        pooled = features(bag, scale)
        if not finite(pooled):
            raise ValueError(f"{bag.image.name}: {NOT_FINITE}")
        views.append(model(pooled).final())
    found = torch.stack(views).mean(0).cpu()
    if not found.isfinite().all():
        check_finite(model.state_dict(), f"the model's weights, for {bag.image.name}")
        raise ValueError(f"{bag.image.name}: expected finite scores, got NaN")
    return found


def predict(
    model: Model,
    bag: Bag,
    features: Features,
    scales: Sequence[Scale],
    selection: Selection,
    ledger: Ledger = frozenset(),
    allowed: Bool[Tensor, " C"] | None = None,
) -> Predictions:
    """Return the instances on one image; none where it has no proposals.

    With ``allowed``, they are of these classes alone.
    """
    proposals = bag.proposals
    if len(proposals):
        of_classes = scores(model, bag, features, scales)
    else:
        of_classes = torch.zeros(0, model.classes)
    if allowed is not None:
        of_classes = of_classes * allowed
    return selection(of_classes, proposals, image_id=bag.image.id, ledger=ledger)
