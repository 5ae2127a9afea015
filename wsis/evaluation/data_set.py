"""Predictions as a data set in COCO's format, with photos and categories."""

from collections.abc import Sequence
from typing import Any

from pycocotools import mask as rle

from wsis.contracts import Predictions
from wsis.evaluation.results import to_coco


def coco_data_set(
    names: Sequence[str],
    predictions: Sequence[Predictions],
    classes: Sequence[str],
    category_ids: Sequence[int],
    info: dict[str, Any],
) -> dict[str, Any]:
    """A COCO data set, ready for JSON, whose annotations are the predictions.

    An annotation has a ``score`` beside COCO's own keys. Photos without predictions are
    listed, too.

    Args:
        names: file name of each photo.
        predictions: of each photo, in the same order.
        classes: names of labels 1…C.
        category_ids: their categories.
        info: goes into the file as it is.

    Raises:
        ValueError: if names and predictions are not as many, or a label has no
            category.
    """
    return {
        "info": info,
        "images": [
            {
                "id": found.image_id,
                "file_name": name,
                "width": found.size[1],
                "height": found.size[0],
            }
            for name, found in zip(names, predictions, strict=True)
        ],
        "annotations": [
            {
                "id": number,
                **result,
                "bbox": rle.toBbox(result["segmentation"]).tolist(),
                "area": int(rle.area(result["segmentation"])),
                "iscrowd": 0,
            }
            for number, result in enumerate(to_coco(predictions, category_ids), 1)
        ],
        "categories": [
            {"id": number, "name": name}
            for number, name in zip(category_ids, classes, strict=True)
        ],
    }
