"""Every proposal is one pseudo instance at most."""

import torch

from wsis.contracts import PseudoInstances


def each_once(found: PseudoInstances) -> PseudoInstances:
    """Each proposal once, with the class it was found for at the largest weight.

    In the proposals' order; of equal weights the one found first stays.
    """
    order = found.weight.argsort(descending=True, stable=True)
    order = order[found.index[order].argsort(stable=True)]
    index = found.index[order]
    first = torch.ones_like(index, dtype=torch.bool)
    first[1:] = index[1:] != index[:-1]
    return found.chosen(order[first])
