"""Export a store as COCO's json, for other programs."""

import json
from pathlib import Path

import torch
from pycocotools import mask as rle

from wsis._support.files import atomic_write
from wsis.geometry.frame import sampled_mask
from wsis.geometry.masks import rles
from wsis.proposals.shards import Store


def export_coco(store: Store, path: str | Path) -> tuple[int, int]:
    """Write all of a store into one file; return how many photos and masks.

    The file is a data set of ``images``, ``annotations`` with run lengths and
    ``score``, best first, and the one category ``object``; ``info`` has the source and
    the labels that it consumed. Importing it gives the same masks, order and scores.
    """
    masks = 0
    with atomic_write(Path(path)) as temporary, temporary.open("w") as file:
        info = {
            "description": "Mask proposals",
            "source": store.about.source,
            "settings": dict(store.about.settings),
            "supervision": sorted(store.about.ledger),
        }
        categories = [{"id": 1, "name": "object"}]
        file.write(f'{{"info": {json.dumps(info, default=str)},\n')
        file.write(f'"categories": {json.dumps(categories)},\n"images": [')
        for number, entry in enumerate(store.entries.values(), 1):
            image = {"id": number, "file_name": entry.photo}
            size = {"height": entry.height, "width": entry.width}
            file.write(("," if number > 1 else "") + "\n" + json.dumps(image | size))
        file.write('],\n"annotations": [')
        for number, (key, entry) in enumerate(store.entries.items(), 1):
            proposals = store.get(key)
            encoded = rles(proposals, torch.arange(len(proposals)))
            for own, score in zip(encoded, proposals.objectness.tolist(), strict=True):
                mask = sampled_mask(own, (entry.height, entry.width))
                masks += 1
                annotation = {
                    "id": masks,
                    "image_id": number,
                    "category_id": 1,
                    "iscrowd": 0,
                    "score": score,
                    "area": int(rle.area(mask)),
                    "bbox": rle.toBbox(mask).tolist(),
                    "segmentation": {
                        "size": list(mask["size"]),
                        "counts": mask["counts"].decode("ascii"),
                    },
                }
                file.write(("," if masks > 1 else "") + "\n" + json.dumps(annotation))
        file.write("]}\n")
    return len(store), masks
