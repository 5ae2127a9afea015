"""The pictures of a report: photos, best proposals, predictions, ground truth."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image as Pillow

from wsis.contracts import Annotated, GroundTruth, Image, Proposals, Rle
from wsis.evaluation.kinds import FOUND, MISSES
from wsis.geometry import masks
from wsis.geometry.drawing import legible, overlay
from wsis.geometry.frame import enlarged, framed
from wsis.geometry.overlap import cross_iou
from wsis.geometry.predictions import Predictions
from wsis.report.shown import Mined, Shown, spread
from wsis.runs.pipeline import Pipeline

PICTURES = 24
"""Most validation images shown."""

SIDE = 320
"""Longer side of a picture in pixels."""

BRANCH_SIDE = 260
"""The same for a picture of what a branch is taught."""

BUDGET = 3_500_000
"""Characters of all pictures together; images beyond it are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture.

    Args:
        title: of the picture.
        uri: the picture itself.
        strategy: whose predictions it shows; empty if it belongs to all.
        kinds: of the predictions drawn and of the objects missed.
        branch: the branch whose lessons it shows instead of predictions.
        note: more about it.
    """

    title: str
    uri: str
    strategy: str = ""
    kinds: tuple[str, ...] = ()
    branch: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """The pictures of one validation image.

    Args:
        name: of the image.
        panels: in order.
        classes: of its objects.
        branches: what each strategy's branches are taught; only some images have it.
    """

    name: str
    panels: list[Panel]
    classes: tuple[str, ...] = ()
    branches: list[Panel] = field(default_factory=list)


def strips(
    val: Annotated,
    pipelines: Mapping[str, Pipeline],
    predictions: Mapping[str, Sequence[Predictions]],
    shown: Mapping[str, Shown],
) -> list[Strip]:
    """Draw up to ``PICTURES`` validation images, as far as ``BUDGET`` allows.

    They are spread evenly over the validation set. Beside the photo stand the best
    proposal of every object, the predictions of every strategy (the ``SHOWN`` best, if
    their score is at least ``SHARE`` of the image's highest) with the kind of error if
    it is known, and the ground truth. Some images also have what each branch is taught:
    pseudo instances, and the seeds that they were found from.

    Args:
        val: the images and their objects.
        pipelines: give each strategy's proposals.
        predictions: of each strategy, on all images.
        shown: what is known of them besides.
    """
    found: list[Strip] = []
    size = 0
    for i in spread(PICTURES, len(val.tagged.images)):
        some = {name: of_images[i] for name, of_images in predictions.items()}
        strip = _strip(val, i, pipelines, some, shown)
        size += sum(len(panel.uri) for panel in (*strip.panels, *strip.branches))
        if size > BUDGET:
            break
        found.append(strip)
    return found


def _strip(
    val: Annotated,
    i: int,
    pipelines: Mapping[str, Pipeline],
    predictions: Mapping[str, Predictions],
    shown: Mapping[str, Shown],
) -> Strip:
    tagged, truth, classes = val.tagged.images[i], val.truths[i], val.tagged.classes
    image = framed(tagged.load())
    names = [classes[label - 1] for label in truth.label.tolist()]
    panels = [Panel(title="image", uri=data_uri(overlay(image, [], side=SIDE)))]
    sources: dict[str, list[str]] = {}
    for name, pipeline in pipelines.items():
        named = pipeline.settings.resolved()
        source = json.dumps(named["test_source"] or named["source"], default=str)
        sources.setdefault(source, []).append(name)
    proposals: dict[str, Proposals] = {}
    for labels in sources.values():
        [bag] = pipelines[labels[0]].test_bags([tagged])
        proposals |= dict.fromkeys(labels, bag.proposals)
        title = "oracle" + (f", {', '.join(labels)}" if len(sources) > 1 else "")
        uri = _oracle(image, proposals[labels[0]], truth, names)
        panels.append(Panel(title=title, uri=uri))
    branches: list[Panel] = []
    for strategy, found in predictions.items():
        more = shown.get(strategy, Shown())
        panels.append(_found(image, truth, strategy, found, more, classes))
        branches += [
            _taught(image, proposals[strategy], strategy, mined, classes)
            for mined in more.mined.get(tagged.id, ())
        ]
    captions = [
        f"{name} (ignored)" if ignored else name
        for name, ignored in zip(names, truth.ignore.tolist(), strict=True)
    ]
    objects = overlay(image, list(truth.masks), captions, side=SIDE)
    panels.append(Panel(title="ground truth", uri=data_uri(objects)))
    present = tuple(classes[label - 1] for label in truth.label.unique().tolist())
    return Strip(name=tagged.name, panels=panels, classes=present, branches=branches)


def _found(
    image: Image,
    truth: GroundTruth,
    strategy: str,
    found: Predictions,
    shown: Shown,
    classes: Sequence[str],
) -> Panel:
    """Draw a strategy's best predictions, with the kinds of errors if known."""
    count = legible(found)
    captions = replace(found, classes=tuple(classes)).captions()[:count]
    kinds: dict[str, None] = {}
    if truth.image_id in shown.predictions:
        drawn = shown.predictions[truth.image_id][:count]
        captions = [
            caption if kind == FOUND else f"{caption} {kind}"
            for caption, kind in zip(captions, drawn, strict=True)
        ]
        missed = [k for k in shown.objects[truth.image_id] if k in MISSES]
        kinds = dict.fromkeys([*drawn, *missed])
    uri = data_uri(overlay(image, list(found.masks[:count]), captions, side=SIDE))
    return Panel(title=strategy, uri=uri, strategy=strategy, kinds=tuple(kinds))


def _taught(
    image: Image,
    proposals: Proposals,
    strategy: str,
    mined: Mined,
    classes: Sequence[str],
) -> Panel:
    """Draw the pseudo instances of a branch, and the other proposals they grew from."""
    captions = [
        f"{classes[label - 1]} {weight:.2g}"
        for label, weight in zip(mined.label, mined.weight, strict=True)
    ]
    pairs = zip(mined.seed, mined.index, strict=True)
    grown = [seed for seed, index in pairs if seed != index]
    picture = overlay(
        image,
        _masks(proposals, mined.index),
        captions,
        side=BRANCH_SIDE,
        inner=_masks(proposals, grown),
    )
    count = len(mined.index)
    note = f"{count} of {mined.count}" if count < mined.count else f"{count}"
    note += " pseudo instances" + (f", {len(grown)} grown from a seed" if grown else "")
    return Panel(
        title=f"{strategy}, branch {mined.branch}",
        uri=data_uri(picture),
        strategy=strategy,
        branch=mined.branch,
        note=note,
    )


def _masks(proposals: Proposals, index: Sequence[int]) -> list[Rle]:
    device = proposals.members.device
    return masks.rles(proposals, torch.tensor(index, dtype=torch.long, device=device))


def _oracle(
    image: Image, proposals: Proposals, truth: GroundTruth, names: Sequence[str]
) -> str:
    """Draw the best proposal of each object."""
    if not len(proposals) or not names:
        return data_uri(overlay(image, [], side=SIDE))
    best = cross_iou(enlarged(proposals, truth.size), truth.masks).cpu().max(0)
    captions = [
        f"{name} IoU {iou:.2f}"
        for name, iou in zip(names, best.values.tolist(), strict=True)
    ]
    index = best.indices.to(proposals.members.device, torch.long)
    return data_uri(overlay(image, masks.rles(proposals, index), captions, side=SIDE))


def data_uri(image: UInt8[np.ndarray, "h w 3"]) -> str:
    """Return pixels as a JPEG that a page holds within itself."""
    file = io.BytesIO()
    Pillow.fromarray(image).save(file, "JPEG", quality=82, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
