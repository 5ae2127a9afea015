"""Draws figures against the number of masks an image."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from wsis._support.files import atomic_write
from wsis.evaluation.proposals import BUDGETS

PANELS = {
    "ABO": "average best overlap",
    "AR": "average recall, IoU 0.5 to 0.95",
    "recall50": "recall at IoU 0.5",
    "recall70": "recall at IoU 0.7",
}


def draw(results: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Writes a picture of four panels, a curve in each for each of ``results``.

    Args:
        results: as ``Coverage.results`` and their ``source``.
        path: ends in what matplotlib writes.
    """
    # The same figures give the same file.
    with rc_context({"svg.hashsalt": "wsis", "svg.fonttype": "none"}):
        figure = Figure(figsize=(9, 6.5), layout="constrained")
        axes = figure.subplots(2, 2, sharex=True).flat
        for axis, (name, title) in zip(axes, PANELS.items(), strict=True):
            for one in results:
                budgets = one["by_budget"]
                axis.plot(
                    [int(budget) for budget in budgets],
                    [row[name] for row in budgets.values()],
                    marker="o",
                    markersize=3,
                    label=f"{one['source']}: {one['supervision']}",
                )
            axis.set(title=title, xscale="log", ylim=(0, 1))
            axis.set_xticks(BUDGETS, [f"{budget:,}" for budget in BUDGETS])
            axis.minorticks_off()
            axis.grid(alpha=0.3)
            if name in ("recall50", "recall70"):
                axis.set_xlabel("masks an image")
        legend, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(
            legend, labels, loc="outside lower center", title="source (supervision)"
        )
        form = path.suffix[1:].lower()
        with atomic_write(path) as temporary:
            metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None}}
            figure.savefig(
                temporary,
                format=form,
                dpi=120,
                metadata=metadata.get(form, {"Date": None}),
            )
