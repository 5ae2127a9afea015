"""PASCAL VOC's pictures of classes and of objects."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from pycocotools import mask as rle

from wsis._support.files import write_text
from wsis.data.names import voc_colour
from wsis.report.formats._photos import Photo, Style

VOID = 255
"""The pixels of a VOC picture that count for nothing."""


def voc(
    photos: Sequence[Photo], classes: Sequence[str], style: Style, folder: Path
) -> None:
    """Write VOC's folders and ``classes.txt``, whose line k names the pixels k.

    ``labelmap.txt`` has names and colours as CVAT and Datumaro read them.

    Instances are exclusive already. Background is 0; no pixel is void, as a prediction
    tells of every pixel, and no class or object has the number of void ones.

    Raises:
        ValueError: as ``check_voc``, and if a photo has more instances than numbers.
    """
    del style
    check_voc(classes)
    kinds = "SegmentationClass", "SegmentationObject"
    listed = folder / "ImageSets" / "Segmentation"
    for one in (*(folder / kind for kind in kinds), listed):
        one.mkdir(parents=True)
    for photo in photos:
        found = photo.found
        if len(found) >= VOID:
            raise ValueError(
                f"voc has room for {VOID - 1} instances on a photo, {photo.name} has "
                f"{len(found)}; leave some out with --min-score"
            )
        photo.copy(folder / "JPEGImages", ".jpg")
        drawn = np.zeros((2, *found.size), np.uint8)
        numbered = zip(found.label.tolist(), found.masks, strict=True)
        for number, (label, mask) in enumerate(numbered, 1):
            drawn[:, rle.decode(dict(mask)).astype(bool)] = [[label], [number]]
        for kind, pixels in zip(kinds, drawn, strict=True):
            picture = Pillow.fromarray(pixels).convert("P")
            picture.putpalette(_PALETTE)
            picture.save(folder / kind / f"{photo.stem}.png")
    names = "".join(f"{photo.stem}\n" for photo in photos)
    write_text(listed / "trainval.txt", names)
    write_text(folder / "classes.txt", "".join(f"{name}\n" for name in classes))
    colours = np.frombuffer(_PALETTE, np.uint8).reshape(-1, 3).tolist()
    named = zip(_plain(classes), colours, strict=False)
    rows = [f"{name}:{r},{g},{b}::" for name, (r, g, b) in named]
    write_text(
        folder / "labelmap.txt",
        "\n".join(("# label:color_rgb:parts:actions", *rows, "")),
    )


def check_voc(classes: Sequence[str]) -> None:
    """Refuse classes that VOC has no room for, or that ``labelmap.txt`` calls alike.

    Raises:
        ValueError: if there are such.
    """
    if len(classes) >= VOID:
        raise ValueError(f"voc has room for {VOID - 1} classes, got {len(classes)}")
    counts = Counter(_plain(classes))
    if alike := [name for name, count in counts.items() if count > 1]:
        raise ValueError(
            f"voc's labelmap.txt cannot tell classes apart that it calls {alike[0]!r}; "
            "rename one (background is what is no object, and : and # become _)"
        )


def _plain(classes: Sequence[str]) -> list[str]:
    """Return names, background's first, without the marks of the map of labels."""
    return [re.sub("[:#]", "_", name) for name in ("background", *classes)]


_PALETTE = bytes(part for number in range(256) for part in voc_colour(number))
