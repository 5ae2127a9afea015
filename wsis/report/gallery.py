"""The pictures of a report: photos, best proposals, predictions, ground truth."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image as Pillow

from wsis import masks
from wsis.bench import Comparison
from wsis.contracts import Annotated, GroundTruth, Image, Predictions, Proposals
from wsis.drawing import captions_of, overlay
from wsis.evaluation import Anatomy
from wsis.evaluation.kinds import FOUND, MISSES
from wsis.overlaps import cross_iou
from wsis.pipeline import Pipeline

PICTURES = 24
"""Most validation images shown."""

SHOWN = 5
"""Most predictions drawn on one image."""

SHARE = 0.3
"""Of the image's highest score: predictions below it are not drawn."""

SIDE = 320
"""Longer side of a picture in pixels."""

BUDGET = 3_500_000
"""Characters of all pictures together; no further image is shown beyond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture.

    Args:
        title: what it shows.
        uri: itself.
        strategy: whose predictions it shows; empty for what is common to all.
        kinds: of the predictions drawn and of the objects missed.
    """

    title: str
    uri: str
    strategy: str = ""
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """The pictures of one validation image.

    Args:
        name: of the image.
        panels: in order.
        classes: of its objects.
    """

    name: str
    panels: list[Panel]
    classes: tuple[str, ...] = ()


def strips(
    comparison: Comparison,
    val: Annotated,
    pipeline: Pipeline,
    anatomies: Mapping[str, Anatomy] | None = None,
) -> list[Strip]:
    """Pictures of up to ``PICTURES`` validation images, as far as ``BUDGET`` allows.

    They are spread evenly over the validation set. Beside the photo stand the best
    proposal of every object, the predictions of every strategy (first seed; the
    ``SHOWN`` best, if their score is at least ``SHARE`` of the image's highest), with
    the kind of error where their anatomy is given, and the ground truth.
    """
    images = val.tagged.images
    count = min(PICTURES, len(images))
    found: list[Strip] = []
    size = 0
    for i in (np.arange(count) * len(images) // max(count, 1)).tolist():
        [bag] = pipeline.bags([images[i]])
        truth = val.truths[i]
        strip = Strip(
            name=images[i].name,
            panels=_panels(
                bag.pixels,
                bag.proposals,
                truth,
                {name: made[i] for name, made in comparison.pictures.items()},
                val.tagged.classes,
                anatomies or {},
            ),
            classes=tuple(
                val.tagged.classes[label - 1]
                for label in sorted(set(truth.label.tolist()))
            ),
        )
        size += sum(len(panel.uri) for panel in strip.panels)
        if size > BUDGET:
            break
        found.append(strip)
    return found


def _panels(
    image: Image,
    proposals: Proposals,
    truth: GroundTruth,
    predictions: Mapping[str, Predictions],
    classes: Sequence[str],
    anatomies: Mapping[str, Anatomy],
) -> list[Panel]:
    names = [classes[label - 1] for label in truth.label.tolist()]
    panels = [
        Panel(title="image", uri=_uri(overlay(image, [], side=SIDE))),
        Panel(title="oracle", uri=_oracle(image, proposals, truth, names)),
    ]
    for strategy, found in predictions.items():
        count = sum(s >= SHARE * found.score[0] for s in found.score[:SHOWN].tolist())
        captions = captions_of(found, classes)[:count]
        kinds: list[str] = []
        anatomy = anatomies.get(strategy)
        if anatomy is not None:
            drawn = anatomy.of_predictions[truth.image_id][:count]
            missed = anatomy.of_objects[truth.image_id]
            captions = [
                caption if kind == FOUND else f"{caption} {kind}"
                for caption, kind in zip(captions, drawn, strict=True)
            ]
            kinds = [*drawn, *(kind for kind in missed if kind in MISSES)]
        picture = overlay(image, list(found.masks[:count]), captions, side=SIDE)
        panels.append(
            Panel(
                title=strategy,
                uri=_uri(picture),
                strategy=strategy,
                kinds=tuple(dict.fromkeys(kinds)),
            )
        )
    captions = [
        f"{name} (ignored)" if ignored else name
        for name, ignored in zip(names, truth.ignore.tolist(), strict=True)
    ]
    objects = overlay(image, list(truth.masks), captions, side=SIDE)
    return [*panels, Panel(title="ground truth", uri=_uri(objects))]


def _oracle(
    image: Image, proposals: Proposals, truth: GroundTruth, names: Sequence[str]
) -> str:
    if not len(proposals) or not names:
        return _uri(overlay(image, [], side=SIDE))
    best = cross_iou(proposals, truth.masks).cpu().max(0)
    captions = [
        f"{name} IoU {iou:.2f}"
        for name, iou in zip(names, best.values.tolist(), strict=True)
    ]
    index = best.indices.to(proposals.members.device, torch.long)
    return _uri(overlay(image, masks.rles(proposals, index), captions, side=SIDE))


def _uri(image: UInt8[np.ndarray, "h w 3"]) -> str:
    file = io.BytesIO()
    Pillow.fromarray(image).save(file, "JPEG", quality=82, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
