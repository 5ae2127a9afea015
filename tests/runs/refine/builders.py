"""A detector so small that a test can train it."""

import torch

from wsis.geometry.masks import from_masks, rles
from wsis.geometry.predictions import Predictions
from wsis.runs.refine import RefineSettings

FAST = (
    "weights=random",
    "width=8",
    "regions=20",
    "sampled=16",
    "sides=48",
    "schedule.epochs=2",
)


def refine_settings(*overrides):
    """Settings under which an epoch takes a moment."""
    return RefineSettings.read({}, [*FAST, *overrides])


def predictions(*found, image_id=0, size=(48, 64)):
    """Predictions from ``(label, score, (x0, y0, x1, y1))``, best first."""
    masks = torch.zeros(len(found), *size, dtype=torch.bool)
    for mask, (_, _, (x0, y0, x1, y1)) in zip(masks, found, strict=True):
        mask[y0:y1, x0:x1] = True
    boxes = [box for _, _, box in found]
    index = torch.arange(len(found))
    return Predictions(
        image_id=image_id,
        size=size,
        index=index,
        label=torch.tensor([label for label, _, _ in found], dtype=torch.long),
        score=torch.tensor([score for _, score, _ in found]),
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        masks=rles(from_masks(masks), index) if found else [],
    )
