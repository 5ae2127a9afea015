"""What proposals allow at best, and what they give by chance."""

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wsis.contracts import GroundTruth, Predictions, Proposals, Supervision
from wsis.evaluation._pairs import together
from wsis.evaluation.precision import Evaluation, evaluate
from wsis.geometry.masks import boxes, rles
from wsis.geometry.overlap import cross_iou


@runtime_checkable
class Detect(Protocol):
    """The rule by which scores of the C classes become predictions."""

    def __call__(
        self, scores: Float[Tensor, "N C"], proposals: Proposals, *, image_id: int
    ) -> Predictions:
        """The instances, best first."""


def oracle(
    proposals: Iterable[Proposals],
    truths: Sequence[GroundTruth],
    classes: Sequence[str],
) -> Evaluation:
    """The best that can be done with these proposals, in percent.

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
    chosen: list[Predictions] = []
    best: list[Float[np.ndarray, " G"]] = [np.zeros(0)]
    label: list[int] = []
    for image, truth in together(proposals, truths):
        iou = cross_iou(image, truth.masks).double().cpu().numpy()
        chosen.append(_choice(image, truth, iou))
        to_find = ~truth.ignore.cpu().numpy()
        best.append(iou.max(axis=0, initial=0)[to_find])
        label += truth.label.cpu().numpy()[to_find].tolist()
    figures = evaluate(chosen, truths, classes)
    overlap = 100 * np.concatenate(best)
    of_class = [overlap[np.array(label) == c] for c in range(1, len(classes) + 1)]
    return Evaluation(
        metrics=figures.metrics | {"ABO": float(overlap.mean())},
        per_class={
            name: figures.per_class[name]
            | {"ABO": float(mine.mean()) if len(mine) else None}
            for name, mine in zip(classes, of_class, strict=True)
        },
    )


def random_scores(
    proposals: Iterable[Proposals],
    truths: Sequence[GroundTruth],
    classes: Sequence[str],
    detect: Detect,
    generator: torch.Generator,
) -> Evaluation:
    """What these proposals give by chance: scores uniform in [0, 1), then ``detect``.

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


def _choice(
    proposals: Proposals, truth: GroundTruth, iou: Float[np.ndarray, "N G"]
) -> Predictions:
    labels, ignore = truth.label.cpu().numpy(), truth.ignore.cpu().numpy()
    found: list[tuple[float, int, int]] = []
    for c in np.unique(labels):
        mine = np.flatnonzero(labels == c)
        overlap = iou[:, mine]
        target = overlap.argmax(axis=1)
        for j in np.flatnonzero(~ignore[mine]):
            own = np.flatnonzero((target == j) & (overlap[:, j] > 0))
            if len(own):
                best = own[overlap[own, j].argmax()]
                found.append((float(overlap[best, j]), int(best), int(c)))
    found.sort(key=lambda one: -one[0])
    index = torch.tensor([best for _, best, _ in found], dtype=torch.long)
    return Predictions(
        image_id=truth.image_id,
        size=proposals.size,
        index=index,
        label=torch.tensor([c for _, _, c in found], dtype=torch.long),
        score=torch.tensor([score for score, _, _ in found], dtype=torch.float64),
        boxes=boxes(proposals).cpu()[index],
        masks=rles(proposals, index.to(proposals.members.device)),
        ledger=proposals.ledger | {Supervision.MASKS},
    )
