"""CIM: complete instances around the best proposals."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from wsis._support.checks import branch_index, fraction
from wsis.contracts import BranchScores, Overlaps, PseudoInstances
from wsis.mining.merge import each_once
from wsis.mining.nms import greedy_nms, ranked


@torch.no_grad()
def oversized(
    overlaps: Overlaps, containment: float = 0.85, share: float = 0.9
) -> Bool[Tensor, " N"]:
    """Which proposals contain nearly all others, as a mask of the whole image does.

    Those that hold more than ``containment`` of at least ``share`` of the proposals
    (itself included).
    """
    return _oversized(overlaps.containment > containment, share)


def _oversized(holds: Bool[Tensor, "N N"], share: float) -> Bool[Tensor, " N"]:
    return holds.sum(1, dtype=torch.int32) >= math.ceil(share * len(holds))


@dataclass(frozen=True, slots=True, kw_only=True)
class CIMMiner:
    """Grows the best proposals of each class to the complete instance around them.

    Li et al., "Complete Instances Mining for Weakly Supervised Instance Segmentation",
    IJCAI 2023, https://arxiv.org/abs/2402.07633.

    1. Seeds: the ceil(p_seed · N) proposals of highest classification, thinned by
       greedy suppression at ``t_cls``.
    2. A seed's complete instance is the proposal of highest localization among those
       that contain the seed and are not ``oversized``; a seed may have none.
    3. A proposal found for several classes keeps the one of larger weight,
       classification × localization; on a tie the lower class.

    Scores of a branch without integrity, whose localization is 1 throughout, are
    mined by classification alone.

    The paper trains it with anti-noise sampling, so that is its ``sampler``.

    Args:
        p_seed: fraction of the proposals considered as seeds per class, in (0, 1].
        containment: a proposal contains a seed if it holds more than this share of it,
            in [0, 1].
        oversize: share of the proposals that an oversized one contains, in (0, 1].
        t_cls: the IoU at which a better seed suppresses, in (0, 1].
        step: what each branch adds to ``t_cls``.

    Raises:
        ValueError: if a setting is out of range.
    """

    sampler: ClassVar[str] = "anti_noise"

    p_seed: float = 0.1
    containment: float = 0.85
    oversize: float = 0.9
    t_cls: float = 0.25
    step: float = 0.1

    def __post_init__(self) -> None:
        fraction("p_seed", self.p_seed)
        fraction("containment", self.containment, zero=True)
        fraction("oversize", self.oversize)
        fraction("t_cls", self.t_cls)
        fraction("step", self.step, zero=True)

    def at(self, branch: int) -> "CIMMiner":
        """The miner of refinement branch ``branch`` (0, 1, …)."""
        branch_index(branch)
        return replace(self, t_cls=self.t_cls + self.step * branch)

    @torch.no_grad()
    def __call__(
        self, scores: BranchScores, overlaps: Overlaps, tags: Bool[Tensor, " C"]
    ) -> PseudoInstances:
        """Pseudo instances by proposal index; ties in any step: the lowest index.

        Of the seeds of one complete instance, the one that it has its weight from is
        told; of several, the one of highest classification.
        """
        label = tags.nonzero().flatten() + 1
        cls = scores.classification[:, label]  # (N, K)
        loc = scores.localization[:, label]

        ranks = ranked(cls, math.ceil(self.p_seed * len(cls)))
        column, rank = greedy_nms(ranks, overlaps.iou, self.t_cls).nonzero(
            as_tuple=True
        )
        seed = ranks[column, rank]

        holds = overlaps.containment > self.containment  # (N, N)
        candidate = holds.index_select(1, seed)  # (N, seeds)
        candidate &= ~_oversized(holds, self.oversize)[:, None]
        choice = cls if bool((loc == 1).all()) else loc
        fitness = choice.index_select(1, column).where(candidate, -torch.inf)
        complete = fitness.argmax(0)
        found = candidate.any(0)
        complete, column, seed = complete[found], column[found], seed[found]

        weight = cls[complete, column] * loc[complete, column]
        return each_once(PseudoInstances(complete, label[column], weight, seed))
