"""Data sets in COCO's format: tags for training, masks for evaluation alone."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from wsis.contracts import Annotated, GroundTruth, Image, Tagged, TaggedImage
from wsis.data._truths import LazyTruths, of_objects
from wsis.data.annotations import AnnotationFile
from wsis.data.images import check_files, check_folder, read_image
from wsis.data.segmentations import check_segmentation, to_rle

_Object = tuple[int, Any, bool, int | float | None]
"""Label, segmentation, whether a crowd, and area."""

_IMAGES = "a folder of photos as images"
_TRAIN = (
    "the annotations of the training photos as train_json (--train on the command line)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoData:
    """A folder of photos with annotations in COCO's format.

    Files are read, and their errors raised, when ``train`` or ``val`` is called.

    Args:
        root: COCO as it is unpacked: ``annotations/instances_train2017.json`` and
            ``train2017/``, or those of 2014, and likewise for ``val``. The settings
            below override it.
        images: folder of the photos.
        train_json: annotations of the training photos; only their classes are read.
        val_json: annotations of the validation photos; without, there are none.
        val_images: folder of the validation photos, if it is not ``images``.
        classes: ``all`` of the file, in order of category id; ``voc``, the 20 of Pascal
            VOC; or comma-separated names. Names match whatever their case, and with a
            space, ``-`` or ``_`` between words.

    Raises:
        FileNotFoundError: if ``root`` has no annotations in COCO's layout.
        ValueError: if neither ``root`` nor ``images`` is given.
    """

    root: Path | None = None
    images: Path | None = None
    train_json: Path | None = None
    val_json: Path | None = None
    val_images: Path | None = None
    classes: str = "all"

    def __post_init__(self) -> None:
        if self.root is not None:
            for name, path in _layout(self.root).items():
                if getattr(self, name) is None:
                    # As if it had been given.
                    object.__setattr__(self, name, path)
        elif self.images is None:
            raise ValueError("it needs the setting 'images', or 'root'")

    def train(self) -> Tagged:
        """Return the training photos and their tags, as ``read_tagged`` does.

        Raises:
            ValueError: if ``train_json`` is missing, or as ``read_tagged``.
        """
        path, photos = _given(self.train_json, _TRAIN), _given(self.images, _IMAGES)
        return read_tagged(path, photos, self.classes)

    def val(self) -> Annotated | None:
        """Return the validation photos and their masks; None without ``val_json``.

        With a training file, ``all`` classes are that file's. Raises as
        ``read_annotated``.
        """
        if self.val_json is None:
            return None
        photos = _given(self.val_images or self.images, _IMAGES)
        return read_annotated(self.val_json, photos, self._classes())

    def train_truths(self) -> Sequence[GroundTruth]:
        """Return the training photos' masks, for ``wsis.evaluation.trace`` alone.

        Raises:
            ValueError: as ``read_annotated``, so also if an object has only its tag.
        """
        path, photos = _given(self.train_json, _TRAIN), _given(self.images, _IMAGES)
        return read_annotated(path, photos, self.classes).truths

    def category_ids(self) -> tuple[int, ...]:
        """Return the numbers of classes in the validation file, else the training's."""
        path = _given(self.val_json or self.train_json, _TRAIN)
        return category_ids(path, self._classes())

    def _classes(self) -> str | Sequence[str]:
        if self.classes == "all" and self.train_json:
            return AnnotationFile.read(self.train_json).names("all")
        return self.classes


def read_tagged(
    annotations: Path, images: Path, classes: str | Sequence[str] = "all"
) -> Tagged:
    """Return the photos of one annotation file and the classes on each.

    Only the image and the category of an annotation are read. A crowd counts as its
    class. Photos with none of the classes are kept, without tags.

    Args:
        annotations: the JSON file.
        images: folder of the photos.
        classes: as in ``CocoData``, or a sequence of names.

    Raises:
        FileNotFoundError: if the file, the folder or photos are missing.
        UnknownClassError: if a class is not in the file; lists what is.
        ValueError: if the file is not in COCO's format, contradicts itself, or has no
            object of the classes; on loading, if a photo is damaged or of another size.
    """
    return _tagged(AnnotationFile.read(annotations), images, classes)


def read_annotated(
    annotations: Path, images: Path, classes: str | Sequence[str] = "all"
) -> Annotated:
    """Return the photos of one annotation file and the objects on each.

    Masks are decoded when a truth is asked for. Crowds are ignored objects; objects of
    other classes are left out. Arguments and errors are those of ``read_tagged``.

    Raises:
        ValueError: also if an object has no mask of its photo's size, or an area that
            is not a number.
    """
    file = AnnotationFile.read(annotations)
    labels = file.labels(classes)
    size = {image["id"]: _size(image) for image in file.images}
    found: dict[int, list[_Object]] = {number: [] for number in size}
    for i, annotation in enumerate(file.annotations):
        label, number = labels.get(annotation["category_id"]), annotation["image_id"]
        if label is not None:
            try:
                found[number].append(_object(annotation, label, size[number]))
            except ValueError as error:
                raise ValueError(f"{annotations}: annotations[{i}]: {error}") from None
    makers = [partial(_truth, i, size[i], objects) for i, objects in found.items()]
    return Annotated(tagged=_tagged(file, images, classes), truths=LazyTruths(makers))


def category_ids(
    annotations: Path, classes: str | Sequence[str] = "all"
) -> tuple[int, ...]:
    """Return the file's own numbers of classes 1…C; raises as ``read_tagged``."""
    return tuple(AnnotationFile.read(annotations).labels(classes))


def _object(
    annotation: Mapping[str, Any], label: int, size: tuple[int, int]
) -> _Object:
    segmentation, area = annotation.get("segmentation"), annotation.get("area")
    check_segmentation(segmentation, size)
    if not isinstance(area, int | float | None) or not 0 <= (area or 0) < math.inf:
        raise ValueError(f"expected a number from 0 up as area, got {area!r}")
    return label, segmentation, bool(annotation.get("iscrowd")), area


def _truth(
    image_id: int, size: tuple[int, int], objects: Sequence[_Object]
) -> GroundTruth:
    return of_objects(
        image_id,
        size,
        ((c, to_rle(mask, size), crowd, area) for c, mask, crowd, area in objects),
    )


def _layout(root: Path) -> dict[str, Path]:
    """Return the places of both halves' annotations and photos, of the newest year."""
    for year in ("2017", "2014"):
        found: dict[str, Path] = {}
        for half, folder in (("train", "images"), ("val", "val_images")):
            annotations = root / "annotations" / f"instances_{half}{year}.json"
            if annotations.is_file():
                inside = root / "images" / f"{half}{year}"
                found[f"{half}_json"] = annotations
                found[folder] = inside if inside.is_dir() else root / f"{half}{year}"
        if found:
            return found
    raise FileNotFoundError(
        f"expected COCO in {root}, there is no annotations/instances_train2017.json, "
        "nor that of val or of 2014"
    )


def _given(path: Path | None, what: str) -> Path:
    if path is None:
        raise ValueError(f"expected {what}, got none")
    return path


def _tagged(file: AnnotationFile, folder: Path, classes: str | Sequence[str]) -> Tagged:
    labels, names = file.labels(classes), file.names(classes)
    present: defaultdict[int, set[int]] = defaultdict(set)
    for annotation in file.annotations:
        if annotation["category_id"] in labels:
            present[annotation["image_id"]].add(labels[annotation["category_id"]])
    if not present:
        raise ValueError(
            f"{file.path}: expected objects of {', '.join(names)}, got none"
        )
    check_folder(folder)
    check_files(folder, [image["file_name"] for image in file.images])
    images = []
    for image in file.images:
        tags = torch.zeros(len(names), dtype=torch.bool)
        tags[[label - 1 for label in present[image["id"]]]] = True
        name = image["file_name"]
        load = partial(_load, folder / name, _size(image))
        images.append(TaggedImage(id=image["id"], name=name, tags=tags, load=load))
    return Tagged(name=file.path.stem, classes=names, images=images)


def _size(image: Mapping[str, Any]) -> tuple[int, int]:
    return image["height"], image["width"]


def _load(path: Path, size: tuple[int, int]) -> Image:
    """Return the photo, upright or as stored, whichever has the annotated size."""
    image = read_image(path)
    if image.shape[:2] != size:
        image = read_image(path, upright=False)
    if image.shape[:2] != size:
        raise ValueError(
            f"{path}: expected {size[0]} x {size[1]} pixels (height x width) as "
            f"annotated, got {image.shape[0]} x {image.shape[1]}, whether turned by "
            "its EXIF orientation or not"
        )
    return image
