"""YOLO's segmentation labels: a text file a photo, an outline a line."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from wsis._support.files import write_text
from wsis.geometry.polygons import joined, polygons
from wsis.report.formats._photos import Photo, Style


def yolo(
    photos: Sequence[Photo], classes: Sequence[str], style: Style, folder: Path
) -> None:
    """Write photos, labels and ``data.yaml``, which names the classes.

    A line is a class, from 0, and one outline in fractions of the photo's sides. The
    pieces of an instance are tied by cuts of no width. There is no room for scores, so
    ``data.yaml`` says ``predicted`` of what nobody accepted.
    """
    images, labels = "images/train", folder / "labels" / "train"
    labels.mkdir(parents=True)
    for photo in photos:
        photo.copy(folder / images)
        height, width = photo.found.size
        lines = []
        for label, mask in zip(
            photo.found.label.tolist(), photo.found.masks, strict=True
        ):
            outline = joined(polygons(mask, tolerance=style.tolerance)) / (
                width,
                height,
            )
            points = " ".join(f"{one:.6f}" for one in outline.flatten())
            lines.append(f"{label - 1} {points}\n")
        write_text(labels / f"{photo.stem}.txt", "".join(lines))
    # Programs ask for val: the same photos until somebody has checked some.
    data: dict[str, object] = {"train": images, "val": images}
    data["names"] = dict(enumerate(classes))
    if style.scores:
        data["predicted"] = True
    with (folder / "data.yaml").open("w", encoding="utf-8") as file:
        yaml.safe_dump(data, file, allow_unicode=True, sort_keys=False)
