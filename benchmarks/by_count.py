"""Print the figures of ``wsis bench`` for photos with one object and with several.

python benchmarks/by_count.py wsis-bench --images DIR --val VAL.json
"""

import argparse
from collections import defaultdict
from pathlib import Path
from statistics import fmean, stdev

from wsis.data.coco import CocoData
from wsis.evaluation import evaluate
from wsis.experiments.folders import predictions_path, read_predictions, read_runs

FIGURES = ("mAP25", "mAP50", "mAP70", "mAP75", "AP")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="what wsis bench wrote")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--classes", default="all")
    given = parser.parse_args()
    data = CocoData(images=given.images, val_json=given.val, classes=given.classes)
    val = data.val()
    truths = list(val.truths)
    objects = {truth.image_id: int((~truth.ignore).sum()) for truth in truths}
    kinds = {
        "one object": {image for image, count in objects.items() if count == 1},
        "several": {image for image, count in objects.items() if count > 1},
    }
    found = defaultdict(list)
    for run in read_runs(given.folder):
        path = predictions_path(given.folder, run.miner, run.seed, run.fold)
        predictions = read_predictions(path)
        for kind, images in kinds.items():
            of_kind = evaluate(
                [one for one in predictions if one.image_id in images],
                [one for one in truths if one.image_id in images],
                val.tagged.classes,
            )
            found[kind, run.miner].append(of_kind.metrics)
    print(f"| | photos | seeds | {' | '.join(FIGURES)} |")
    print("|---|" + "---|" * (len(FIGURES) + 2))
    for (kind, miner), metrics in sorted(found.items()):
        cells = [spread([one[figure] for one in metrics]) for figure in FIGURES]
        row = [miner, f"{len(kinds[kind])} with {kind}", str(len(metrics)), *cells]
        print(f"| {' | '.join(row)} |")


def spread(values: list[float]) -> str:
    """Return the mean, and the deviation of several values."""
    deviation = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
    return f"{fmean(values):.1f}{deviation}"


if __name__ == "__main__":
    main()
