"""How well proposals cover the objects of many photos."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from wsis.contracts import GroundTruth, Ledger, Proposals
from wsis.evaluation.bounds import oracle
from wsis.geometry.masks import select
from wsis.geometry.overlap import cross_iou

BUDGETS = (10, 20, 50, 100, 200, 500, 1000, 2000)
"""Masks an image at which curves are drawn."""

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""The IoUs over which COCO averages."""

SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, np.inf)}
"""COCO's ranges of area in pixels, https://cocodataset.org/#detection-eval."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coverage:
    """The highest IoU that any of the first masks of an image has with each object.

    Args:
        budgets: how many masks an image are looked at, ascending.
        best: by budget and object, in [0, 1].
        area: of the objects in pixels, as annotated.
        count: proposals of each image, at most the last budget.
        oracle: the highest mAP that a choice among these masks can have and other
            bounds of ``evaluation.oracle``, as fractions; empty where not asked for.
        ledger: the labels consumed in making the proposals.
    """

    budgets: tuple[int, ...]
    best: Float[np.ndarray, "B G"]
    area: Float[np.ndarray, " G"]
    count: Int[np.ndarray, " I"]
    oracle: dict[str, float]
    ledger: Ledger

    def results(self) -> dict[str, Any]:
        """All figures as fractions in [0, 1], ready for JSON.

        ``ABO`` is the average best overlap over all objects (Uijlings et al., IJCV
        2013, section 5.1), ``AR`` the recall averaged over IoU 0.5, 0.55, … 0.95
        (Hosang et al., PAMI 2016), ``recall50``, ``recall70`` and ``recall85`` are the
        shares of objects that a mask overlaps by at least that IoU: at the last
        budget, then for each budget and, at the last one, for COCO's sizes that occur.
        ``supervision`` is what people had to label for the proposals to exist.
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
                for name, inside in self._sizes()
            },
        }

    def _sizes(self) -> Iterator[tuple[str, Bool[np.ndarray, " G"]]]:
        for name, (low, high) in SIZES.items():
            # COCO counts an object on the border in both ranges.
            inside = (low <= self.area) & (self.area <= high)
            if inside.any():
                yield name, inside


def coverage(
    proposals: Iterable[Proposals],
    truths: Sequence[GroundTruth],
    classes: Sequence[str],
    *,
    limit: int = 1000,
    bounds: bool = True,
) -> Coverage:
    """Measures the proposals of many photos against the objects on them.

    Ignored objects (crowds) are left out. An image with fewer proposals than a budget
    has all of them looked at; an object without a pixel counts as missed.

    Args:
        proposals: of each image, in the order of ``truths``; taken one at a time.
        truths: the objects.
        classes: names of labels 1…C.
        limit: most masks an image, its first ones; the last budget.
        bounds: also finds the oracle's figures.

    Raises:
        ValueError: if ``limit`` is below 1, proposals and truths do not belong
            together, or there is no object to find.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    watch = _Watch((*(budget for budget in BUDGETS if budget < limit), limit))
    seen = watch(proposals, truths)
    highest: dict[str, float] = {}
    if bounds:
        metrics = oracle(seen, truths, classes).metrics
        highest = {name: value / 100 for name, value in metrics.items()}
    else:
        for _ in seen:
            pass
    best = np.concatenate([np.zeros((len(watch.budgets), 0)), *watch.best], 1)
    if not best.shape[1]:
        raise ValueError(f"expected objects to find on {len(truths)} images, got none")
    return Coverage(
        budgets=watch.budgets,
        best=best,
        area=np.concatenate(watch.area),
        count=np.array(watch.count),
        oracle=highest,
        ledger=frozenset().union(*watch.ledgers),
    )


def supervision(ledger: Ledger) -> str:
    """The labels of a ledger in words; ``none`` where nobody labelled anything."""
    return ", ".join(sorted(ledger)) or "none"


class _Watch:
    """Measures proposals on their way through."""

    def __init__(self, budgets: tuple[int, ...]) -> None:
        self.budgets = budgets
        self.best: list[Float[np.ndarray, "B _"]] = []
        self.area: list[Float[np.ndarray, " _"]] = []
        self.count: list[int] = []
        self.ledgers: list[Ledger] = []

    def __call__(
        self, proposals: Iterable[Proposals], truths: Sequence[GroundTruth]
    ) -> Iterator[Proposals]:
        """The first proposals of every image, once they are measured."""
        for whole, truth in zip_longest(proposals, truths):
            if whole is None or truth is None:
                raise ValueError(
                    f"expected proposals of each of the {len(truths)} images of the "
                    f"ground truth, got {'fewer' if whole is None else 'more'}"
                )
            first = select(whole, torch.arange(min(len(whole), self.budgets[-1])))
            iou = cross_iou(first, truth.masks).cpu().numpy()
            iou = iou[:, ~truth.ignore.cpu().numpy()]
            rows = [iou[:budget].max(0, initial=0) for budget in self.budgets]
            self.best.append(np.stack(rows))
            self.area.append(truth.area[~truth.ignore].double().cpu().numpy())
            self.count.append(len(first))
            self.ledgers.append(whole.ledger)
            yield first


def _figures(best: Float[np.ndarray, " G"]) -> dict[str, float]:
    recall = (best[:, None] >= THRESHOLDS).mean(0)
    figures = {"ABO": float(best.mean()), "AR": float(recall.mean())}
    for percent in (50, 70, 85):
        figures[f"recall{percent}"] = float((best >= percent / 100).mean())
    return figures
