"""Which ranked proposals stay when close ones suppress each other."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def ranked(scores: Float[Tensor, "N K"], count: int) -> Int[Tensor, "K M"]:
    """The ``count`` best proposals of each column, best first; ties: lowest index."""
    return scores.argsort(dim=0, descending=True, stable=True)[:count].T


def greedy_nms(
    ranks: Int[Tensor, "K M"], iou: Float[Tensor, "N N"], limit: float
) -> Bool[Tensor, "K M"]:
    """Which of the ranked proposals greedy non-maximum suppression keeps.

    A proposal is kept while its IoU with every kept one of higher rank is below
    ``limit``. Rows are independent of each other.
    """
    close = _close_to_better(ranks, iou, limit)
    keep = torch.ones_like(ranks, dtype=torch.bool)
    # Greedy suppression is the one fixed point of "kept = close to no better kept one".
    # Every round settles at least the next rank; a few rounds settle all.
    while True:
        settled = ~(close & keep[:, None, :]).any(2)
        if torch.equal(settled, keep):
            return keep
        keep = settled


def strict_nms(
    ranks: Int[Tensor, "K M"], iou: Float[Tensor, "N N"], limit: float
) -> Bool[Tensor, "K M"]:
    """Which ranked proposals are below ``limit`` with all better ones, kept or not."""
    return ~_close_to_better(ranks, iou, limit).any(2)


def _close_to_better(
    ranks: Int[Tensor, "K M"], iou: Float[Tensor, "N N"], limit: float
) -> Bool[Tensor, "K M M"]:
    return (iou[ranks[:, :, None], ranks[:, None, :]] >= limit).tril(-1)
