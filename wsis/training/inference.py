"""Scores of proposals -> instances: averaged over views, per-class NMS, masks."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wsis._support.checks import at_least, fraction, positive
from wsis.contracts import Ledger, Predictions, Proposals
from wsis.features.frozen import Features
from wsis.features.views import Scale
from wsis.geometry import masks
from wsis.proposals.bags import Bag
from wsis.training.network import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which scored proposals become instances (CIM's test settings by default).

    Args:
        threshold: only higher scores count.
        nms: of two proposals of one class whose boxes overlap more, the lower goes.
        limit: most instances an image.
    """

    threshold: float = 1e-5
    nms: float = 0.3
    limit: int = 100

    def __post_init__(self) -> None:
        at_least("threshold", self.threshold, 0)
        fraction("nms", self.nms)
        positive("limit", self.limit)

    def __call__(
        self,
        scores: Float[Tensor, "N C"],
        proposals: Proposals,
        *,
        image_id: int,
        ledger: Ledger = frozenset(),
    ) -> Predictions:
        """The instances, best first (ties: lower proposal, then lower class)."""
        # Not above: torchvision takes 160 MB, and settings alone do not need it.
        from torchvision.ops import batched_nms

        scores = scores.cpu()
        index, column = (scores > self.threshold).nonzero(as_tuple=True)
        score = scores[index, column]
        boxes = masks.boxes(proposals)
        order = score.argsort(descending=True, stable=True)
        index, column, score = index[order], column[order], score[order]
        kept = batched_nms(boxes[index], score, column, self.nms)
        kept = kept.sort().values[: self.limit]
        return Predictions(
            image_id=image_id,
            size=proposals.size,
            index=index[kept],
            label=column[kept] + 1,
            score=score[kept],
            boxes=boxes[index[kept]],
            masks=masks.rles(proposals, index[kept]),
            ledger=ledger | proposals.ledger,
        )


@torch.no_grad()
def scores(
    model: Model, bag: Bag, features: Features, scales: Sequence[Scale]
) -> Float[Tensor, "N C"]:
    """Scores of a bag's proposals, averaged over scales and flips; on the CPU."""
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
    """The instances on one image; none where it has no proposals."""
    proposals = bag.proposals
    if len(proposals):
        of_classes = scores(model, bag, features, scales)
    else:
        of_classes = torch.zeros(0, model.classes)
    return selection(of_classes, proposals, image_id=bag.image.id, ledger=ledger)
