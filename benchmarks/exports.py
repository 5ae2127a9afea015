"""Reads what ``wsis export`` writes with the readers of the programs it is for.

Label Studio's converter (label-studio-sdk), Datumaro, which CVAT imports with, and
labelformat; those that are not installed are named.

pip install label-studio-sdk datumaro labelformat
python benchmarks/exports.py

Prints the lowest IoU between a mask and what a reader makes of it. The masks have
holes, pieces apart and pieces that touch at a corner; the name of a class has quotes, a
comma and an ampersand.
"""

import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Pillow
from pycocotools import mask as rle

from wsis.evaluation import coco_data_set
from wsis.geometry.masks import encode
from wsis.geometry.predictions import Predictions
from wsis.report import Style, export

SIZE = (60, 90)
CLASSES = ('big "cat", grey & old', "dog", "狗 1")
Found = list[tuple[str, np.ndarray]]
"""Class and mask of each instance."""
Read = Mapping[str, Found]
"""Instances by the stem of the photo."""


def masks() -> np.ndarray:
    """Return a ring, two discs and a pixel that touch at corners, and a square."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    far = np.hypot(y - 30, x - 25)
    two = (np.hypot(y - 15, x - 70) < 9) | (np.hypot(y - 44, x - 72) < 11)
    square = (y > 20) & (y < 55) & (x > 20) & (x < 50)
    square[20, 20] = True
    return np.stack([(far < 20) & (far > 8), two, square])


def predictions(folder: Path) -> Path:
    """Write photos and ``predictions.json``: three instances, and none."""
    names = ["a, 'b'.jpg", "empty.png"]
    (folder / "photos").mkdir(parents=True)
    found = []
    for number, name in enumerate(names, 1):
        pixels = np.random.default_rng(number).integers(0, 255, (*SIZE, 3), np.uint8)
        Pillow.fromarray(pixels).save(folder / "photos" / name)
        one = Predictions.of_masks(
            number,
            SIZE,
            encode(torch.from_numpy(masks())),
            label=torch.tensor([1, 3, 1]),
            score=torch.tensor([0.75, 0.5, 0.25]),
        )
        found.append(one if number == 1 else one.filter(min_score=1.0))
    ways = [f"photos/{name}" for name in names]
    content = coco_data_set(names, found, CLASSES, (1, 2, 3), {}, ways)
    (folder / "predictions.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def filled(outlines: list[list[float]]) -> np.ndarray:
    """Return the mask of outlines as COCO's tools fill them."""
    return rle.decode(rle.merge(rle.frPyObjects(outlines, *SIZE))).astype(bool)


def labelstudio(folder: Path) -> Read:
    """Accept all predictions, and convert them as Label Studio's own export does."""
    from label_studio_sdk.converter import Converter
    from label_studio_sdk.label_interface import LabelInterface

    config = (folder / "config.xml").read_text(encoding="utf-8")
    tasks = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    interface, accepted = LabelInterface(config), []
    for number, task in enumerate(tasks, 1):
        [prediction] = task["predictions"]
        assert not interface.validate_prediction(prediction, return_errors=True)
        annotation = {"id": number, "result": prediction["result"]}
        accepted.append({**task, "id": number, "annotations": [annotation]})
    (folder / "accepted.json").write_text(json.dumps(accepted), encoding="utf-8")
    converter = Converter(config, str(folder), download_resources=False)
    converter.convert_to_coco(
        str(folder / "accepted.json"), str(folder / "read"), is_dir=False
    )
    content = json.loads((folder / "read/result.json").read_text(encoding="utf-8"))
    names = {one["id"]: one["name"] for one in content["categories"]}
    tasks_of = {number: task["data"]["image"] for number, task in enumerate(tasks)}
    found: dict[str, Found] = {Path(one).stem: [] for one in tasks_of.values()}
    for one in content["annotations"]:
        stem = Path(tasks_of[one["image_id"]]).stem
        found[stem].append((names[one["category_id"]], filled(one["segmentation"])))
    return found


def datumaro(folder: Path, kind: str) -> Read:
    """Read a data set as CVAT does."""
    from datumaro.components.annotation import AnnotationType
    from datumaro.components.dataset import Dataset

    data = Dataset.import_from(str(folder), kind)
    names = data.categories()[AnnotationType.label]
    found: dict[str, Found] = {}
    for item in data:
        own: dict[int, tuple[str, np.ndarray]] = {}
        for one in item.annotations:
            if one.type is AnnotationType.bbox:
                continue
            if one.type is AnnotationType.polygon:
                pixels = filled([list(one.points)])
            else:
                pixels = np.asarray(one.image, bool)
            _, before = own.get(one.group, ("", np.zeros(SIZE, bool)))
            own[one.group] = names[one.label].name, before | pixels
        found[Path(item.id).stem] = [own[group] for group in sorted(own)]
    return found


def labelformat(folder: Path, kind: str) -> Read:
    """Read YOLO's labels, or COCO's polygons."""
    from labelformat.formats import (
        COCOInstanceSegmentationInput,
        YOLOv8InstanceSegmentationInput,
    )

    if kind == "yolo":
        read = YOLOv8InstanceSegmentationInput(folder / "data.yaml", "train")
    else:
        read = COCOInstanceSegmentationInput(folder / "annotations.json")
    found: dict[str, Found] = {}
    for image in read.get_images():
        found[Path(image.filename).stem] = []
    for one in read.get_labels():
        found[Path(one.image.filename).stem] = [
            (
                label.category.name,
                filled(
                    [
                        [x for point in ring for x in point]
                        for ring in label.segmentation.polygons
                    ]
                ),
            )
            for label in one.objects
        ]
    return found


def arranged(folder: Path) -> Read:
    """Read COCO's layout with Datumaro, which expects annotations in a folder."""
    (folder / "annotations").mkdir()
    (folder / "annotations.json").rename(folder / "annotations/instances_all.json")
    return datumaro(folder, "coco")


READERS: Mapping[str, tuple[str, Callable[[Path], Read]]] = {
    "labelstudio": ("label-studio-sdk", labelstudio),
    "cvat": ("datumaro", partial(datumaro, kind="coco")),
    "coco": ("datumaro", arranged),
    "voc": ("datumaro", partial(datumaro, kind="voc_segmentation")),
    "yolo": ("labelformat", partial(labelformat, kind="yolo")),
    "coco --polygons": ("labelformat", partial(labelformat, kind="coco")),
}
"""Package and reader by format, and its option."""


def lowest(read: Read, exclusive: bool) -> float:
    """Return the lowest IoU of a mask and what was read of it.

    Raises:
        AssertionError: if photos, classes or the number of instances differ.
    """
    true = masks()
    if exclusive:
        true[2] &= ~(true[0] | true[1])
    names = [CLASSES[0], CLASSES[2], CLASSES[0]]
    assert sorted(read) == ["a___b_", "empty"], sorted(read)
    assert read["empty"] == []
    found = list(read["a___b_"])
    assert len(found) == len(names), len(found)
    ious = []
    for name, mask in zip(names, true, strict=True):
        own = [(mask & one).sum() / (mask | one).sum() for _, one in found]
        best = int(np.argmax(own))
        assert found[best][0] == name, found[best][0]
        ious.append(own[best])
        del found[best]
    return float(min(ious))


def look(name: str, folder: Path) -> float:
    """Export for a reader, and return the lowest IoU of what it reads."""
    kind, _, polygons = name.partition(" ")
    out, style = folder / "out", Style(polygons=bool(polygons))
    export(predictions(folder / "found"), out, kind, style=style)
    return lowest(READERS[name][1](out), exclusive=kind == "voc")


def main() -> None:
    """Look at every reader that is installed."""
    for name, (package, _) in READERS.items():
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                least = look(name, Path(folder))
            except ModuleNotFoundError as error:
                print(f"{name}: not read, {error}", file=sys.stderr)
                continue
        print(f"{name}: {package} {version(package)}, lowest IoU {least:.4f}")


if __name__ == "__main__":
    main()
