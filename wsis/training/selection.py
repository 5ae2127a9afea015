"""From scores to instances: settings, importable without torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsis._support.checks import at_least, fraction, positive

if TYPE_CHECKING:
    import torch

    from wsis.contracts import Ledger, Proposals
    from wsis.geometry.predictions import Predictions


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Turns scores of proposals into instances (CIM's test settings by default).

    Args:
        threshold: only higher scores count.
        nms: of two proposals of one class whose boxes overlap more, the lower goes.
        limit: most instances an image.
        vote: with a class map, proposals whose IoU with an instance is above this vote
            on its regions; 1 leaves every instance the proposal that it is.
    """

    threshold: float = 1e-5
    nms: float = 0.3
    limit: int = 100
    vote: float = 1.0

    def __post_init__(self) -> None:
        at_least("threshold", self.threshold, 0)
        fraction("nms", self.nms)
        positive("limit", self.limit)
        fraction("vote", self.vote, zero=True)

    def __call__(
        self,
        scores: "torch.Tensor",
        proposals: "Proposals",
        *,
        image_id: int,
        ledger: "Ledger" = frozenset(),
    ) -> "Predictions":
        """Return the instances by (N, C) scores, best first.

        Ties: lower proposal, then lower class. The proposals' ledger is added.
        """
        from wsis.geometry import masks
        from wsis.geometry.predictions import Predictions

        scores = scores.cpu()
        boxes = masks.boxes(proposals)
        found = suppressed(scores, scores > self.threshold, boxes, self.nms)
        index, column = (one[: self.limit] for one in found)
        return Predictions(
            image_id=image_id,
            size=proposals.size,
            index=index,
            label=column + 1,
            score=scores[index, column],
            boxes=boxes[index],
            masks=masks.rles(proposals, index),
            ledger=ledger | proposals.ledger,
        )


def suppressed(
    scores: "torch.Tensor", marked: "torch.Tensor", boxes: "torch.Tensor", nms: float
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Return proposals and columns of the marked scores that NMS keeps, best first.

    Of two of one column whose boxes overlap more than ``nms``, the lower score goes.
    Ties: lower proposal, then lower column.
    """
    from torchvision.ops import batched_nms

    index, column = marked.nonzero(as_tuple=True)
    order = scores[index, column].argsort(descending=True, stable=True)
    index, column = index[order], column[order]
    kept = batched_nms(boxes[index], scores[index, column], column, nms).sort().values
    return index[kept], column[kept]
