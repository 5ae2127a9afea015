"""OICR: the best proposal of each class."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from torch import Tensor

from wsis._support.checks import branch_index
from wsis.contracts import BranchScores, Overlaps, PseudoInstances


@dataclass(frozen=True, slots=True, kw_only=True)
class OICRMiner:
    """Takes the best proposal of each class, and each proposal once.

    Tang et al., "Multiple Instance Detection Network with Online Instance Classifier
    Refinement", CVPR 2017, https://arxiv.org/abs/1704.00138.

    As published, refinement branch 0 mines the two-stream score classification ×
    localization; later ones mine a refinement branch, which has a classification alone.

    Args:
        localization: whether scores are multiplied by the localization.
    """

    localization: bool = True

    def at(self, branch: int) -> "OICRMiner":
        """Return the miner of refinement branch ``branch`` (0, 1, …)."""
        branch_index(branch)
        return replace(self, localization=self.localization and branch == 0)

    @torch.no_grad()
    def __call__(
        self, scores: BranchScores, overlaps: Overlaps, tags: Bool[Tensor, " C"]
    ) -> PseudoInstances:
        """Return one pseudo instance per class of ``tags``, in the classes' order.

        Ties: the lowest index. The scores of a proposal taken are zero for the later
        classes, so that with fewer proposals than classes some repeat with weight 0.
        """
        label = tags.nonzero().flatten() + 1
        chosen = scores.product if self.localization else scores.classification
        score = chosen[:, label]  # (N, K), a copy
        index = torch.empty_like(label)
        weight = score.new_empty(len(label))
        for k in range(len(label)):
            weight[k], index[k] = score[:, k].max(0)
            score.index_fill_(0, index[k], 0)
        return PseudoInstances(index, label, weight)
