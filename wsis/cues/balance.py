"""The share of the cluster loss that goes to the foreground."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from jaxtyping import Int
from torch import Tensor

from wsis.features.frozen import sample
from wsis.proposals.bags import Bag

ENOUGH = 0.04
"""The share from which training begins: with 0.03 it hardly did, with 0.05 it did.

Measured in docs/proposals.md, "Proposals to train on".
"""


def foreground_share(labels: Iterable[Int[Tensor, "_ C1"] | None]) -> float | None:
    """Return the foreground share of an image's labelled proposals, the images' median.

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


def hint(cues: Callable[[Bag], Int[Tensor, "_ C1"] | None], bags: Sequence[Bag]) -> str:
    """Advise where cues leave the foreground too little weight.

    Args:
        cues: gives a bag's labels.
        bags: those trained on; a sample of those with tags is looked at.

    Returns:
        A sentence, empty where the share is ``ENOUGH`` or nothing is labelled.
    """
    some = sample([bag for bag in bags if bag.tags.any()])
    share = foreground_share(cues(bag) for bag in some if len(bag.proposals))
    if share is None or share >= ENOUGH:
        return ""
    return (
        f"cues mark {share:.1%} of the proposals as foreground, and with less than "
        f"{ENOUGH:.0%} the anti-noise branch hardly learns; keep near copies "
        "(source.max_overlap=0.9) or do without it (anti_noise=false)"
    )
