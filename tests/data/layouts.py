"""Tiny data sets in the layouts of VOC 2012 with SBD and of COCO, drawn and written."""

import json

import numpy as np
import scipy.io
from PIL import Image as Pillow
from pycocotools import mask as rle

from wsis.data.names import COCO_CATEGORIES, VOC_NAMES

SIZE = 60, 80
"""Height and width of the photos."""

DOG, PERSON = VOC_NAMES.index("dog") + 1, VOC_NAMES.index("person") + 1


def drawn(seed):
    """A photo with two rectangles, and each pixel's object: 1, 2 or 0; 255 around."""
    draw = np.random.default_rng(seed)
    photo = draw.integers(100, 140, (*SIZE, 3), np.uint8)
    objects = np.zeros(SIZE, np.uint8)
    for number, colour in ((1, (210, 40, 40)), (2, (40, 60, 210))):
        left = int(draw.integers(3, 12)) + 40 * (number - 1)
        top = int(draw.integers(4, 20))
        objects[top - 2 : top + 32, left - 2 : left + 24] = 255
        objects[top : top + 30, left : left + 22] = number
        photo[top : top + 30, left : left + 22] = colour
    return photo, objects


def xml(objects, names, difficult=()):
    """VOC's annotation of a photo: pixels count from 1, the last one is included."""
    entries = []
    for number, name in enumerate(names, 1):
        rows, columns = (objects == number).nonzero()
        entries.append(
            f"<object><name>{name}</name><difficult>{int(number in difficult)}"
            f"</difficult><bndbox><xmin>{columns.min() + 1}</xmin><ymin>"
            f"{rows.min() + 1}</ymin><xmax>{columns.max() + 1}</xmax><ymax>"
            f"{rows.max() + 1}</ymax></bndbox></object>"
        )
    return f"<annotation>{''.join(entries)}</annotation>"


def write_voc(root, train=3, val=2, sbd=0, names=("dog", "person")):
    """VOCdevkit/VOC2012 in ``root``, photos 2007_000000 and on; SBD beside it.

    SBD holds ``sbd`` photos more, without XML, and the first one of ``val``.
    """
    folder = root / "VOCdevkit" / "VOC2012"
    places = ("JPEGImages", "Annotations", "SegmentationObject", "SegmentationClass")
    for place in (*places, "ImageSets/Segmentation"):
        (folder / place).mkdir(parents=True)
    photos = [f"2007_{i:06}" for i in range(train + val + sbd)]
    lists = photos[:train], photos[train : train + val], photos[train + val :]
    for i, name in enumerate(photos):
        photo, objects = drawn(i)
        Pillow.fromarray(photo).save(folder / "JPEGImages" / f"{name}.jpg", quality=95)
        if name in lists[2]:
            continue
        (folder / "Annotations" / f"{name}.xml").write_text(xml(objects, names))
        classes = _classes(objects)
        for place, values in (
            ("SegmentationObject", objects),
            ("SegmentationClass", classes),
        ):
            picture = Pillow.fromarray(values).convert("P")
            picture.putdata(values.ravel().tolist())
            picture.save(folder / place / f"{name}.png")
    for half, chosen in zip(("train", "val"), lists[:2], strict=True):
        path = folder / "ImageSets" / "Segmentation" / f"{half}.txt"
        path.write_text("".join(f"{name}\n" for name in chosen))
    if sbd:
        write_sbd(root / "SBD", {name: photos.index(name) for name in lists[2]})
        (root / "SBD" / "val.txt").write_text(f"{lists[1][0]}\n{lists[0][0]}\n")
    return root / "VOCdevkit"


def write_sbd(folder, photos):
    """SBD's folder with some photos, by name and the seed they are drawn from."""
    for place in ("cls", "inst"):
        (folder / place).mkdir(parents=True)
    for name, seed in photos.items():
        objects = drawn(seed)[1]
        objects[objects == 255] = 0
        seen = np.array([DOG, PERSON], np.uint8)
        scipy.io.savemat(
            folder / "cls" / f"{name}.mat",
            {"GTcls": {"Segmentation": _classes(objects), "CategoriesPresent": seen}},
        )
        scipy.io.savemat(
            folder / "inst" / f"{name}.mat",
            {"GTinst": {"Segmentation": objects, "Categories": seen[:, None]}},
        )
    (folder / "train.txt").write_text("".join(f"{name}\n" for name in photos))
    (folder / "val.txt").write_text("")


def write_coco(root, train=3, val=2, year=2017):
    """COCO as it is unpacked: ``annotations/``, ``train2017/``, ``val2017/``."""
    (root / "annotations").mkdir(parents=True)
    ids = [COCO_CATEGORIES["dog"], COCO_CATEGORIES["person"]]
    for half, count, first in (("train", train, 0), ("val", val, train)):
        photos = root / f"{half}{year}"
        photos.mkdir()
        images, annotations = [], []
        for i in range(first, first + count):
            photo, objects = drawn(i)
            name = f"{i:012}.jpg"
            Pillow.fromarray(photo).save(photos / name, quality=95)
            size = {"height": SIZE[0], "width": SIZE[1]}
            images.append({"id": i + 1, "file_name": name, **size})
            for number, category in enumerate(ids, 1):
                mask = np.asfortranarray(objects == number, np.uint8)
                counts = rle.encode(mask)["counts"].decode()
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": i + 1,
                        "category_id": category,
                        "segmentation": {"size": list(SIZE), "counts": counts},
                        "area": int(mask.sum()),
                        "iscrowd": 0,
                    }
                )
        categories = [{"id": n, "name": name} for name, n in COCO_CATEGORIES.items()]
        content = {
            "images": images,
            "annotations": annotations,
            "categories": categories,
        }
        path = root / "annotations" / f"instances_{half}{year}.json"
        path.write_text(json.dumps(content))
    return root


def _classes(objects):
    classes = objects.copy()
    classes[objects == 1] = DOG
    classes[objects == 2] = PERSON
    return classes
