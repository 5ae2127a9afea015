"""OICR: the best proposal of each class."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from wsis.contracts import BranchScores, Overlaps, PseudoInstances


@dataclass(frozen=True, slots=True, kw_only=True)
class OICRMiner:
    """Takes the best proposal of each class, and each proposal once.

    Tang et al., "Multiple Instance Detection Network with Online Instance Classifier
    Refinement", CVPR 2017, https://arxiv.org/abs/1704.00138.

    A proposal's score is classification × localization; with a localization of ones
    this is the published miner, whose branches have a classification only.
    """

    @torch.no_grad()
    def __call__(
        self, scores: BranchScores, overlaps: Overlaps, tags: Bool[Tensor, " C"]
    ) -> PseudoInstances:
        """One pseudo instance per class of ``tags``, in the classes' order.

        Ties: the lowest index. The scores of a proposal taken are zero for the later
        classes, so that with fewer proposals than classes some repeat with weight 0.
        """
        label = tags.nonzero().flatten() + 1
        score = (scores.classification * scores.localization)[
            :, label
        ].clone()  # (N, K)
        index = torch.empty_like(label)
        weight = score.new_empty(len(label))
        for k in range(len(label)):
            index[k] = score[:, k].argmax()
            weight[k] = score[index[k], k]
            score[index[k]] = 0
        return PseudoInstances(index, label, weight)
