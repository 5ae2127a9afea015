"""MIST through a pipeline: proposals, cues, training and prediction as single steps."""

import wsis
from wsis.mining import KeepAll, MISTMiner
from wsis.proposals.region_tree import RegionTree

data = wsis.Scenes(train_images=30, val_images=15)
tagged, val = data.train(), data.val()

# A pipeline builds its parts once and keeps proposals, features and cues on disk.
pipeline = wsis.Pipeline.of(
    settings={
        "source": RegionTree(nodes=150, pairs=100, side=256),
        "sampler": KeepAll(),  # every pseudo instance teaches
        "anti_noise": False,  # cues teach the first branch
        "train_sides": [384],
        "test_sides": [384],
        "schedule.epochs": 8,
        "schedule.lr": 5e-4,
    }
)
bags = pipeline.bags(tagged.images)
print(f"{len(bags[0].proposals)} proposals of the first picture")

# Several pseudo instances a class, chosen by score alone: parts pass for objects.
model, progress = pipeline.train(
    tagged, MISTMiner(reading="mask"), seed=0, cues=pipeline.cues(bags, seed=0)
)
found = [pipeline.predict(model, bag) for bag in pipeline.test_bags(val.tagged.images)]
metrics = wsis.evaluate(found, val.truths, tagged.classes).metrics
print(" ".join(f"{name} {value:.1f}" for name, value in metrics.items()))
