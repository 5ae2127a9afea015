"""Trains a detector on pseudo labels, and finds instances with it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wsis._support.randomness import generator, seeded
from wsis.contracts import Ledger, TaggedImage
from wsis.geometry.masks import encode, to_dense
from wsis.geometry.predictions import Predictions
from wsis.runs.refine.detector import image_tensor
from wsis.runs.refine.settings import RefineSettings
from wsis.training.checkpoints import TrainingState
from wsis.training.loop import Means, Progress, descend

UNLABELLED = "no pseudo label"


def fit_detector(
    model: nn.Module,
    images: Sequence[TaggedImage],
    labels: Sequence[Predictions],
    settings: RefineSettings,
    *,
    seed: int,
    checkpoint: Path | None = None,
    tick: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Trains ``model`` in place on photos and the pseudo labels of each.

    Photos without a pseudo label are left out: they do hold objects, and Mask R-CNN
    takes for background whatever has no label. The order of the photos, which are
    mirrored, and torchvision's own draws depend on ``seed`` alone; on a CPU the result
    is the same to the last bit.

    Args:
        model: a ``mask_rcnn``, on its device.
        images: the training photos.
        labels: of each, in the same order.
        settings: of the training.
        seed: of everything drawn.
        checkpoint: written after every epoch; training resumes from it when it exists.
        tick: called after every step.

    Raises:
        CheckpointError: if the checkpoint is damaged or of another run.
        ValueError: if no photo has a pseudo label.
    """
    pairs = [(i, one) for i, one in zip(images, labels, strict=True) if len(one)]
    if not pairs:
        raise ValueError(
            f"expected pseudo labels, none of {len(images)} photos has any; lower "
            "trust.min_score or raise trust.top_per_tag"
        )
    schedule, draws = settings.paced, generator(seed, "refine")
    device = _device(model)
    optimizer = schedule.build(model)
    state = TrainingState(model, optimizer, {"draws": draws})
    run = json.dumps([settings.model_dump(mode="json"), seed, len(pairs)])
    progress = Progress()
    if checkpoint is not None and checkpoint.exists():
        progress = Progress(**state.load(checkpoint, run))
    elif len(pairs) < len(images):
        progress.skipped[UNLABELLED] = len(images) - len(pairs)
    last = schedule.images(len(pairs))
    model.train()
    while progress.step < last:
        means = Means()
        order = torch.randperm(len(pairs), generator=draws)
        mirrored = torch.rand(len(pairs), generator=draws) < 0.5
        for some in order.split(settings.batch):
            if progress.step >= last:
                break
            schedule.set_rate(optimizer, progress.step, len(pairs))
            examples = [
                _example(*pairs[i], flip=settings.flips and bool(mirrored[i]))
                for i in some.tolist()
            ]
            photos = [pixels.to(device) for pixels, _ in examples]
            targets = [{k: v.to(device) for k, v in t.items()} for _, t in examples]
            # torchvision draws what it samples from the global state.
            with seeded(int(torch.randint(2**31, (1,), generator=draws))):
                losses: dict[str, Tensor] = model(photos, targets)
            total: Any = sum(losses.values())
            finite = bool(total.isfinite())
            if finite:
                total.backward()
                finite = descend(model, optimizer, schedule.clip)
            if finite:
                named = {name: float(loss.detach()) for name, loss in losses.items()}
                means.add(named, len(some))
            else:
                progress.skip("loss not finite")
            progress.step += len(some)
            tick(progress)
        if not means.images:
            raise ValueError(
                "expected finite losses, got none in epoch "
                f"{len(progress.losses) + 1}; lower schedule.lr"
            )
        values = means.values()
        progress.losses.append({**values, "total": sum(values.values())})
        if checkpoint is not None:
            state.save(checkpoint, run, asdict(progress))
    model.eval()
    return progress


@torch.no_grad()
def detect(model: nn.Module, image: TaggedImage, ledger: Ledger) -> Predictions:
    """The instances on one photo, best first; its tags are not looked at.

    A pixel is in a mask where the mask head says 0.5 or more; empty masks are left out.
    ``index`` is −1, as there are no proposals to name.
    """
    model.eval()
    pixels = image.load()
    [found] = model([image_tensor(pixels).to(_device(model))])
    dense = (found["masks"][:, 0] >= 0.5).cpu()  # (M, H, W)
    keep = dense.flatten(1).any(1).nonzero().flatten()
    return Predictions.of_masks(
        image.id,
        (pixels.shape[0], pixels.shape[1]),
        encode(dense[keep]),
        label=found["labels"].cpu()[keep],
        score=found["scores"].cpu()[keep],
        ledger=ledger,
    )


def _example(
    image: TaggedImage, labels: Predictions, *, flip: bool
) -> tuple[Tensor, dict[str, Tensor]]:
    pixels = image_tensor(image.load())
    if pixels.shape[1:] != labels.size:
        raise ValueError(
            f"{image.name}: expected {labels.size} pixels (height, width) as its "
            f"pseudo labels have, got {tuple(pixels.shape[1:])}"
        )
    boxes, masks = labels.boxes, to_dense(labels.masks)
    if flip:
        pixels, masks = pixels.flip(-1), masks.flip(-1)
        x0, y0, x1, y1 = boxes.unbind(1)
        width = pixels.shape[-1]
        boxes = torch.stack([width - x1, y0, width - x0, y1], 1)
    return pixels, {"boxes": boxes, "labels": labels.label, "masks": masks.byte()}


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
