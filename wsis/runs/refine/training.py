"""Trains a detector on pseudo labels, and finds instances with it."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wsis._support.checks import few
from wsis._support.files import digest
from wsis._support.randomness import generator, seeded
from wsis._support.weights import check_finite
from wsis.contracts import Ledger, TaggedImage
from wsis.geometry.frame import Framed, framed
from wsis.geometry.masks import encode, to_dense
from wsis.geometry.predictions import Predictions
from wsis.runs.refine.detector import image_tensor
from wsis.runs.refine.settings import RefineSettings
from wsis.training.checkpoints import Order, Progress, TrainingState, made_from
from wsis.training.loop import descend, repeat

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
    takes for background whatever has no label. A batch may join the end of an epoch
    and the beginning of the next. The order of the photos, which are
    mirrored, and torchvision's own draws depend on ``seed`` alone; on a CPU the result
    is the same to the last bit.

    Args:
        model: a ``mask_rcnn``, on its device.
        images: the training photos.
        labels: of each, in the same order.
        settings: of the training.
        seed: of everything drawn.
        checkpoint: written after every epoch and ten minutes, and when training stops;
            it resumes from there, with the result of training that never stopped.
        tick: called after every step.

    Raises:
        CheckpointError: if the checkpoint is damaged or of another run.
        DivergedError: if losses or gradients are not finite, a few in a row.
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
    order = Order(draws, partial(_epoch, len(pairs)))
    about = {}
    if checkpoint is not None:
        about = made_from(
            model,
            settings=settings.model_dump(mode="json"),
            seed=seed,
            photos=f"{len(pairs)} photos, {digest(*(one.load() for one, _ in pairs))}",
            labels=digest(*(_told(one) for _, one in pairs)),
        )
    state = TrainingState(model, optimizer, order, {}, about, checkpoint)
    left = len(images) - len(pairs)
    progress = state.load() or Progress(skipped={UNLABELLED: left} if left else {})
    last = schedule.images(len(pairs))

    def learn() -> None:
        schedule.set_rate(optimizer, progress.step, len(pairs))
        count = min(settings.batch, last - progress.step)
        some = [next(order) for _ in range(count)]
        progress.step += count
        examples = [
            _example(*pairs[i], flip=settings.flips and mirrored)
            for i, mirrored in some
        ]
        photos = [pixels.to(device) for pixels, _ in examples]
        targets = [{k: v.to(device) for k, v in t.items()} for _, t in examples]
        # torchvision draws what it samples from the global state.
        with seeded(int(torch.randint(2**31, (1,), generator=draws))):
            losses: dict[str, Tensor] = model(photos, targets)
        total: Any = sum(losses.values())
        names = few([pairs[i][0].name for i, _ in some])
        names += f" (loss {float(total.detach()):g})"
        if total.isfinite():
            total.backward()
            named = {name: float(loss.detach()) for name, loss in losses.items()}
            progress.add({**named, "total": sum(named.values())}, count)
            descend(model, optimizer, schedule.clip, names, progress)
        else:
            progress.drop("loss", names)

    model.train()
    repeat(learn, state, progress, len(pairs), last, tick)
    progress.end(model)
    model.eval()
    return progress


def _epoch(photos: int, draws: torch.Generator) -> list[tuple[int, bool]]:
    """Return the positions of an epoch's photos, and whether each is mirrored."""
    order = torch.randperm(photos, generator=draws).tolist()
    mirrored = (torch.rand(photos, generator=draws) < 0.5).tolist()
    # The draw is of the photo, whatever its place in the order.
    return [(i, mirrored[i]) for i in order]


def _told(labels: Predictions) -> str:
    """Return a digest of pseudo labels."""
    masks = [str(one["counts"]) for one in labels.masks]
    return digest(labels.label.numpy(), labels.size, masks)


@torch.no_grad()
def detect(model: nn.Module, image: TaggedImage, ledger: Ledger) -> Predictions:
    """The instances on one photo, best first; its tags are not looked at.

    A pixel is in a mask where the mask head says 0.5 or more; empty masks are left out.
    ``index`` is −1, as there are no proposals to name. A large photo is seen in its
    frame.
    """
    model.eval()
    load = image.load
    photo = load if isinstance(load, Framed) else Framed.of(load())
    pixels = photo.pixels
    [found] = model([image_tensor(pixels).to(_device(model))])
    if not len(found["scores"]):
        # Scores of weights that are not finite are above no threshold.
        check_finite(model.state_dict(), f"the detector's weights, for {image.name}")
    dense = (found["masks"][:, 0] >= 0.5).cpu()  # (M, H, W)
    keep = dense.flatten(1).any(1).nonzero().flatten()
    return Predictions.of_masks(
        image.id,
        (pixels.shape[0], pixels.shape[1]),
        encode(dense[keep]),
        label=found["labels"].cpu()[keep],
        score=found["scores"].cpu()[keep],
        ledger=ledger,
    ).enlarged(photo.size)


def _example(
    image: TaggedImage, labels: Predictions, *, flip: bool
) -> tuple[Tensor, dict[str, Tensor]]:
    photo = image.load()
    if photo.shape[:2] != labels.size:
        raise ValueError(
            f"{image.name}: expected {labels.size} pixels (height, width) as its "
            f"pseudo labels have, got {photo.shape[:2]}"
        )
    labels = labels.framed()
    pixels = image_tensor(framed(photo))
    boxes, masks = labels.boxes, to_dense(labels.masks)
    if flip:
        pixels, masks = pixels.flip(-1), masks.flip(-1)
        x0, y0, x1, y1 = boxes.unbind(1)
        width = pixels.shape[-1]
        boxes = torch.stack([width - x1, y0, width - x0, y1], 1)
    return pixels, {"boxes": boxes, "labels": labels.label, "masks": masks.byte()}


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
