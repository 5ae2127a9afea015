"""Measures how well proposals cover the objects of many photos."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from wsis.contracts import GroundTruth, Ledger, Proposals
from wsis.evaluation._pairs import together
from wsis.evaluation.bounds import BestChoice
from wsis.evaluation.matches import COCO, SIZES
from wsis.geometry.masks import select
from wsis.geometry.overlap import cross_iou

BUDGETS = (10, 20, 50, 100, 200, 500, 1000, 2000)
"""Masks an image at which curves are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coverage:
    """The highest IoU that any of the first masks of an image has with each object.

    Args:
        budgets: numbers of masks an image that are looked at, ascending.
        best: by budget and object, in [0, 1].
        area: of the objects in pixels, as annotated.
        count: proposals of each image, at most the last budget.
        oracle: the highest mAP that a choice among these masks can have and other
            bounds of ``evaluation.oracle``, as fractions; empty unless asked for.
        ledger: the labels consumed in making the proposals.
    """

    budgets: tuple[int, ...]
    best: Float[np.ndarray, "budgets G"]
    area: Float[np.ndarray, " G"]
    count: Int[np.ndarray, " B"]
    oracle: dict[str, float]
    ledger: Ledger

    def results(self) -> dict[str, Any]:
        """Return all figures as fractions in [0, 1], ready for JSON.

        ``ABO`` is the average best overlap over all objects (Uijlings et al., IJCV
        2013, section 5.1), ``AR`` the recall averaged over IoU 0.5, 0.55, … 0.95
        (Hosang et al., PAMI 2016), ``recall50``, ``recall70`` and ``recall85`` are the
        shares of objects that a mask overlaps by at least that IoU: at the last
        budget, then for each budget and, at the last one, for COCO's sizes that occur.
        ``supervision`` names what people had to label for the proposals to exist.
        """
        return {
            **_figures(self.best[-1]),
            "limit": self.budgets[-1],
            "images": len(self.count),
            "objects": len(self.area),
            "proposals_per_image": float(self.count.mean()),
            "supervision": supervision(self.ledger),
            "oracle": self.oracle,
            "by_budget": {
                str(budget): _figures(row)
                for budget, row in zip(self.budgets, self.best, strict=True)
            },
            "by_size": {
                name: {"objects": int(inside.sum()), **_figures(self.best[-1, inside])}
                for name, (low, high) in SIZES.items()
                # COCO counts an object on the border in both ranges.
                if (inside := (low <= self.area) & (self.area <= high)).any()
            },
        }


def coverage(
    proposals: Iterable[Proposals],
    truths: Sequence[GroundTruth],
    classes: Sequence[str],
    *,
    limit: int = 1000,
    bounds: bool = True,
) -> Coverage:
    """Measure the proposals of many photos against the objects on them.

    Ignored objects (crowds) are left out. An image with fewer proposals than a budget
    has all of them looked at; an object without a pixel counts as missed.

    Args:
        proposals: of each image, in the order of ``truths``; taken one at a time.
        truths: the objects.
        classes: names of labels 1…C.
        limit: most masks an image, its first ones; the last budget.
        bounds: also find the oracle's figures.

    Raises:
        ValueError: if ``limit`` is below 1, proposals and truths do not belong
            together, or there is no object to find.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    budgets = (*(budget for budget in BUDGETS if budget < limit), limit)
    best, area, count = [], [], []
    ledger: Ledger = frozenset()
    choice = BestChoice()
    for whole, truth in together(proposals, truths):
        first = select(whole, torch.arange(min(len(whole), limit)))
        iou = cross_iou(first, truth.masks).cpu().numpy()
        to_find = ~truth.ignore.cpu().numpy()
        rows = [iou[:budget, to_find].max(0, initial=0) for budget in budgets]
        best.append(np.stack(rows))
        area.append(truth.area.double().cpu().numpy()[to_find])
        count.append(len(first))
        ledger |= whole.ledger
        if bounds:
            choice.add(first, truth, iou)
    if not sum(map(len, area)):
        raise ValueError(f"expected objects to find on {len(truths)} images, got none")
    found = choice.evaluation(truths, classes).metrics if bounds else {}
    return Coverage(
        budgets=budgets,
        best=np.concatenate(best, 1),
        area=np.concatenate(area),
        count=np.array(count),
        oracle={name: value / 100 for name, value in found.items()},
        ledger=ledger,
    )


def supervision(ledger: Ledger) -> str:
    """Return a ledger's labels in words; ``none`` where nobody labelled anything."""
    return ", ".join(sorted(ledger)) or "none"


def _figures(best: Float[np.ndarray, " G"]) -> dict[str, float]:
    recall = (best[:, None] >= np.array(COCO)).mean(0)
    figures = {"ABO": float(best.mean()), "AR": float(recall.mean())}
    for percent in (50, 70, 85):
        figures[f"recall{percent}"] = float((best >= percent / 100).mean())
    return figures
