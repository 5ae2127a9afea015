"""MIST, composed by hand: the best proposals of each class that barely overlap."""

import tempfile
from pathlib import Path

import torch

from wsis._support.files import Cache
from wsis._support.randomness import generator, seeded
from wsis.cues.cam import CamCues
from wsis.cues.kept import Cues
from wsis.data.scenes.drawn import Scenes
from wsis.evaluation import evaluate
from wsis.features.backbones import efficientnet_lite0
from wsis.features.frozen import FrozenFeatures, LiveFeatures
from wsis.features.views import Scale
from wsis.heads.mask_pool import MaskPool
from wsis.mining import MISTMiner
from wsis.mining.assignment import CascadeAssigner
from wsis.mining.sampling import KeepAll
from wsis.proposals.bags import Bag
from wsis.proposals.region_tree import RegionTree
from wsis.proposals.store import CachedSource
from wsis.training.inference import Selection, predict
from wsis.training.loop import Schedule, fit
from wsis.training.network import Model
from wsis.training.supervision import Strategy

FOLDER = Path(tempfile.mkdtemp(prefix="wsis-"))
SEED = 0

# Pictures with tags to learn from, and pictures with masks to be measured on.
scenes = Scenes(train_images=30, val_images=15)
train, val = scenes.train(), scenes.val()

# Mask proposals without learning; a frozen backbone; both are kept on disk.
proposals = Cache(folder=FOLDER / "proposals", settings={})
source = CachedSource(
    source=RegionTree(nodes=150, pairs=100, side=256), cache=proposals
)
backbone = efficientnet_lite0()
with seeded(SEED):
    head = MaskPool(backbone.channels)
    model = Model(head=head, classes=len(train.classes))
features = FrozenFeatures(
    LiveFeatures(backbone, head),
    maps=Cache(folder=FOLDER / "maps", settings={}),
    pooled=Cache(folder=FOLDER / "pooled", settings={}),
)
scale = Scale(384)
bags = [Bag(image, source) for image in train.images]

# Class activation maps of a linear tag classifier warm the anti-noise branch up.
maps = [features.map(bag, scale) for bag in bags]
tags = torch.stack([bag.tags for bag in bags])
labeller = CamCues().fit(maps, tags, generator(SEED, "cues"))
cues = Cues(labeller, features, scale)

# Several pseudo instances a class, chosen by score alone: parts pass for objects.
strategy = Strategy(
    miner=MISTMiner(reading="mask"), sampler=KeepAll(), assigner=CascadeAssigner()
)

fit(
    model,
    bags,
    features,
    cues,
    strategy,
    Schedule(epochs=10, lr=5e-4),
    seed=SEED,
    scales=[scale],
)
selection = Selection()
predictions = [
    predict(model, Bag(image, source), features, [scale], selection)
    for image in val.tagged.images
]
metrics = evaluate(predictions, val.truths, train.classes).metrics
print(" ".join(f"{name} {value:.1f}" for name, value in metrics.items()))
