"""PCL: the centres of clusters among the best proposals of each class."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wsis._support.checks import positive, proper
from wsis._support.places import moved
from wsis.contracts import BranchScores, Overlaps, PseudoInstances

_EPS = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class PCLMiner:
    """Takes the proposals that many of a class's best proposals overlap.

    Tang et al., "PCL: Proposal Cluster Learning for Weakly Supervised Object
    Detection", TPAMI 2018, https://arxiv.org/abs/1807.03342.
    Classes in order; a score is classification × localization, clamped to
    [1e-9, 1 − 1e-9].

    1. The top one of ``clusters`` clusters of the scores; the exact optimum of k-means,
       which pcl.pytorch approaches from random starts.
    2. Among them, again and again, the proposal with most neighbours (IoU above
       ``t_graph``, itself included; ties: the highest index) becomes a centre with the
       best score of its neighbourhood, which is removed, until at most ``centres`` are
       left.
    3. The ``centres`` best centres are kept and taken out of the pool.

    The paper's loss judges the proposals of a centre together: ``pcl_loss``, which the
    setting ``by_cluster`` takes in place of each proposal by itself.

    Args:
        clusters: of k-means, positive.
        t_graph: the IoU above which two proposals are neighbours, in [0, 1).
        centres: at most so many per class, positive.

    Raises:
        ValueError: if a setting is out of range.
    """

    clusters: int = 3
    t_graph: float = 0.4
    centres: int = 5

    def __post_init__(self) -> None:
        positive("clusters", self.clusters)
        proper("t_graph", self.t_graph)
        positive("centres", self.centres)

    @torch.no_grad()
    def __call__(
        self, scores: BranchScores, overlaps: Overlaps, tags: Bool[Tensor, " C"]
    ) -> PseudoInstances:
        """Return pseudo instances grouped by class, best first; ties: the later found.

        A pool with fewer proposals than ``clusters`` gives none.
        """
        device = overlaps.iou.device
        # On the CPU, as every step would wait for a card.
        score = scores.product.clamp_min(_EPS).cpu()
        pool = torch.ones(len(score), dtype=torch.bool)
        index, weight = [torch.empty(0, dtype=torch.long)], [score.new_empty(0)]
        label = index[:]
        for c in (tags.cpu().nonzero().flatten() + 1).tolist():
            left = pool.nonzero().flatten()
            if len(left) < self.clusters:
                continue
            top = left[_top_cluster(score[left, c], self.clusters)]
            there = moved(top, device)
            graph = overlaps.iou[there[:, None], there] > self.t_graph
            centre, best = self._centres(score[top, c], graph.cpu())
            index.append(top[centre])
            label.append(torch.full_like(centre, c))
            weight.append(best)
            pool[top[centre]] = False
        parts = (torch.cat(one) for one in (index, label, weight))
        return PseudoInstances(*parts).to(device)

    def _centres(
        self, score: Float[Tensor, " K"], graph: Bool[Tensor, "K K"]
    ) -> tuple[Int[Tensor, " centres"], Float[Tensor, " centres"]]:
        left = torch.ones_like(score, dtype=torch.bool)
        centres: list[Tensor] = []
        best: list[Tensor] = []
        while not centres or left.sum() > self.centres:
            degree = (graph & left).sum(1).where(left, -1)
            centre = len(score) - 1 - degree.flip(0).argmax()
            near = graph[centre] & left
            centres.append(centre)
            best.append(score[near].max())
            left = left & ~near
        found, found_score = torch.stack(centres), torch.stack(best)
        order = found_score.argsort(stable=True).flip(0)[: self.centres]
        return found[order], found_score[order]


def _top_cluster(score: Float[Tensor, " K"], clusters: int) -> Int[Tensor, " top"]:
    """Return the highest cluster of those that minimise squared distances to means.

    Members by index. Optimal clusters are stretches of the sorted scores, so that the
    optimum of k of them up to j is that of k − 1 up to i and one more from i to j.
    """
    value, order = score.double().sort(stable=True)
    value = value - value.mean()
    start = value.new_zeros(1)
    total = torch.cat([start, value.cumsum(0)])
    first = torch.arange(len(total), device=score.device)
    size = first - first[:, None]  # (K + 1, K + 1): of the stretch from row to column
    # The sum of all squares is the same for every partition, so it is left out.
    cost = -(total - total[:, None]).square() / size
    cost = cost.where(size > 0, torch.inf)

    best = cost[0]
    for _ in range(clusters - 2):
        best = (best[:, None] + cost).amin(0)
    split = (best + cost[:, -1]).argmin() if clusters > 1 else 0
    return order[split:].sort().values
