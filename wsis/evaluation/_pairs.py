"""Puts each image's predictions or proposals beside its ground truth."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest

import torch

from wsis.contracts import GroundTruth, Proposals
from wsis.data.halves import labels_among
from wsis.geometry.frame import enlarged
from wsis.geometry.predictions import Predictions


def pair(
    predictions: Sequence[Predictions],
    truths: Sequence[GroundTruth],
    classes: Sequence[str],
) -> list[tuple[Predictions, GroundTruth]]:
    """Return each image's predictions and ground truth, in the order of ``truths``.

    Predictions that know their classes get the labels of ``classes``, by name.

    Raises:
        ValueError: if the two are of different images or sizes, an image comes twice,
            a label is outside 1…C, a score is not finite, an instance is of none of the
            classes, or nothing is to be found.
    """
    for name, items in (("predictions", predictions), ("ground truth", truths)):
        counts = Counter(item.image_id for item in items)
        twice = [image_id for image_id, count in counts.items() if count > 1]
        if twice:
            raise ValueError(
                f"expected one {name} per image, got several for {_short(twice)}"
            )
    found = {one.image_id: _by_name(one, tuple(classes)) for one in predictions}
    wanted = {truth.image_id for truth in truths}
    if found.keys() != wanted:
        raise ValueError(
            "expected predictions for the very images of the ground truth; without "
            f"predictions: {_short(wanted - found.keys())}; without ground truth: "
            f"{_short(found.keys() - wanted)}"
        )
    if all(bool(truth.ignore.all()) for truth in truths):
        raise ValueError("expected at least one object to find, got none in the truths")
    for truth in truths:
        _check(found[truth.image_id], truth, classes)
    return [(found[truth.image_id], truth) for truth in truths]


def together(
    proposals: Iterable[Proposals], truths: Sequence[GroundTruth]
) -> Iterator[tuple[Proposals, GroundTruth]]:
    """Give each image's proposals and ground truth, one at a time.

    Proposals in the frame of a large photo are enlarged to its size.

    Raises:
        ValueError: if there are more or fewer of one, or sizes differ.
    """
    for image, truth in zip_longest(proposals, truths):
        if image is None or truth is None:
            raise ValueError(
                f"expected proposals of each of the {len(truths)} images of the ground "
                f"truth, got {'fewer' if image is None else 'more'}"
            )
        image = enlarged(image, truth.size)
        _same_size("proposals", image, truth)
        yield image, truth


def _same_size(name: str, found: Predictions | Proposals, truth: GroundTruth) -> None:
    if found.size != truth.size:
        raise ValueError(
            f"image {truth.image_id}: {name} are of size {found.size}, "
            f"its ground truth of size {truth.size}"
        )


def _by_name(prediction: Predictions, classes: tuple[str, ...]) -> Predictions:
    own, label = prediction.classes, prediction.label
    if own in ((), classes) or not all(1 <= one <= len(own) for one in label.tolist()):
        return prediction  # wrong labels are refused below
    moved = labels_among(own, classes).to(label.device)[label]
    if lost := {own[one - 1] for one in label[moved == 0].tolist()}:
        raise ValueError(
            f"image {prediction.image_id}: expected predictions of the classes "
            f"{_short(classes)}; got instances of {_short(lost)}; leave them out with "
            "filter(classes=…), or give the classes by these names"
        )
    return replace(prediction, label=moved, classes=classes)


def _check(prediction: Predictions, truth: GroundTruth, classes: Sequence[str]) -> None:
    image = f"image {truth.image_id}"
    _same_size("predictions", prediction, truth)
    for item in (prediction, truth):
        kind = type(item).__name__
        if len(item.masks) != len(item.label):
            raise ValueError(
                f"{image}: {kind} have {len(item.label)} labels, "
                f"but {len(item.masks)} masks"
            )
        sizes = {tuple(mask["size"]) for mask in item.masks} - {truth.size}
        if sizes:
            raise ValueError(
                f"{image}: expected masks of size {truth.size}, "
                f"got {kind} with {_short(sizes)}"
            )
        outside = item.label[(item.label < 1) | (item.label > len(classes))]
        if len(outside):
            raise ValueError(
                f"{image}: expected labels in 1…{len(classes)}, "
                f"got {kind} with {_short(outside.tolist())}"
            )
    if len(prediction.score) != len(prediction.label):
        raise ValueError(
            f"{image}: Predictions have {len(prediction.label)} labels, "
            f"but {len(prediction.score)} scores"
        )
    if not torch.isfinite(prediction.score).all():
        raise ValueError(f"{image}: expected finite scores, got NaN or infinity")


def _short(values: Iterable[object]) -> str:
    """Return the first few, for a message."""
    few = sorted(set(values), key=repr)
    return ", ".join(map(str, few[:5])) + (", …" if len(few) > 5 else "") or "none"
