"""A tiny data set in COCO's format: squares and discs on grey, drawn into a folder."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pillow


@dataclass(frozen=True)
class Photos:
    """Where a drawn data set is."""

    images: Path
    train: Path
    val: Path

    @property
    def options(self) -> list[str]:
        """The options that name it on the command line."""
        return [
            *("--data", "coco", "--images", str(self.images)),
            *("--train", str(self.train), "--val", str(self.val)),
        ]


def draw_photos(folder: Path, train: int = 4, val: int = 3) -> Photos:
    """Photos of 64 x 80 pixels, one object each: red squares, blue discs in turn."""
    images = folder / "images"
    images.mkdir(parents=True)
    paths = {}
    for half, count in (("train", train), ("val", val)):
        boxes = [_draw(images / f"{half}{i}.png", half, i) for i in range(count)]
        paths[half] = folder / f"{half}.json"
        paths[half].write_text(json.dumps(_coco(half, boxes)))
    return Photos(images, **paths)


RECIPE = """
description = "Quick."
data = "folder"
miner = "cim"
[settings]
backbone = "efficientnet_lite0:weights=random"
source = "region_tree:nodes=30:pairs=0"
train_sides = [64]
test_sides = [64]
anti_noise = false
[settings.schedule]
iterations = 6
"""
"""A recipe that trains in a second."""


def lay_out(drawn: Photos, folder: Path) -> None:
    """Copy photos into a subfolder of ``photos`` per tag, and write ``quick.toml``."""
    for number, path in enumerate(sorted(drawn.images.iterdir())):
        place = folder / "photos" / ("square", "disc")[int(path.stem[-1]) % 2]
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place / f"{number}.png")
    (folder / "quick.toml").write_text(RECIPE)


def leaky(photos: Photos, path: Path) -> Path:
    """Write the validation file with the first training photo in it, too."""
    val, train = (json.loads(one.read_text()) for one in (photos.val, photos.train))
    val["images"].append(train["images"][0] | {"id": 99})
    val["annotations"].append(train["annotations"][0] | {"id": 99, "image_id": 99})
    path.write_text(json.dumps(val))
    return path


def _draw(path: Path, half: str, i: int) -> tuple[int, int, int, int]:
    draw = np.random.default_rng([i, half == "train"])
    pixels = draw.integers(90, 110, (64, 80, 3)).astype(np.uint8)
    x, y = (int(start) for start in draw.integers(4, 28, 2))
    rows, columns = np.mgrid[:64, :80]
    if i % 2:
        inside = (rows - y - 15) ** 2 + (columns - x - 15) ** 2 < 15**2
    else:
        inside = (abs(rows - y - 15) < 15) & (abs(columns - x - 15) < 15)
    pixels[inside] = (40, 60, 220) if i % 2 else (220, 40, 40)
    Pillow.fromarray(pixels).save(path)
    return x, y, 30, 30


def _coco(half: str, boxes: list[tuple[int, int, int, int]]) -> dict[str, object]:
    return {
        "images": [
            {"id": i + 1, "file_name": f"{half}{i}.png", "width": 80, "height": 64}
            for i in range(len(boxes))
        ],
        "annotations": [
            {
                "id": i + 1,
                "image_id": i + 1,
                "category_id": (5, 9)[i % 2],
                "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
                "bbox": [x, y, w, h],
                "area": w * h,
                "iscrowd": 0,
            }
            for i, (x, y, w, h) in enumerate(boxes)
        ],
        "categories": [{"id": 5, "name": "square"}, {"id": 9, "name": "disc"}],
    }
