"""CIM: complete instances around the best proposals."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wsis._support.checks import branch_index, fraction, proper
from wsis.contracts import BranchScores, Overlaps, PseudoInstances
from wsis.mining._steps import each_once, greedy_nms, kept, ranked

_Known = dict[tuple[float, float], Bool[Tensor, " N"]]

_OVERSIZED: WeakKeyDictionary[Overlaps, _Known] = WeakKeyDictionary()
"""The oversized proposals of overlaps in use: every branch asks for the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CIMMiner:
    """Grows the best proposals of each class to the complete instance around them.

    Li et al., "Complete Instances Mining for Weakly Supervised Instance Segmentation",
    IJCAI 2023, https://arxiv.org/abs/2402.07633.

    1. Seeds (``seeds``): the ceil(p_seed · N) proposals of highest classification,
       thinned by greedy suppression at ``t_cls``.
    2. Candidates (``candidates``) for a seed's complete instance: the proposals that
       contain the seed and are not ``oversized``. The one of highest localization is
       chosen; a seed without candidates gives nothing.
    3. A proposal found for several classes keeps the one of larger weight,
       classification × localization; on a tie the lower class.

    Without integrity (``localization`` is None) classification stands for it in step 2
    and is the weight.

    The paper trains it with anti-noise sampling, so that is its ``sampler``.

    Args:
        p_seed: fraction of the proposals considered as seeds per class, in (0, 1].
        containment: a proposal contains a seed if it holds more than this share of it,
            in [0, 1).
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
        proper("containment", self.containment)
        fraction("oversize", self.oversize)
        fraction("t_cls", self.t_cls)
        fraction("step", self.step, zero=True)

    def at(self, branch: int) -> "CIMMiner":
        """Return the miner of refinement branch ``branch`` (0, 1, …)."""
        branch_index(branch)
        return replace(self, t_cls=self.t_cls + self.step * branch)

    @torch.no_grad()
    def __call__(
        self, scores: BranchScores, overlaps: Overlaps, tags: Bool[Tensor, " C"]
    ) -> PseudoInstances:
        """Return pseudo instances by proposal index; ties in any step: lowest index.

        ``seed`` tells the seed that each has its weight from; of several, the one of
        highest classification.
        """
        label = tags.nonzero().flatten() + 1  # (K,): a column for each class present
        cls = scores.classification[:, label]  # (N, K)
        loc = scores.localization
        fitness = cls if loc is None else loc[:, label]
        weight = scores.product[:, label]

        column, seed = seeds(cls, overlaps, self.p_seed, self.t_cls)
        candidate = candidates(seed, overlaps, self.containment, self.oversize)
        fit = fitness.T.index_select(0, column)  # (seeds, N)
        choice = fit.where(candidate.T, -torch.inf).argmax(1)

        chosen = weight[choice, column].where(candidate.any(0), -torch.inf)
        return each_once(PseudoInstances(choice, label[column], chosen, seed))


@torch.no_grad()
def seeds(
    score: Float[Tensor, "N columns"], overlaps: Overlaps, share: float, t_cls: float
) -> tuple[Int[Tensor, " K"], Int[Tensor, " K"]]:
    """Return the seeds of every column of scores: their columns, and the proposals.

    Args:
        score: of each proposal, by class.
        overlaps: of the proposals.
        share: of the proposals, best first, that are considered in each column.
        t_cls: the IoU at which a better seed suppresses.
    """
    ranks = ranked(score, math.ceil(share * len(score)))
    return kept(ranks, greedy_nms(ranks, overlaps.iou, t_cls))


@torch.no_grad()
def candidates(
    seed: Int[Tensor, " K"], overlaps: Overlaps, containment: float, oversize: float
) -> Bool[Tensor, "N K"]:
    """Mark the proposals that contain each seed and are not oversized."""
    # Overlaps that are kept have a proposal's containments side by side.
    found = overlaps.containment.T.index_select(0, seed) > containment  # (K, N)
    found &= ~oversized(overlaps, containment, oversize)
    return found.T


@torch.no_grad()
def oversized(
    overlaps: Overlaps, containment: float = 0.85, share: float = 0.9
) -> Bool[Tensor, " N"]:
    """Mark proposals that contain nearly all others, as a mask of the whole image does.

    Those hold more than ``containment`` of at least ``share`` of the proposals, itself
    included.
    """
    known = _OVERSIZED.setdefault(overlaps, {})
    if (containment, share) not in known:
        holds = containment < overlaps.containment.T
        held = holds.sum(0, dtype=torch.int32)
        known[containment, share] = held >= math.ceil(share * len(holds))
    return known[containment, share].clone()
