"""Parts that are installed nowhere."""

from dataclasses import dataclass

from wsis.contracts import PseudoInstances


@dataclass(frozen=True)
class LargeMiner:
    """One pseudo instance a class: the highest score times a power of the area."""

    gamma: float = 0.5

    def __call__(self, scores, overlaps, tags):
        score = scores.classification[:, 1:]
        c = tags.nonzero().flatten()
        index = (score * overlaps.area[:, None] ** self.gamma)[:, c].argmax(0)
        return PseudoInstances(index, label=c + 1, weight=score[index, c])
