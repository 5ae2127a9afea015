"""Assigners: from pseudo instances to a target for every proposal."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wsis._support.checks import branch_index, fraction, proper
from wsis.contracts import Overlaps, PseudoInstances, Targets
from wsis.mining import cim


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeAssigner:
    """Labels by mask IoU; ignores far proposals; thresholds rise by branch.

    Li et al., https://arxiv.org/abs/2402.07633. Each proposal takes the
    label and weight of the pseudo instance it overlaps most. No overlap: ignored, with
    weight 0. IoU below ``t_cls``: background. IoU above ``t_iou``: integrity 1, else 0.

    Args:
        t_cls: IoU from which a proposal is foreground, in (0, 1].
        t_iou: IoU above which a proposal is complete, in [0, 1).
        step: what each branch adds to both.
        oversized: whether oversized proposals become background.

    Raises:
        ValueError: if a setting is out of range.
    """

    t_cls: float = 0.25
    t_iou: float = 0.5
    step: float = 0.1
    # The intent of the reference code: True. But it indexes with a wrong shape
    # inside `try: … except: pass` and so never acts (CIM, 48b4548). Ours: as it acts.
    oversized: bool = False

    def __post_init__(self) -> None:
        fraction("t_cls", self.t_cls)
        proper("t_iou", self.t_iou)
        fraction("step", self.step, zero=True)

    def at(self, branch: int) -> "CascadeAssigner":
        """Return the assigner of refinement branch ``branch`` (0, 1, …)."""
        branch_index(branch)
        rise = self.step * branch
        return replace(self, t_cls=self.t_cls + rise, t_iou=self.t_iou + rise)

    @torch.no_grad()
    def __call__(self, pseudo: PseudoInstances, overlaps: Overlaps) -> Targets:
        """Return targets in the proposals' order; ties: the earliest pseudo instance.

        Raises:
            ValueError: if there is no pseudo instance.
        """
        iou, nearest = _nearest(pseudo, overlaps)
        background = iou < self.t_cls
        if self.oversized:
            background |= cim.oversized(overlaps)
        ignored = iou == 0
        label = pseudo.label[nearest].where(~background, 0).where(~ignored, -1)
        return Targets(
            label,
            integrity=(iou > self.t_iou).to(iou.dtype),
            weight=pseudo.weight[nearest].where(~ignored, 0),
            assignment=nearest.where(label > 0, -1),
        )


Reading = Literal["wetectron", "pcl", "mist"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OICRAssigner:
    """Labels by IoU at one threshold, as detectors of boxes do.

    Tang et al., https://arxiv.org/abs/1704.00138. Each proposal takes the
    label and weight of the pseudo instance it overlaps most, or is background with that
    weight. The published codes differ in what is background:

    - ``"wetectron"`` (NVlabs, 44e6fa9): IoU ≤ ``t_cls``;
    - ``"pcl"`` (pcl.pytorch, 4e0280e; for OICR and PCL): IoU < ``t_cls``, and weight 0
      where IoU < ``t_ignore``;
    - ``"mist"`` (NVlabs, 44e6fa9; for MIST): IoU < ``t_cls``.

    Args:
        reading: which of them.
        t_cls: the threshold, in (0, 1]; integrity is 1 above it, else 0.
        t_ignore: read by ``"pcl"`` only, in [0, 1].

    Raises:
        ValueError: if a setting is out of range.
    """

    reading: Reading = "wetectron"
    t_cls: float = 0.5
    t_ignore: float = 0.1

    def __post_init__(self) -> None:
        if self.reading not in get_args(Reading):
            choices = ", ".join(get_args(Reading))
            raise ValueError(f"reading must be one of {choices}, got {self.reading!r}")
        fraction("t_cls", self.t_cls)
        fraction("t_ignore", self.t_ignore, zero=True)

    @torch.no_grad()
    def __call__(self, pseudo: PseudoInstances, overlaps: Overlaps) -> Targets:
        """Return targets in the proposals' order; ties: the earliest pseudo instance.

        Raises:
            ValueError: if there is no pseudo instance.
        """
        iou, nearest = _nearest(pseudo, overlaps)
        label = pseudo.label[nearest].where(self._foreground(iou), 0)
        weight = pseudo.weight[nearest]
        if self.reading == "pcl":
            weight = weight.where(iou >= self.t_ignore, 0)
        return Targets(
            label,
            integrity=(iou > self.t_cls).to(iou.dtype),
            weight=weight,
            assignment=nearest.where(label > 0, -1),
        )

    def _foreground(self, iou: Float[Tensor, " N"]) -> Bool[Tensor, " N"]:
        return iou > self.t_cls if self.reading == "wetectron" else iou >= self.t_cls


def _nearest(
    pseudo: PseudoInstances, overlaps: Overlaps
) -> tuple[Float[Tensor, " N"], Int[Tensor, " N"]]:
    """Return each proposal's highest IoU with a pseudo instance, and that instance."""
    if len(pseudo) == 0:
        raise ValueError("expected at least one pseudo instance to assign, got none")
    # IoU is symmetric; rows are together in memory.
    iou, nearest = overlaps.iou.index_select(0, pseudo.index).max(0)
    return iou, nearest
