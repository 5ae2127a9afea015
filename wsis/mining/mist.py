"""MIST: the best proposals of each class that barely overlap."""

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from jaxtyping import Bool
from torch import Tensor

from wsis._support.checks import branch_index, fraction
from wsis.contracts import BranchScores, Overlaps, PseudoInstances
from wsis.mining._steps import each_once, greedy_nms, kept, ranked, strict_nms

Reading = Literal["mask", "box"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MISTMiner:
    """Takes the best proposals of each class that barely overlap better ones.

    Ren et al., "Instance-aware, Context-focused, and Memory-efficient Weakly Supervised
    Object Detection", CVPR 2020, https://arxiv.org/abs/2004.04725.

    The score is classification × localization. Two readings are known:

    - ``"mask"``: as the authors of CIM (arXiv 2402.07633) run it for comparison:
      ceil(top · N) proposals, greedy suppression, so that a proposal is kept while its
      IoU with every *kept* better one is below the threshold; cascaded.
    - ``"box"``: as the reference code has it: int(top · N) proposals (none of fewer
      than 7 at the default), kept while its IoU with *all* better ones, kept or not,
      is below the threshold; the same in every branch.

    Args:
        reading: which of them.
        top: fraction of the proposals considered per class, in (0, 1]; by default 0.1
            (mask) or 0.15 (box).
        t_cls: the threshold on IoU, in (0, 1]; by default 0.25 (mask) or 0.2 (box).
        step: what each branch adds to it; by default 0.1 (mask) or 0 (box).

    Raises:
        ValueError: if a setting is out of range.
    """

    reading: Reading = "mask"
    top: float | None = None
    t_cls: float | None = None
    step: float | None = None

    def __post_init__(self) -> None:
        if self.reading not in get_args(Reading):
            choices = ", ".join(get_args(Reading))
            raise ValueError(f"reading must be one of {choices}, got {self.reading!r}")
        top, t_cls, step = self._settings()
        fraction("top", top)
        fraction("t_cls", t_cls)
        fraction("step", step, zero=True)

    def at(self, branch: int) -> "MISTMiner":
        """Return the miner of refinement branch ``branch`` (0, 1, …)."""
        branch_index(branch)
        _, t_cls, step = self._settings()
        return replace(self, t_cls=t_cls + step * branch)

    @torch.no_grad()
    def __call__(
        self, scores: BranchScores, overlaps: Overlaps, tags: Bool[Tensor, " C"]
    ) -> PseudoInstances:
        """Return pseudo instances; ties in any step: the lowest index.

        Mask reading: in the proposals' order, and one that is kept for several classes
        has the class of the largest weight (a tie: the lower class). Box reading:
        grouped by class, best first.
        """
        top, t_cls, _ = self._settings()
        label = tags.nonzero().flatten() + 1
        score = scores.product[:, label]  # (N, K)
        mask = self.reading == "mask"
        count = top * len(score)
        ranks = ranked(score, math.ceil(count) if mask else int(count))
        suppress = greedy_nms if mask else strict_nms
        column, index = kept(ranks, suppress(ranks, overlaps.iou, t_cls))
        found = PseudoInstances(index, label[column], score[index, column])
        return each_once(found) if mask else found

    def _settings(self) -> tuple[float, float, float]:
        defaults = (0.1, 0.25, 0.1) if self.reading == "mask" else (0.15, 0.2, 0.0)
        given = (self.top, self.t_cls, self.step)
        top, t_cls, step = (
            default if value is None else value
            for value, default in zip(given, defaults, strict=True)
        )
        return top, t_cls, step
