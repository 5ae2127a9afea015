"""How well a proposal source covers the objects of a COCO-format folder, and its cost.

    python benchmarks/proposals.py --images DIR --annotations A.json --source hed
    python benchmarks/proposals.py ... --source hed,lab --selective-search

Prints, for every budget, the average best overlap (ABO), the average recall over IoU
0.5 to 0.95 and the recall at 0.5, 0.7 and 0.85 over all objects (crowds left out), and
at the last budget by COCO's sizes; then the seconds of one core (not of the clock on
the wall) a photo by step, and the memory. ``wsis proposals evaluate`` gives the same
figures without the times. With ``--selective-search`` the boxes of the masks are set
beside those of opencv-contrib (``pip install opencv-contrib-python-headless``), against
the boxes of the objects, at every budget; ``--curves FILE.svg`` draws them. The
annotations are only measured against.
"""

import argparse
import resource
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from pycocotools import mask as coco

from wsis import plugins
from wsis.contracts import Annotated, Image
from wsis.data.coco import CocoData
from wsis.evaluation.matches import SIZES
from wsis.evaluation.proposals import BUDGETS, Coverage, coverage, supervision
from wsis.geometry.masks import boxes
from wsis.geometry.overlap import box_shared, iou
from wsis.proposals import _superpixels, grouping, region_tree
from wsis.proposals.region_tree import RegionTree
from wsis.report.curves import draw

STEPS = {
    "superpixels": ((_superpixels, "cut"), (_superpixels.Superpixels, "of")),
    "trees": (
        *((grouping, name) for name in ("grow", "membership")),
        *((region_tree, name) for name in ("merges", "membership")),
    ),
    "unions": tuple(
        (grouping, name) for name in ("new_pairs", "promising", "triplets")
    ),
    "choice": (
        *((grouping, name) for name in ("in_turns", "distinct")),
        *((region_tree, name) for name in ("distinct", "neighbour_pairs")),
    ),
}
"""Steps of ``Grouping`` and ``RegionTree``: where their functions are called."""


class Clock:
    """Adds up the seconds of a core that functions take."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def timed(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, timed as a part of ``step``."""

        def run(*given: Any, **named: Any) -> Any:
            start = time.process_time()
            result = function(*given, **named)
            self.seconds[step][-1] += time.process_time() - start
            return result

        return run

    def photo(self) -> None:
        """Begin the next photo."""
        for step in ("contours", *STEPS):
            self.seconds[step].append(0.0)


def watched(source: Any, clock: Clock) -> Any:
    """Return the source, with its steps timed if it groups superpixels."""
    if isinstance(source, (grouping.Grouping, RegionTree)):
        for step, places in STEPS.items():
            for module, name in places:
                setattr(module, name, clock.timed(step, getattr(module, name)))
        kind: Any = type(source._contours())
        for name in ("__call__", "of_lab"):
            if hasattr(kind, name):
                setattr(kind, name, clock.timed("contours", getattr(kind, name)))
    return source


def measured(data: Annotated, source: Any, limit: int) -> tuple[Coverage, list[str]]:
    """Return the source's figures, and its cost in words."""
    clock, seconds = Clock(), []
    source = watched(source, clock)

    def proposals() -> Any:
        for image in data.tagged.images:
            pixels = image.load()
            clock.photo()
            start = time.process_time()
            found = source(pixels)
            seconds.append(time.process_time() - start)
            yield found

    figures = coverage(
        proposals(), data.truths, data.tagged.classes, limit=limit, bounds=False
    )
    costs = [f"{np.median(seconds):.2f} s a photo (median)"]
    for step, times in clock.seconds.items():
        if any(times):
            costs.append(f"{step} {np.median(times):.2f}")
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return figures, [*costs, f"at most {megabytes:.0f} MB with the libraries"]


def row(name: str, best: Float[np.ndarray, " G"]) -> str:
    """Return one line of the table, in percent."""
    thresholds = np.linspace(0.5, 0.95, 10)
    recall = (best[:, None] >= thresholds).mean()
    shares = [best.mean(), recall, *((best >= t).mean() for t in (0.5, 0.7, 0.85))]
    return f"| {name} | " + " | ".join(f"{100 * share:.1f}" for share in shares) + " |"


def selective_search(image: Image) -> Float[np.ndarray, "N 4"]:
    """Return the boxes of opencv-contrib's fast mode, in its order."""
    import cv2

    cv2.setNumThreads(1)
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(np.ascontiguousarray(image[..., ::-1]))
    search.switchToSelectiveSearchFast()
    found = search.process().astype(float)
    found[:, 2:] += found[:, :2]
    return found


def beside(
    data: Annotated, sources: dict[str, Any], limit: int, curves: Path | None
) -> None:
    """Print the boxes' figures of all, budget by budget, and draw them."""
    drawn = []
    budgets = [b for b in BUDGETS if b < limit] + [limit]
    finders: dict[str, Callable[[Image], Any]] = {
        name: lambda image, source=source: boxes(source(image)).numpy()
        for name, source in sources.items()
    }
    for name, find in {**finders, "selective search": selective_search}.items():
        best, seconds, count = [], [], []
        for image, truth in zip(data.tagged.images, data.truths, strict=True):
            pixels = image.load()
            start = time.process_time()
            found = find(pixels)
            seconds.append(time.process_time() - start)
            count.append(len(found))
            wanted = np.array(coco.toBbox(list(truth.masks)), float).reshape(-1, 4)
            wanted[:, 2:] += wanted[:, :2]
            wanted = torch.from_numpy(wanted)[~truth.ignore]
            over = iou(*box_shared(torch.from_numpy(found).double(), wanted)).numpy()
            best.append(np.stack([over[:b].max(0, initial=0) for b in budgets]))
        lines = np.concatenate(best, 1)
        for budget, line in zip(budgets, lines, strict=True):
            print(row(f"{name}, boxes, {budget}", line))
        print(f"{name}: {np.median(seconds):.2f} s a photo (median)", flush=True)
        figures = Coverage(
            budgets=tuple(budgets),
            best=lines,
            area=np.zeros(lines.shape[1]),
            count=np.array(count),
            oracle={},
            ledger=sources[name].ledger if name in sources else frozenset(),
        )
        drawn.append({"source": f"{name}, boxes", **figures.results()})
    if curves:
        draw(drawn, curves)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--photos", type=int, help="every n-th, so many in all")
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument(
        "--source", default="region_tree", help="several with commas, beside others"
    )
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--selective-search", action="store_true")
    parser.add_argument("--curves", type=Path, help="draw the boxes' figures, .svg")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    settings: dict[str, Any] = dict(item.split("=", 1) for item in arguments.set)
    sources = {
        name: plugins.create("sources", name, settings)
        for name in arguments.source.split(",")
    }
    data = CocoData(images=arguments.images, val_json=arguments.annotations).val()
    data = some(data, arguments.photos)
    for source in sources.values():
        print(f"{source}\nsupervision: {supervision(source.ledger)}")
    print("| masks | ABO | AR | R@.5 | R@.7 | R@.85 |\n|---|---|---|---|---|---|")
    if arguments.selective_search:
        beside(data, sources, arguments.limit, arguments.curves)
        return
    [source] = sources.values()
    figures, costs = measured(data, source, arguments.limit)
    for budget, best in zip(figures.budgets, figures.best, strict=True):
        print(row(str(budget), best))
    for name, (low, high) in SIZES.items():
        inside = (low <= figures.area) & (figures.area <= high)
        if inside.any():
            print(row(f"{figures.budgets[-1]}, {name}", figures.best[-1, inside]))
    print(
        f"\n{len(figures.count)} photos, {len(figures.area)} objects; "
        + ", ".join(costs)
    )


def some(data: Annotated, count: int | None) -> Annotated:
    """Return photos spread evenly over those that have objects to find."""
    full = [i for i, t in enumerate(data.truths) if (~t.ignore).any()]
    chosen = full[:: max(1, len(full) // count)][:count] if count else full
    tagged = data.tagged
    return Annotated(
        tagged=type(tagged)(
            name=tagged.name,
            classes=tagged.classes,
            images=[tagged.images[i] for i in chosen],
        ),
        truths=[data.truths[i] for i in chosen],
    )


if __name__ == "__main__":
    main()
