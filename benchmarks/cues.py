"""How right the cues are: cluster labels against the objects' masks.

    python benchmarks/cues.py --images DIR --train A.json --val B.json --cues cam agpl

Cues are learned from the training photos' tags alone; masks are only measured against.
Prints, for both halves and for photos with one and with several objects:

- labels: share of the proposals labelled with a class that have IoU > 0.5 with an
  object of it, mean over photos;
- clusters: share of the clusters most of whose members have that with one object;
- found: share of the objects that have such a cluster;
- per photo: clusters of classes a photo.

``random`` is any proposal of the photo with a class it is tagged with. ``--part`` takes
every n-th photo of a half to label, for cues that take long; learning sees all.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from wsis.contracts import GroundTruth, Pointing
from wsis.cues._peaks import stimulated
from wsis.data.coco import CocoData
from wsis.features.scale import Scale
from wsis.geometry.overlap import cross_iou
from wsis.proposals.bags import Bag
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Settings

RIGHT = 0.5


@dataclass
class Tally:
    """Counts over photos."""

    labels: list[float] = field(default_factory=list)
    clusters: list[float] = field(default_factory=list)
    photos: int = 0
    objects: int = 0
    found: int = 0

    def add(self, labels: Tensor, right: Tensor) -> None:
        """One photo's labels, (N, C + 1), and which proposals fit which object."""
        clusters, objects = labels[:, 1:], set()
        members = [clusters == n for n in clusters.unique().tolist() if n]
        if members:
            hits = torch.stack([right[m.any(1)].any(1).float().sum() for m in members])
            sizes = torch.stack([m.sum() for m in members])
            self.labels.append(float(hits.sum() / sizes.sum()))
        for m in members:
            shares = right[m.any(1)].float().mean(0)
            best = int(shares.argmax())
            self.clusters.append(float(shares[best] >= 0.5))
            if shares[best] >= 0.5:
                objects.add(best)
        self.photos += 1
        self.objects += right.shape[1]
        self.found += len(objects)

    def row(self) -> str:
        """Its figures, as cells of a table."""
        return " | ".join(
            (
                percent(self.labels),
                percent(self.clusters),
                f"{100 * self.found / max(1, self.objects):.1f}",
                f"{len(self.clusters) / max(1, self.photos):.2f}",
            )
        )


def percent(values: Iterable[float]) -> str:
    values = list(values)
    return f"{100 * fmean(values):.1f}" if values else "-"


def fits(bag: Bag, truth: GroundTruth) -> tuple[Tensor, Tensor]:
    """Which proposals fit which object, and the objects' classes; ignored left out."""
    kept = (~truth.ignore).nonzero().flatten().tolist()
    masks = [truth.masks[i] for i in kept]
    return cross_iou(bag.proposals, masks) > RIGHT, truth.label[kept]


def measure(
    label: Callable[[Bag], Tensor],
    bags: list[Bag],
    right: list[tuple[Tensor, Tensor]],
    classes: tuple[str, ...],
) -> None:
    tallies: dict[str, Tally] = defaultdict(Tally)
    for bag, (fit, of) in zip(bags, right, strict=True):
        if not len(of):
            continue
        labels = label(bag)
        whole = labels.clone()
        # A label is right by the objects of its own class, so classes count apart.
        for c in of.unique().tolist():
            one = torch.zeros_like(whole)
            one[:, c] = whole[:, c]
            objects = fit[:, of == c]
            tallies["all"].add(one, objects)
            tallies["one" if objects.shape[1] == 1 else "several"].add(one, objects)
            tallies[classes[c - 1]].add(one, objects)
    for name in ("all", "one", "several"):
        print(f"| {name} | {tallies[name].row()} |", flush=True)
    each = ", ".join(f"{n} {percent(tallies[n].labels)}" for n in classes)
    print(f"\nlabels by class: {each}\n", flush=True)


def average_precision(score: Tensor, tagged: Tensor) -> float:
    ranked = tagged[score.argsort(descending=True)].double()
    precision = ranked.cumsum(0) / torch.arange(1, len(ranked) + 1)
    return float((precision * ranked).sum() / ranked.sum())


def tag_map(pipeline: Pipeline, labeller: object, bags: list[Bag]) -> str:
    """Mean average precision of the tags, image by image."""
    classifier = getattr(labeller, "classifier", None)
    if classifier is None:
        return "-"
    scale, logits = Scale(pipeline.settings.train_sides[0]), []
    peaks = isinstance(labeller, Pointing)
    for bag in bags:
        maps = classifier.responses(pipeline.frozen.map(bag, scale))
        logits.append(stimulated(maps) if peaks else maps.mean((1, 2)))
    scores, tags = torch.stack(logits), torch.stack([bag.tags for bag in bags])
    present = tags.any(0).nonzero().flatten().tolist()
    return percent(average_precision(scores[:, c], tags[:, c]) for c in present)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--classes", default="all")
    parser.add_argument("--cues", nargs="+", default=["cam", "agpl"])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--cache", type=Path, default=Path("cues-cache"))
    parser.add_argument("--part", type=int, default=1, help="every n-th photo")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    given = {"images": arguments.images, "classes": arguments.classes}
    tagged = CocoData(train_json=arguments.train, **given).train()
    halves = {
        "training": CocoData(val_json=arguments.train, **given).val(),
        "validation": CocoData(
            train_json=arguments.train, val_json=arguments.val, **given
        ).val(),
    }
    base = Pipeline(Settings.read(arguments.set), arguments.cache)
    photos, right = {}, {}
    for name, half in halves.items():
        part = slice(None, None, arguments.part)
        photos[name] = base.bags(half.tagged.images[part])
        truths = [half.truths[i] for i in range(len(half.truths))[part]]
        right[name] = [fits(*pair) for pair in zip(photos[name], truths, strict=True)]
    head = "| | labels | clusters | found | per photo |\n|---|---|---|---|---|"
    for name, bags in photos.items():
        print(f"## random, {name}, {len(bags)} photos\n\n{head}", flush=True)

        def chance(bag: Bag) -> Tensor:
            labels = torch.zeros(len(bag.proposals), len(bag.tags) + 1).long()
            labels[:, 1:] = bag.tags
            return labels

        measure(chance, bags, right[name], tagged.classes)
    for cue in arguments.cues:
        # Part.parse reads name:key=value, as in the command line's lists of miners.
        settings = Settings.read([*arguments.set, f"cues={cue}"])
        pipeline = Pipeline(settings, arguments.cache)
        cues = pipeline.cues(pipeline.bags(tagged.images), seed=0)
        precision = tag_map(pipeline, cues.ready(), photos["validation"])
        print(f"# {cue}: tags' mAP on validation photos {precision}\n", flush=True)
        for name, bags in photos.items():
            print(f"## {cue}, {name}, {len(bags)} photos\n\n{head}", flush=True)

            def label(bag: Bag, cues: object = cues) -> Tensor:
                found = cues(bag)  # type: ignore[operator]
                if found is None:
                    raise SystemExit("expected cues that label")
                return found

            measure(label, bags, right[name], tagged.classes)


if __name__ == "__main__":
    main()
