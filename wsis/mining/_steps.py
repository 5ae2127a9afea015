"""Steps that miners share: ranking, suppression of near copies, each proposal once."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wsis._support.places import moved
from wsis.contracts import PseudoInstances


def ranked(scores: Float[Tensor, "N K"], count: int) -> Int[Tensor, "K ranks"]:
    """Return each column's ``count`` best proposals, best first; ties: lowest index."""
    return scores.argsort(dim=0, descending=True, stable=True)[:count].T


def greedy_nms(
    ranks: Int[Tensor, "K ranks"], iou: Float[Tensor, "N N"], limit: float
) -> Bool[Tensor, "K ranks"]:
    """Mark the ranked proposals that greedy non-maximum suppression keeps.

    A proposal is kept while its IoU with every kept one of higher rank is below
    ``limit``. Rows are independent of each other. The result is on the CPU.
    """
    # Here, as every round would wait for a card.
    close = _close_to_better(ranks, iou, limit).cpu()
    keep = torch.ones(ranks.shape, dtype=torch.bool)
    # Greedy suppression is the one fixed point of "kept = close to no better kept one".
    # Every round settles at least the next rank; a few rounds settle all.
    while True:
        settled = ~(close & keep[:, None, :]).any(2)
        if torch.equal(settled, keep):
            return keep
        keep = settled


def strict_nms(
    ranks: Int[Tensor, "K ranks"], iou: Float[Tensor, "N N"], limit: float
) -> Bool[Tensor, "K ranks"]:
    """Mark ranked proposals whose IoU with all better ones, kept or not, is lower."""
    return ~_close_to_better(ranks, iou, limit).any(2)


def kept(
    ranks: Int[Tensor, "K ranks"], keep: Bool[Tensor, "K ranks"]
) -> tuple[Int[Tensor, " kept"], Int[Tensor, " kept"]]:
    """Return the columns and the proposals of the ranks that are marked."""
    row, rank = (moved(one, ranks.device) for one in keep.cpu().nonzero().T)
    return row, ranks[row, rank]


def _close_to_better(
    ranks: Int[Tensor, "K ranks"], iou: Float[Tensor, "N N"], limit: float
) -> Bool[Tensor, "K ranks ranks"]:
    return (iou[ranks[:, :, None], ranks[:, None, :]] >= limit).tril(-1)


def each_once(found: PseudoInstances) -> PseudoInstances:
    """Return each proposal once, with the class that gave it the largest weight.

    In the proposals' order; of equal weights the one found first stays. Those of
    weight −∞ are left out.
    """
    order = found.weight.argsort(descending=True, stable=True)
    order = order[found.index[order].argsort(stable=True)]
    index = found.index[order]
    first = torch.ones_like(index, dtype=torch.bool)
    first[1:] = index[1:] != index[:-1]
    first &= found.weight[order] != -torch.inf
    return found.chosen(order[first])
