"""Cost and storage of each stage on some photos of COCO, extrapolated to all 118,287.

    python benchmarks/coco_plan.py COCO [--photos 40] [--proposals 2000]

COCO is a folder with images/ and annotations/instances_train.json. Works on one thread
in a cache of its own, which is deleted, and counts processor time. Prints a row of
Markdown for each stage.
"""

import argparse
import dataclasses
import json
import tempfile
import time
from pathlib import Path

import torch

from wsis._support.provenance import device_in_words
from wsis.contracts import GroundTruth
from wsis.data.coco import CocoData
from wsis.evaluation import evaluate
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part

ALL, EPOCHS, HOUR = 118_287, 12, 3600.0


def main() -> None:
    """Measure every stage and print its row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("coco", type=Path)
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--proposals", type=int, default=2000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    labels = given.coco / "annotations" / "instances_train.json"
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder)
        few = kept / "few.json"
        few.write_text(json.dumps(_few(json.loads(labels.read_text()), given.photos)))
        data = CocoData(images=given.coco / "images", train_json=few, val_json=few)
        _measure(data, kept / "cache", given.proposals)


def _measure(data: CocoData, cache: Path, proposals: int) -> None:
    pipeline = Pipeline.of(
        recipe="paper-small",
        settings=[f"source=lab:count={proposals}:max_overlap=0.9"],
        device="cpu",
        cache=cache,
    )
    val = data.val()
    assert val is not None
    tagged = data.train()
    bags = [one for one in pipeline.bags(tagged.images) if one.tags.any()]
    count, size, began = len(bags), 0, time.process_time()
    print("| stage | s a photo | MB a photo | hours, COCO | GB, COCO |")
    print("|---|---|---|---|---|")

    def done(stage: str, times: int = count) -> None:
        nonlocal size, began
        now = sum(x.stat().st_size for x in cache.rglob("*") if x.is_file())
        seconds, space = (time.process_time() - began) / times, (now - size) / times
        passes = EPOCHS if stage.startswith("training") else 1
        print(
            f"| {stage} | {seconds:.3f} | {space / 1e6:.2f} "
            f"| {seconds * ALL * passes / HOUR:,.0f} | {space * ALL / 1e9:,.0f} |",
            flush=True,
        )
        size, began = now, time.process_time()

    numbers = [len(bag.proposals) for bag in bags]
    done("proposals")
    for bag in bags:
        pipeline.frozen(bag, pipeline.train_views[0])
    done("features")
    for bag in bags:
        pipeline.shared(bag)
    done("overlaps")
    cues = pipeline.cues(bags, 0)
    for bag in bags:
        cues(bag)
    done("cues")
    steps = count
    few = dataclasses.replace(tagged, images=[bag.image for bag in bags])
    miner = Part(name="cim")
    model, _ = pipeline.train(few, miner, 0, bags=bags, cues=cues, steps=steps)
    done("training, an image", steps)
    found = [pipeline.predict(model, bag) for bag in bags]
    done("prediction")
    by = {one.image_id: one for one in val.truths}
    truths: list[GroundTruth] = [by[bag.image.id] for bag in bags]
    evaluate(found, truths, tagged.classes)
    done("evaluation")
    where = device_in_words(pipeline.device)
    print(f"\n{count} photos, {sum(numbers) / count:.0f} proposals each, {where}")


def _few(labels: dict, count: int) -> dict:
    """Return COCO's labels of some photos, evenly spread."""
    images = labels["images"][:: max(1, len(labels["images"]) // count)][:count]
    numbers = {one["id"] for one in images}
    own = [one for one in labels["annotations"] if one["image_id"] in numbers]
    return {**labels, "images": images, "annotations": own}


if __name__ == "__main__":
    main()
