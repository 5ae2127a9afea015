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
        scores: "torch.Tensor",
        proposals: "Proposals",
        *,
        image_id: int,
        ledger: "Ledger" = frozenset(),
    ) -> "Predictions":
        """Return the instances by (N, C) scores, best first.

        Ties: lower proposal, then lower class. The proposals' ledger is added.
        """
        from torchvision.ops import batched_nms

        from wsis.geometry import masks
        from wsis.geometry.predictions import Predictions

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
