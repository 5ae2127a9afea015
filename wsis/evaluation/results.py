"""Turns predictions into COCO's formats, and COCO's results into predictions."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pycocotools import mask as rle

from wsis.contracts import GroundTruth, Rle
from wsis.data.segmentations import check_segmentation, to_rle
from wsis.geometry.predictions import Predictions

KEYS = ("image_id", "category_id", "segmentation", "score")


def to_coco(
    predictions: Sequence[Predictions], category_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """Return ``Predictions.to_coco`` of many images as one list, in their order.

    Args:
        predictions: of any images.
        category_ids: the category of labels 1…C, in this order.

    Raises:
        ValueError: if a label has no category.
    """
    return [result for image in predictions for result in image.to_coco(category_ids)]


def from_coco(
    results: Any, truths: Sequence[GroundTruth], category_ids: Sequence[int]
) -> list[Predictions]:
    """Return predictions of every image in ``truths``, in that order.

    Best first, equal scores as they came. Images without results have no predictions;
    ``index`` is −1, as the file does not know the proposals.

    Args:
        results: COCO's list of results, as ``to_coco`` makes it; segmentations may also
            have run lengths as numbers, or be polygons; other keys are ignored.
        truths: tell the images and their sizes.
        category_ids: the category of labels 1…C, in this order.

    Raises:
        ValueError: if a result lacks a key, is of an unknown image or category, has a
            score that is not finite, or no mask of the image's size.
    """
    if not isinstance(results, list):
        raise ValueError(f"expected a list of results, got a {type(results).__name__}")
    sizes = {truth.image_id: truth.size for truth in truths}
    labels = {category: label for label, category in enumerate(category_ids, 1)}
    found: dict[int, list[tuple[float, int, Rle]]] = defaultdict(list)
    for i, result in enumerate(results):
        try:
            _check(result, sizes, labels)
            size = sizes[result["image_id"]]
            check_segmentation(result["segmentation"], size)
            mask = to_rle(result["segmentation"], size)
        except ValueError as error:
            raise ValueError(f"result {i}: {error}") from None
        label = labels[result["category_id"]]
        found[result["image_id"]].append((float(result["score"]), label, mask))
    predictions = []
    for image_id, size in sizes.items():
        best = sorted(found[image_id], key=lambda one: -one[0])
        predictions.append(
            Predictions.of_masks(
                image_id,
                size,
                [mask for _, _, mask in best],
                label=torch.tensor([label for _, label, _ in best], dtype=torch.long),
                score=torch.tensor([one for one, _, _ in best], dtype=torch.float64),
            )
        )
    return predictions


def coco_data_set(
    names: Sequence[str],
    predictions: Sequence[Predictions],
    classes: Sequence[str],
    category_ids: Sequence[int],
    info: dict[str, Any],
) -> dict[str, Any]:
    """Return a COCO data set, ready for JSON, whose annotations are the predictions.

    An annotation has a ``score`` beside COCO's keys. All photos are listed.

    Args:
        names: file name of each photo.
        predictions: of each photo, in the same order.
        classes: names of labels 1…C.
        category_ids: their categories.
        info: written as it is.

    Raises:
        ValueError: if there are more or fewer names than predictions, or a label has
            no category.
    """
    images = []
    for name, found in zip(names, predictions, strict=True):
        height, width = found.size
        size = {"width": width, "height": height}
        images.append({"id": found.image_id, "file_name": name, **size})
    annotations = []
    for number, result in enumerate(to_coco(predictions, category_ids), 1):
        mask = result["segmentation"]
        box, area = rle.toBbox(mask).tolist(), int(rle.area(mask))
        own = {"bbox": box, "area": area, "iscrowd": 0}
        annotations.append({"id": number, **result, **own})
    numbered = zip(category_ids, classes, strict=True)
    return {
        "info": info,
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in numbered],
    }


def _check(result: Any, sizes: Mapping[int, Any], labels: Mapping[int, int]) -> None:
    if not isinstance(result, Mapping):
        raise ValueError(f"expected an object, got {result!r}")
    missing = [key for key in KEYS if key not in result]
    if missing:
        raise ValueError(f"expected keys {', '.join(KEYS)}; missing {missing}")
    image_id, category = result["image_id"], result["category_id"]
    if not isinstance(image_id, int) or image_id not in sizes:
        raise ValueError(f"image_id {image_id!r} is not in the ground truth")
    if not isinstance(category, int) or category not in labels:
        raise ValueError(
            f"category_id {category!r} is unknown; expected one of {list(labels)}"
        )
    score = result["score"]
    if not isinstance(score, int | float) or not math.isfinite(score):
        raise ValueError(f"expected a finite score, got {score!r}")
