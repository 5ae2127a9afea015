"""Trains miners under a watch that reads masks, and prints what they were taught.

    python benchmarks/trace.py --miners cim,mist,oicr --data scenes
    python benchmarks/trace.py --data coco --images photos --train train.json

Prints a row for each miner, epoch (the first and the last) and branch as Markdown, then
the reliability of integrity in the last epoch. ``--json`` keeps all rows.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from wsis._support.files import write_json
from wsis.contracts import Tagged
from wsis.evaluation import Trace
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part, Settings

COLUMNS = {
    "pseudo": "pseudo instances",
    "precision": "right",
    "iou": "IoU",
    "part": "part",
    "whole-plus": "whole-plus",
    "class": "class",
    "shifted": "shifted",
    "background": "background",
    "area": "area of the heaviest",
    "foreground": "foreground targets",
    "foreground_right": "of them right",
    "targets_right": "all targets right",
}


def cell(value: float | None, name: str) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if name in ("area", "rank") else f"{value:.1f}"


def print_rows(miner: str, rows: list[dict[str, Any]]) -> None:
    last = rows[-1]["epoch"]
    for row in rows:
        if row["epoch"] in (0, last):
            integrity = row["integrity"]
            cells = [cell(row[name], name) for name in COLUMNS]
            cells.append(cell(integrity["error"], "error"))
            cells.append(cell(integrity["rank_correlation"], "rank"))
            place = f"{row['epoch'] + 1} | {row['branch'] + 1}"
            print(f"| {miner} | {place} | {' | '.join(cells)} |", flush=True)


def some(tagged: Tagged, count: int | None) -> list[int]:
    """Return numbers of images, spread evenly over all."""
    total = len(tagged.images)
    return [i * total // count for i in range(count)] if count else list(range(total))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--miners", default="cim,mist,oicr")
    parser.add_argument("--data", default="scenes")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--train", type=Path)
    parser.add_argument("--count", type=int, help="training images; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    given = {"images": arguments.images, "train_json": arguments.train}
    given = {key: value for key, value in given.items() if value is not None}
    data = Part.parse(arguments.data).build("datasets", **given)
    pipeline = Pipeline(Settings.read(arguments.set), arguments.cache)
    whole = data.train()
    index = some(whole, arguments.count)
    truths = data.train_truths()
    tagged = Tagged(
        name=whole.name,
        classes=whole.classes,
        images=[whole.images[i] for i in index],
    )
    head = [*COLUMNS.values(), "integrity error", "rank correlation"]
    print(f"| miner | epoch | branch | {' | '.join(head)} |")
    print("|---|" + "---|" * (len(head) + 2), flush=True)
    found = {}
    seconds = {}
    bags = pipeline.bags(tagged.images)
    cues = pipeline.cues(bags, arguments.seed)
    for name in arguments.miners.split(","):
        trace = Trace(bags, [truths[i] for i in index])
        began = time.perf_counter()
        pipeline.train(
            tagged, Part.parse(name), arguments.seed, cues=cues, observer=trace
        )
        seconds[name] = time.perf_counter() - began
        found[name] = trace.results()
        print_rows(name, found[name])
    print("\n| integrity said, % |", " | ".join(f"{10 * i}+" for i in range(10)), "|")
    print("|---|" + "---|" * 10)
    for name, rows in found.items():
        for row in rows[-pipeline.settings.branches :]:
            curve = row["integrity"]["reliability"]
            cells = [
                f"{p['iou']:.0f} ({p['count']})" if p["count"] else "" for p in curve
            ]
            print(f"| {name}, branch {row['branch'] + 1} | {' | '.join(cells)} |")
    print(f"\n{len(index)} training images, seed {arguments.seed};", end=" ")
    print(json.dumps({name: round(value) for name, value in seconds.items()}), "s")
    if arguments.json:
        write_json(arguments.json, found)


if __name__ == "__main__":
    main()
