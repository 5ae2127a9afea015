"""CIM, every part given by hand as an object, on drawn scenes: a minute on a CPU."""

import wsis
from wsis.cues.cam import CamCues
from wsis.mining import AntiNoiseSampler, CascadeAssigner, CIMMiner
from wsis.proposals.region_tree import RegionTree

# Pictures with tags to learn from, and pictures with masks to be measured on.
data = wsis.Scenes(train_images=30, val_images=15)

run = wsis.train(
    data,
    # Each seed gives way to the most integral proposal that contains it.
    miner=CIMMiner(p_seed=0.1, containment=0.85),
    settings={
        # Mask proposals from colours alone; a frozen backbone with ImageNet's weights.
        "source": RegionTree(nodes=150, pairs=100, side=256),
        "backbone": "efficientnet_lite0",
        "head": "mask_pool",
        # Activation maps of a tag classifier teach the first branch (True: by way of
        # the anti-noise branch, as in the paper, which takes a longer training).
        "cues": CamCues(threshold=0.3),
        "anti_noise": False,
        # Uncertain instances are dropped at random; thresholds rise by branch.
        "sampler": AntiNoiseSampler(),
        "assigner": CascadeAssigner(t_cls=0.25, t_iou=0.5, step=0.1),
        "train_sides": [384],
        "test_sides": [384],
        "schedule.epochs": 8,
        "schedule.lr": 5e-4,
    },
    seed=0,
)
metrics = run.evaluate(data).metrics
print(" ".join(f"{name} {value:.1f}" for name, value in metrics.items()))
