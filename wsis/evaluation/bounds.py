"""Measures what proposals allow at best, and what they give by chance."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from wsis.contracts import GroundTruth, Proposals, Supervision
from wsis.evaluation._pairs import together
from wsis.evaluation.precision import Evaluation, evaluate
from wsis.geometry.masks import rles
from wsis.geometry.overlap import cross_iou
from wsis.geometry.predictions import Predictions


@runtime_checkable
class Detect(Protocol):
    """The rule by which scores of the C classes become predictions."""

    def __call__(
        self, scores: Float[Tensor, "N C"], proposals: Proposals, *, image_id: int
    ) -> Predictions:
        """Return the instances, best first."""


def oracle(
    proposals: Iterable[Proposals],
    truths: Sequence[GroundTruth],
    classes: Sequence[str],
) -> Evaluation:
    """Return the best figures that these proposals allow, in percent.

    Of the proposals that overlap an object more than any other object of its class, the
    best is predicted, its IoU being the score. No choice has a higher mAP, as another
    proposal would not find that object by VOC's rules; ``AP`` is that of the same
    choice. Beside the figures of ``evaluate``, ``ABO`` is the average best overlap:
    the highest IoU that any proposal has with an object, averaged over the objects
    to find (Uijlings et al., "Selective Search for Object Recognition", IJCV 2013,
    section 5.1); here over all objects, per class over the class's.

    Args:
        proposals: of each image, in the order of ``truths``; taken one at a time.
        truths: the objects.
        classes: names of labels 1…C.

    Raises:
        ValueError: if proposals and truths do not belong together, or there is no
            object to find.
    """
    best = BestChoice()
    for image, truth in together(proposals, truths):
        best.add(image, truth, cross_iou(image, truth.masks).cpu().numpy())
    return best.evaluation(truths, classes)


def random_scores(
    proposals: Iterable[Proposals],
    truths: Sequence[GroundTruth],
    classes: Sequence[str],
    detect: Detect,
    generator: torch.Generator,
) -> Evaluation:
    """Return the figures by chance: scores uniform in [0, 1), then ``detect``.

    Args:
        proposals: of each image, in the order of ``truths``; taken one at a time.
        truths: the objects.
        classes: names of labels 1…C.
        detect: the rule by which a model's scores become predictions.
        generator: on the CPU.

    Raises:
        ValueError: if proposals and truths do not belong together.
    """
    predictions = []
    for image, truth in together(proposals, truths):
        scores = torch.rand(len(image), len(classes), generator=generator)
        scores = scores.to(image.objectness.device)
        predictions.append(detect(scores, image, image_id=truth.image_id))
    return evaluate(predictions, truths, classes)


@dataclass(slots=True, eq=False)
class BestChoice:
    """The oracle's predictions and overlaps, image by image."""

    predictions: list[Predictions] = field(default_factory=list)
    overlap: list[Float[np.ndarray, " G"]] = field(default_factory=list)
    label: list[Int[np.ndarray, " G"]] = field(default_factory=list)

    def add(
        self, proposals: Proposals, truth: GroundTruth, iou: Float[np.ndarray, "N G"]
    ) -> None:
        """Choose among an image's proposals, whose IoU with each object is known."""
        label, to_find = truth.label.cpu().numpy(), ~truth.ignore.cpu().numpy()
        self.overlap.append(100 * iou.max(axis=0, initial=0)[to_find])
        self.label.append(label[to_find])
        found: list[tuple[float, int, int]] = []
        for c in np.unique(label):
            mine = np.flatnonzero(label == c)
            overlap = iou[:, mine]
            target = overlap.argmax(axis=1)
            for j in np.flatnonzero(to_find[mine]):
                own = np.where(target == j, overlap[:, j], 0)
                if own.any():
                    found.append((float(own.max()), int(own.argmax()), int(c)))
        found.sort(key=lambda one: -one[0])
        index = torch.tensor([i for _, i, _ in found], dtype=torch.long)
        self.predictions.append(
            Predictions.of_masks(
                truth.image_id,
                proposals.size,
                rles(proposals, index.to(proposals.members.device)),
                label=torch.tensor([c for _, _, c in found], dtype=torch.long),
                score=torch.tensor([one for one, _, _ in found], dtype=torch.float64),
                index=index,
                ledger=proposals.ledger | {Supervision.MASKS},
            )
        )

    def evaluation(
        self, truths: Sequence[GroundTruth], classes: Sequence[str]
    ) -> Evaluation:
        """Return the figures of all images."""
        figures = evaluate(self.predictions, truths, classes)
        overlap, label = np.concatenate(self.overlap), np.concatenate(self.label)
        for c, name in enumerate(classes, 1):
            mine = overlap[label == c]
            figures.per_class[name]["ABO"] = float(mine.mean()) if len(mine) else None
        figures.metrics["ABO"] = float(overlap.mean())
        return figures
