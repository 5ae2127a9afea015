"""The formats by name: each writes photos and instances into an empty folder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image as Pillow

from wsis.report.formats._coco import coco, cvat
from wsis.report.formats._labelstudio import labelstudio
from wsis.report.formats._photos import Photo
from wsis.report.formats._style import Style
from wsis.report.formats._voc import voc
from wsis.report.formats._yolo import yolo

Write = Callable[[Sequence[Photo], Sequence[str], Style, Path], None]
"""Takes photos, the names of classes 1…C, the style and the folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A way to write predictions.

    Args:
        write: does it.
        exclusive: a pixel has room for one instance only.
    """

    write: Write
    exclusive: bool = False


def _overlays(
    photos: Sequence[Photo], classes: Sequence[str], style: Style, folder: Path
) -> None:
    """Write a picture of each photo with its likeliest instances."""
    del classes, style
    for photo in photos:
        picture = Pillow.fromarray(photo.found.draw())
        picture.save(folder / f"{photo.stem}.png")


FORMATS: Mapping[str, Format] = {
    "coco": Format(write=coco),
    "yolo": Format(write=yolo),
    "voc": Format(write=voc, exclusive=True),
    "labelstudio": Format(write=labelstudio),
    "cvat": Format(write=cvat),
    "overlays": Format(write=_overlays),
}
