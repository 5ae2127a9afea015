"""Inference: scores averaged over views, then instances."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from wsis.contracts import Ledger
from wsis.features.frozen import Features
from wsis.features.scale import Scale
from wsis.geometry.predictions import Predictions
from wsis.proposals.bags import Bag
from wsis.training.network import Model
from wsis.training.selection import Selection


@torch.no_grad()
def scores(
    model: Model, bag: Bag, features: Features, scales: Sequence[Scale]
) -> Float[Tensor, "N C"]:
    """Return the scores of a bag's proposals, averaged over scales and flips."""
    model.eval()
    views = [model(features(bag, scale)).final() for scale in scales]
    return torch.stack(views).mean(0).cpu()


def predict(
    model: Model,
    bag: Bag,
    features: Features,
    scales: Sequence[Scale],
    selection: Selection,
    ledger: Ledger = frozenset(),
) -> Predictions:
    """Return the instances on one image; none where it has no proposals."""
    proposals = bag.proposals
    if len(proposals):
        of_classes = scores(model, bag, features, scales)
    else:
        of_classes = torch.zeros(0, model.classes)
    return selection(of_classes, proposals, image_id=bag.image.id, ledger=ledger)
