"""An assigner: it gives every proposal its target."""

from dataclasses import dataclass

import torch

from wsis.contracts import Overlaps, PseudoInstances, Targets


@dataclass(frozen=True, kw_only=True)
class NewPart:
    """Labels by IoU with the nearest pseudo instance; ignores the undecided.

    Args:
        low: IoU below which a proposal is background, in [0, 1].
        high: IoU from which a proposal is foreground, in [low, 1].

    Raises:
        ValueError: if a setting is out of range.
    """

    low: float = 0.3
    high: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 1:
            raise ValueError(
                f"expected 0 <= low <= high <= 1, got {self.low} and {self.high}"
            )

    @torch.no_grad()
    def __call__(self, pseudo: PseudoInstances, overlaps: Overlaps) -> Targets:
        """Return a target per proposal; ties: the earliest pseudo instance."""
        iou, nearest = overlaps.iou[pseudo.index].max(0)
        label = pseudo.label[nearest].where(iou >= self.high, -1)
        label = label.where(iou >= self.low, 0)
        return Targets(
            label,
            integrity=iou,
            weight=pseudo.weight[nearest].where(label >= 0, 0),
            assignment=nearest.where(label > 0, -1),
        )
