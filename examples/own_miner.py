"""A miner of your own, compared with CIM. Nothing is installed or registered."""

from dataclasses import dataclass

import wsis


@dataclass(frozen=True, kw_only=True)
class LargeMiner:
    """Take the highest score times area to the ``gamma``; 0 gives OICR's choice."""

    gamma: float = 0.5

    def __call__(self, scores, overlaps, tags):
        score = scores.classification[:, 1:]  # column 0 is the background's
        c = tags.nonzero().flatten()
        index = (score * overlaps.area[:, None] ** self.gamma)[:, c].argmax(0)
        return wsis.PseudoInstances(index, label=c + 1, weight=score[index, c])


data = wsis.Scenes(train_images=24, val_images=12)
miners = {"cim": wsis.CIMMiner(), "large": LargeMiner(gamma=0.3)}
quick = ["source.count=200", "schedule.epochs=8", "schedule.lr=5e-4"]
table = wsis.compare(miners, data, seeds=2, settings=quick)
print(table, table.report("own-miner.html"), sep="\n")
