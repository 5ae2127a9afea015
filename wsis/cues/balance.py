"""How much of the cluster loss goes to the foreground."""

from collections.abc import Iterable
from statistics import median

from jaxtyping import Int
from torch import Tensor

ENOUGH = 0.04
"""Of the labelled proposals: with 0.03 training hardly began, with 0.05 it did.

As measured in docs/proposals.md, "Proposals to train on".
"""


def foreground_share(labels: Iterable[Int[Tensor, "_ C1"] | None]) -> float | None:
    """How many of an image's labelled proposals are foreground, the images' median.

    The cluster loss counts members, so that this is the foreground's part of it.

    Args:
        labels: cluster labels of some images, laid out as ``cluster_loss`` has them;
            None for an image without cues, which does not count.

    Returns:
        A share in [0, 1]; None if no image has a labelled proposal.
    """
    shares = []
    for label in labels:
        if label is not None and label.any():
            foreground = (label[:, 1:] > 0).any(1).sum()
            shares.append(float(foreground / (label > 0).any(1).sum()))
    return median(shares) if shares else None
