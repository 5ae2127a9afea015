r"""Draws the pictures of docs/method.md, and one of docs/extend.md, from a run.

The run is of the drawn scenes; two pictures are plots.

wsis train --recipe paper-small --data scenes --out run \
  --set source.nodes=400 --set source.pairs=200
python docs/make_method_pictures.py run docs/images
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from wsis import Scenes, TaggedImage
from wsis._support.places import cache_folder
from wsis.features.scale import scales
from wsis.geometry import masks
from wsis.geometry.drawing import PALETTE, overlay, sheet
from wsis.geometry.overlap import overlaps
from wsis.mining import CascadeAssigner, CIMMiner
from wsis.mining.cim import candidates, seeds
from wsis.proposals.bags import Bag
from wsis.runs.run import Run, load_run

SIDE = 240
INK, GREY = (40, 40, 40), (150, 150, 150)


def main() -> None:
    """Writes five pictures into a folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cache", type=Path, default=cache_folder(None))
    parser.add_argument("--redundant", type=int, default=22, help="number of a scene")
    parser.add_argument("--mined", type=int, default=50, help="number of a scene")
    options = parser.parse_args()
    run = load_run(options.run, device="cpu", cache=options.cache)
    images = Scenes().train().images
    options.folder.mkdir(parents=True, exist_ok=True)
    pictures = {
        "redundant": redundant(run, run.pipeline.bags(images)[options.redundant]),
        "mining": mining(run, run.pipeline.bags(images)[options.mined]),
        "branches": branches(run, images[options.mined]),
        "cascade": cascade(),
        "sampling": sampling(),
    }
    for name, picture in pictures.items():
        path = options.folder / f"method-{name}.jpg"
        Pillow.fromarray(picture).save(path, quality=88, optimize=True)
        print(f"{path}: {path.stat().st_size // 1024} KB")


def scored(run: Run, bag: Bag) -> torch.nn.Module:
    """What every branch of the run says of a scene's proposals."""
    [scale] = scales(run.card.settings.test_sides[:1], flips=False)
    with torch.no_grad():
        return run.model(run.pipeline.features(run.model)(bag, scale))


def redundant(run: Run, bag: Bag) -> np.ndarray:
    """The proposals that the run likes best for one class: one object, many masks."""
    found = scored(run, bag).final()
    label = int(bag.tags.nonzero()[0])
    best = found[:, label].argsort(descending=True)[:7]
    above = int((found[:, label] > 0.3).sum())
    print(f"{bag.image.name}: {above} proposals of one class score above 0.3")
    tiles = [overlay(bag.pixels, [], side=SIDE)]
    for index in best:
        caption = [f"{found[index, label]:.2f}"]
        mask = masks.rles(bag.proposals, index[None])
        tiles.append(overlay(bag.pixels, mask, caption, side=SIDE))
    return sheet(tiles, 4)


def mining(run: Run, bag: Bag) -> np.ndarray:
    """Seeds of one class above, the complete instances they grow to below."""
    branch = scored(run, bag).branches[0]
    label = int(bag.tags.nonzero()[0]) + 1
    between, miner = overlaps(bag.proposals), CIMMiner().at(1)
    score = branch.classification[:, [label]]
    _, chosen = seeds(score, between, miner.p_seed, miner.t_cls)
    fits = candidates(chosen, between, miner.containment, miner.oversize)
    rows: list[list[np.ndarray]] = [[], []]
    grown = set()
    for seed, fit in zip(chosen.tolist(), fits.T, strict=True):
        if not fit.any():
            continue
        whole = int(branch.localization[:, label].where(fit, -1).argmax())
        grown.add(whole)
        for row, index in zip(rows, (seed, whole), strict=True):
            caption = (
                f"cls {branch.classification[index, label]:.2f} "
                f"whole {branch.localization[index, label]:.2f}"
            )
            mask = masks.rles(bag.proposals, torch.tensor([index]))
            row.append(overlay(bag.pixels, mask, [caption], side=SIDE))
    tags = torch.zeros_like(bag.tags)
    tags[label - 1] = True
    if grown != set(miner(branch, between, tags).index.tolist()):
        raise AssertionError("the picture is not what the miner does")
    print(f"{bag.image.name}: {len(chosen)} seeds, {len(grown)} instances")
    shown = 4
    return sheet(rows[0][:shown] + rows[1][:shown], shown)


def branches(run: Run, image: TaggedImage) -> np.ndarray:
    """The pseudo instances of every branch, by OICR above and by CIM below."""
    tiles = [
        branch.draw(side=SIDE)
        for miner in ("oicr", "cim")
        for branch in run.branches(image, miner=miner)
    ]
    return sheet(tiles, len(tiles) // 2)


def cascade() -> np.ndarray:
    """What a proposal is taught, by its IoU with the nearest pseudo instance."""
    plot = Plot(760, 250, left=120, bottom=45, top=40, right=20)
    colours = [(214, 214, 214), PALETTE[1], PALETTE[2]]
    names = ["background", "class, not whole", "class, whole"]
    for branch in range(3):
        assigner = CascadeAssigner().at(branch)
        edges = [0.0, assigner.t_cls, assigner.t_iou, 1.0]
        low, high = 1 - (branch + 0.85) / 3, 1 - (branch + 0.15) / 3
        for colour, start, stop in zip(colours, edges, edges[1:], strict=False):
            plot.box(start, low, stop, high, colour)
        for edge in edges[1:3]:
            plot.text(edge, (low + high) / 2, f" {edge:.2f}", anchor="lm")
        plot.text(-0.01, (low + high) / 2, f"branch {branch}", anchor="rm")
    for i, (name, colour) in enumerate(zip(names, colours, strict=True)):
        plot.key(i * 0.33, name, colour)
    plot.axis([0, 0.2, 0.4, 0.6, 0.8, 1], "IoU with the nearest pseudo instance")
    return plot.picture()


def sampling() -> np.ndarray:
    """P(kept) by the share of the weight, where a class has n pseudo instances."""
    plot = Plot(760, 360, left=90, bottom=45, top=40, right=20)
    share = np.linspace(0, 1, 201)
    for i, count in enumerate((2, 4, 8, 16)):
        colour = PALETTE[(1, 2, 5, 6)[i]]
        plot.line(share, 1 - (1 - share) ** count, colour)
        plot.key(i * 0.25, f"n = {count}", colour)
    for tick in (0, 0.5, 1):
        plot.text(-0.01, tick, f"{tick:g}", anchor="rm")
    plot.text(-0.02, 0.75, "P(kept)", anchor="rm")
    plot.axis([0, 0.25, 0.5, 0.75, 1], "share p of the class's weight")
    return plot.picture()


class Plot:
    """A canvas with coordinates 0…1 both ways, drawn large and made small."""

    LARGE = 3

    def __init__(self, width: int, height: int, **margins: int) -> None:
        big = self.LARGE
        self.size = width, height
        self.left, self.right = margins["left"] * big, (width - margins["right"]) * big
        self.top = margins["top"] * big
        self.bottom = (height - margins["bottom"]) * big
        self.canvas = Pillow.new("RGB", (width * big, height * big), "white")
        self.pen = ImageDraw.Draw(self.canvas)
        self.font = ImageFont.load_default(size=15 * big)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point is, in pixels."""
        across = self.left + x * (self.right - self.left)
        return across, self.bottom - y * (self.bottom - self.top)

    def box(
        self, x0: float, y0: float, x1: float, y1: float, fill: tuple[int, int, int]
    ) -> None:
        """A filled box."""
        (left, bottom), (right, top) = self.at(x0, y0), self.at(x1, y1)
        self.pen.rectangle((left, top, right, bottom), fill=fill)

    def line(self, x: np.ndarray, y: np.ndarray, colour: tuple[int, int, int]) -> None:
        """A curve."""
        points = [self.at(*point) for point in zip(x, y, strict=True)]
        self.pen.line(points, fill=colour, width=3 * self.LARGE, joint="curve")

    def text(self, x: float, y: float, words: str, anchor: str) -> None:
        """Words at a point."""
        self.pen.text(self.at(x, y), words, fill=INK, font=self.font, anchor=anchor)

    def key(self, x: float, name: str, colour: tuple[int, int, int]) -> None:
        """An entry above the plot."""
        across, _ = self.at(x, 0)
        middle, edge = self.top / 2, 6 * self.LARGE
        corner = across + 2 * edge
        self.pen.rectangle((across, middle - edge, corner, middle + edge), fill=colour)
        place = (corner + edge, middle)
        self.pen.text(place, name, fill=INK, font=self.font, anchor="lm")

    def axis(self, ticks: list[float], name: str) -> None:
        """The axes, ticks and the name of the lower one."""
        corners = [self.at(0, 1), self.at(0, 0), self.at(1, 0)]
        self.pen.line(corners, fill=GREY, width=self.LARGE)
        for tick in ticks:
            x, y = self.at(tick, 0)
            place = (x, y + 4 * self.LARGE)
            self.pen.text(place, f"{tick:g}", fill=INK, font=self.font, anchor="mt")
        x, y = self.at(0.5, 0)
        self.pen.text(
            (x, y + 24 * self.LARGE), name, fill=INK, font=self.font, anchor="mt"
        )

    def picture(self) -> np.ndarray:
        """The plot, smoothed."""
        return np.asarray(self.canvas.resize(self.size, Pillow.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
