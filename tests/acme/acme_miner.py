"""A third party's miner: one seed per class, favouring large proposals."""

from dataclasses import dataclass

from wsis.contracts import PseudoInstances


@dataclass(frozen=True, kw_only=True)
class LargeMiner:
    """Takes the highest score times area to the ``gamma``; 0 gives OICR's choice."""

    gamma: float = 0.5

    def __call__(self, scores, overlaps, tags):
        score = scores.classification[:, 1:]
        c = tags.nonzero().flatten()
        index = (score * overlaps.area[:, None] ** self.gamma)[:, c].argmax(0)
        return PseudoInstances(index, label=c + 1, weight=score[index, c])
