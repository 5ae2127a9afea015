"""OICR step by step: what one branch of a trained model teaches the next."""

import torch

import wsis
from wsis.geometry import overlaps
from wsis.mining import OICRAssigner, OICRMiner
from wsis.proposals.region_tree import RegionTree

data = wsis.Scenes(train_images=24, val_images=12)
steps = []  # an observer sees each branch of each training step

pipeline = wsis.Pipeline.of(
    settings={
        "source": RegionTree(nodes=120, pairs=60, side=256),
        "cues": "none",  # the anti-noise branch learns from the tags alone
        "assigner": OICRAssigner(),
        "train_sides": [384],
        "test_sides": [384],
        "schedule.epochs": 2,
    }
)
miner = OICRMiner()  # the best proposal of each class is its only instance
tagged = data.train()
pipeline.train(tagged, miner, seed=0, observer=steps.append)

# The same by hand: mine the last step's scores, and assign each proposal a target.
last = steps[-1]
[bag] = [bag for bag in pipeline.bags(tagged.images) if bag.image.id == last.image_id]
between = overlaps(bag.proposals)
pseudo = miner.at(last.branch)(last.scores, between, bag.tags)
targets = OICRAssigner()(pseudo, between)
assert torch.equal(pseudo.index, last.pseudo.index)
for index, label in zip(pseudo.index.tolist(), pseudo.label.tolist(), strict=True):
    taught = int((targets.label == label).sum())
    print(f"proposal {index} teaches {tagged.classes[label - 1]} to {taught} proposals")
