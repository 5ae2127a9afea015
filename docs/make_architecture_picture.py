"""Draws docs/images/architecture.svg: the rooms, and how data flows through them.

    python docs/make_architecture_picture.py

Needs ``pip install 'wsis[curves]'``. Rooms that the picture lacks, and rooms that the
package lacks, are refused.
"""

import argparse
import itertools
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

PACKAGE = Path(__file__).parent.parent / "wsis"
OUT = Path(__file__).parent / "images" / "architecture.svg"

INK, SOFT, LOOP, TRUTH = "#1f2933", "#7b8794", "#c2410c", "#15803d"
PAPER = {"flow": "#e8f1fb", "loop": "#fff1e6", "truth": "#e9f7ee", "plain": "#f3f4f6"}

# Room: left, bottom, width, height, kind, what it does or hands on.
BOXES = {
    "data": (0.1, 6.2, 1.95, 0.95, "flow", "photos and tags"),
    "proposals": (2.6, 6.2, 1.95, 0.95, "flow", "masks and overlaps"),
    "features": (5.1, 6.2, 1.95, 0.95, "flow", "backbone's maps"),
    "heads": (7.6, 6.2, 1.95, 0.95, "flow", "scores by branch"),
    "cues": (2.6, 4.9, 1.95, 0.85, "flow", "labels from tags"),
    "evaluation": (10.3, 4.0, 2.0, 0.95, "truth", "mAP, AP, errors"),
    "runs": (0.10, 0.62, 1.95, 0.66, "plain", "run folders"),
    "report": (2.15, 0.62, 1.95, 0.66, "plain", "pages and charts"),
    "projects": (4.20, 0.62, 1.95, 0.66, "plain", "photos to masks"),
    "experiments": (6.25, 0.62, 1.95, 0.66, "plain", "compare, tune"),
    "testing": (8.30, 0.62, 1.95, 0.66, "plain", "checks of parts"),
    "cli": (10.35, 0.62, 1.95, 0.66, "plain", "commands"),
    "contracts": (0.1, -0.2, 2.95, 0.66, "plain", "typed data, protocols"),
    "plugins": (3.18, -0.2, 2.95, 0.66, "plain", "parts by name"),
    "geometry": (6.26, -0.2, 2.95, 0.66, "plain", "masks, overlaps, drawing"),
    "_support": (9.34, -0.2, 2.96, 0.66, "plain", "files, checks, randomness"),
}
# CIM's loop: step, room, left, what it does.
STEPS = (
    ("mine", "mining", 0.35, "seeds grow to\ncomplete instances"),
    ("sample", "mining", 2.73, "light ones are\ndropped at random"),
    ("assign", "mining", 5.11, "each proposal\ngets a target"),
    ("compare", "training", 7.49, "losses teach\nthe student"),
)
STEP = 1.85  # width of a step


def rooms() -> set[str]:
    """Return the rooms of the package."""
    return {
        path.stem
        for path in PACKAGE.iterdir()
        if (path.is_dir() and (path / "__init__.py").exists())
        or (path.suffix == ".py" and not path.stem.startswith("__"))
    }


def drawn() -> set[str]:
    """Return the rooms of the picture."""
    return {*BOXES, *(room for _, room, _, _ in STEPS)}


def box(
    axes: Axes, x: float, y: float, width: float, height: float, color: str
) -> None:
    """Draw a rounded box."""
    axes.add_patch(
        FancyBboxPatch(
            (x, y),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.1",
            facecolor=color,
            edgecolor=SOFT,
            linewidth=0.8,
        )
    )


def arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    color: str = INK,
    bend: float = 0.0,
    style: str = "-",
) -> None:
    """Draw an arrow."""
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=13,
            connectionstyle=f"arc3,rad={bend}",
            color=color,
            linewidth=1.5,
            linestyle=style,
            shrinkA=1,
            shrinkB=1,
        )
    )


def label(
    axes: Axes, x: float, y: float, words: str, color: str = SOFT, **more: object
) -> None:
    """Write words, centred unless told."""
    settings = {"ha": "center", "va": "center", "fontsize": 9.5, "color": color}
    axes.text(x, y, words, **(settings | more))  # type: ignore[arg-type]


def room(axes: Axes, name: str) -> None:
    """Draw a room: its name and what it does."""
    x, y, width, height, kind, words = BOXES[name]
    box(axes, x, y, width, height, PAPER[kind])
    middle = x + width / 2
    label(axes, middle, y + height * 0.66, name, INK, fontsize=12, weight="bold")
    label(axes, middle, y + height * 0.28, words, INK, fontsize=9)


def step(axes: Axes, x: float, y: float, *lines: str) -> None:
    """Draw a node of the loop: its name, what it does, its room."""
    height = 1.15 if len(lines) == 3 else 0.75
    box(axes, x, y, STEP, height, "white")
    middle = x + STEP / 2
    label(axes, middle, y + height - 0.22, lines[0], INK, fontsize=11.5, weight="bold")
    low = y + (0.56 if len(lines) == 3 else 0.24)
    label(axes, middle, low, lines[1], INK, fontsize=9)
    for name in lines[2:]:
        label(axes, middle, y + 0.15, name, SOFT, fontsize=9, style="italic")


def loop(axes: Axes) -> None:
    """Draw a training step: one branch teaches the next."""
    box(axes, 0.1, 1.5, 9.45, 3.15, PAPER["loop"])
    left, right = STEPS[0][2], STEPS[-1][2]
    label(
        axes,
        (left + right + STEP) / 2,
        4.42,
        "CIM's loop: one training step",
        LOOP,
        weight="bold",
        fontsize=11.5,
    )
    step(axes, left, 3.4, "teacher", "branch k − 1")
    step(axes, right, 3.4, "student", "branch k")
    for name, home, x, words in STEPS:
        step(axes, x, 1.7, name, words, home)
    for (_, _, x, _), (_, _, after, _) in itertools.pairwise(STEPS):
        arrow(axes, (x + STEP, 2.27), (after, 2.27), LOOP)
    arrow(axes, (left + STEP / 2, 3.4), (left + STEP / 2, 2.85), LOOP)
    arrow(axes, (right + STEP / 2, 2.85), (right + STEP / 2, 3.4), LOOP)
    arrow(axes, (right, 3.78), (left + STEP, 3.78), LOOP)
    label(
        axes,
        (left + right + STEP) / 2,
        3.56,
        "the student becomes the teacher of branch k + 1",
        LOOP,
    )
    label(axes, left + STEP / 2 + 0.1, 3.13, "scores", LOOP, ha="left")
    label(axes, right + STEP / 2 - 0.1, 3.13, "gradients", LOOP, ha="right")


def main() -> None:
    """Draw the picture, as the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out
    if rooms() != drawn():
        raise SystemExit(f"only in the package or the picture: {rooms() ^ drawn()}")
    mpl.rcParams |= {"svg.hashsalt": "wsis", "font.family": "DejaVu Sans"}
    figure, axes = plt.subplots(figsize=(12.4, 7.6))
    axes.set(xlim=(0, 12.4), ylim=(-0.25, 7.25))
    axes.set_axis_off()
    loop(axes)
    for name in BOXES:
        room(axes, name)
    for start, end in ((2.05, 2.6), (4.55, 5.1), (7.05, 7.6)):
        arrow(axes, (start, 6.68), (end, 6.68))
    arrow(axes, (6.07, 6.2), (4.55, 5.33), bend=-0.25)
    arrow(axes, (2.6, 5.33), (1.27, 4.15), bend=0.3)
    label(axes, 1.2, 5.5, "teach the first teacher,\nthe anti-noise branch")
    arrow(axes, (8.57, 6.2), (8.57, 4.15))
    label(axes, 8.45, 5.33, "scores of\nproposals", ha="right")
    # Prediction, and evaluation apart from training.
    arrow(axes, (9.55, 6.68), (11.3, 4.95), bend=-0.35)
    label(axes, 11.35, 6.6, "predictions")
    box(axes, 10.3, 2.2, 2.0, 0.8, PAPER["truth"])
    label(axes, 11.3, 2.6, "true masks", INK, fontsize=11)
    arrow(axes, (11.3, 3.0), (11.3, 4.0), TRUTH, style="--")
    label(axes, 11.3, 1.85, "never seen by training", TRUTH)
    figure.savefig(out, bbox_inches="tight", facecolor="white", metadata={"Date": None})
    print(out)


if __name__ == "__main__":
    main()
