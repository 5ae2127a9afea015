"""Data sets in COCO's format: tags for training, masks for evaluation alone."""

import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Literal

import torch

from wsis._support.checks import few, warn
from wsis._support.places import as_paths
from wsis.contracts import Annotated, GroundTruth, Tagged, TaggedImage
from wsis.data._truths import LazyTruths, of_objects
from wsis.data.annotations import AnnotationFile
from wsis.data.halves import for_classes
from wsis.data.images import Reading, Size, Upright, check_files, check_folder, readings
from wsis.data.segmentations import Outlines, to_rle, usable

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
        upright: ``true`` turns photos as their EXIF data say, ``false`` reads them as
            they are stored, ``auto`` takes what has the annotated size.
        masks: ``refuse`` validation objects without a usable mask, or ``skip`` them.
        background: whether training photos without an object of the classes show none
            of them, and teach background; otherwise training leaves them out.

    Raises:
        FileNotFoundError: if ``root`` has no annotations in COCO's layout.
        ValueError: if neither ``root`` nor ``images`` is given.
    """

    root: str | Path | None = None
    images: str | Path | None = None
    train_json: str | Path | None = None
    val_json: str | Path | None = None
    val_images: str | Path | None = None
    classes: str = "all"
    upright: bool | Literal["auto"] = "auto"
    masks: Literal["refuse", "skip"] = "refuse"
    background: bool = False

    def __post_init__(self) -> None:
        as_paths(self, "root", "images", "train_json", "val_json", "val_images")
        if self.root is not None:
            for name, path in _layout(Path(self.root)).items():
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
        found = read_tagged(path, photos, self.classes, upright=self.upright)
        if not self.background:
            return found
        images = [replace(x, background=not x.tags.any()) for x in found.images]
        return replace(found, images=images)

    def val(self) -> Annotated | None:
        """Return the validation photos and their masks; None without ``val_json``.

        With a training file, ``all`` classes are that file's, matched by name. Warns of
        classes that the validation file lacks. Raises as ``read_annotated``.
        """
        if self.val_json is None:
            return None
        photos = _given(self.val_images or self.images, _IMAGES)
        file, wanted = AnnotationFile.read(Path(self.val_json)), self._classes()
        known = file.known(wanted)
        if self.classes == "all":
            self._tell_others(file, known)
        found = _annotated(file, photos, known, self.upright, self.masks)
        of = "the training file" if wanted != self.classes else "the list of classes"
        return for_classes(found, file.names(wanted), of)

    def train_truths(self) -> Sequence[GroundTruth]:
        """Return the training photos' masks, for ``wsis.evaluation.trace`` alone.

        Raises:
            ValueError: as ``read_annotated``, so also if an object has only its tag.
        """
        path, photos = _given(self.train_json, _TRAIN), _given(self.images, _IMAGES)
        ways: dict[str, Any] = {"upright": self.upright, "masks": self.masks}
        return read_annotated(path, photos, self.classes, **ways).truths

    def category_ids(self) -> tuple[int, ...]:
        """Return the numbers of classes in the validation file, else the training's.

        A class that the file lacks has a number that no other class has.
        """
        path = _given(self.val_json or self.train_json, _TRAIN)
        file, wanted = AnnotationFile.read(path), self._classes()
        numbers = iter(file.labels(known := file.known(wanted)))
        free = count(1 + max(file.categories.values()))
        names = file.names(wanted)
        return tuple(next(numbers if name in known else free) for name in names)

    def _classes(self) -> str | Sequence[str]:
        if self.classes == "all" and self.train_json:
            return AnnotationFile.read(Path(self.train_json)).names("all")
        return self.classes

    def _tell_others(self, file: AnnotationFile, known: Sequence[str]) -> None:
        labels = file.labels(known)
        name = {number: name for name, number in file.categories.items()}
        ids = [one["category_id"] for one in file.annotations]
        if left := Counter(name[number] for number in ids if number not in labels):
            warn(
                f"{file.path}: objects of {len(left)} classes that {self.train_json} "
                f"lacks are left out: {few([f'{x} ({n})' for x, n in left.items()])}"
            )


def read_tagged(
    annotations: str | Path,
    images: str | Path,
    classes: str | Sequence[str] = "all",
    *,
    upright: Upright = "auto",
) -> Tagged:
    """Return the photos of one annotation file and the classes on each.

    Only the image and the category of an annotation are read. A crowd counts as its
    class. Photos with none of the classes are kept, without tags.

    Args:
        annotations: the JSON file.
        images: folder of the photos.
        classes: as in ``CocoData``, or a sequence of names.
        upright: as in ``CocoData``.

    Raises:
        FileNotFoundError: if the file, the folder or photos are missing.
        UnknownClassError: if a class is not in the file; lists what is.
        ValueError: if the file is not in COCO's format, contradicts itself, or has no
            object of the classes; if photos are of another size than annotated; on
            loading, if a photo is damaged.
    """
    file = AnnotationFile.read(Path(annotations))
    labels, names = file.labels(classes), file.names(classes)
    return _tagged(file, labels, names, _readings(file, Path(images), upright))


def read_annotated(
    annotations: str | Path,
    images: str | Path,
    classes: str | Sequence[str] = "all",
    *,
    upright: Upright = "auto",
    masks: Literal["refuse", "skip"] = "refuse",
) -> Annotated:
    """Return the photos of one annotation file and the objects on each.

    Masks are decoded when a truth is asked for. Crowds are ignored objects; objects of
    other classes are left out. Errors are those of ``read_tagged``, too.

    Args:
        annotations: the JSON file.
        images: folder of the photos.
        classes: as in ``CocoData``, or a sequence of names.
        upright: as in ``CocoData``.
        masks: ``skip`` leaves out what is no mask or area, and warns.

    Raises:
        ValueError: also if objects have no usable mask, an area that is not a number,
            or an ``iscrowd`` other than 0, 1, false or true; counts and names them.
    """
    file = AnnotationFile.read(Path(annotations))
    return _annotated(file, Path(images), classes, upright, masks)


def category_ids(
    annotations: str | Path, classes: str | Sequence[str] = "all"
) -> tuple[int, ...]:
    """Return the file's own numbers of classes 1…C; raises as ``read_tagged``."""
    return tuple(AnnotationFile.read(Path(annotations)).labels(classes))


def _annotated(
    file: AnnotationFile,
    folder: Path,
    classes: str | Sequence[str],
    upright: Upright,
    masks: Literal["refuse", "skip"],
) -> Annotated:
    labels, read = file.labels(classes), _readings(file, folder, upright)
    found: dict[int, list[_Object]] = {number: [] for number in read}
    wrong: list[str] = []
    copies, seen = list[str](), set[tuple[int, int, str]]()
    outlines = Outlines()
    for i, one in enumerate(file.annotations):
        if (label := labels.get(one["category_id"])) is None:
            continue
        where, photo = f"annotations[{i}]", read[one["image_id"]]
        mask, problem = usable(one.get("segmentation"), photo.size)
        area = one.get("area")
        if not _is_area(area):
            problem = problem or f"expected a number from 0 up as area, got {area!r}"
            area = None
        if problem:
            wrong.append(f"{where} ({photo.path.name}): {problem}")
        if mask is not None:
            crowd = bool(one.get("iscrowd", 0))
            same = one["image_id"], label, str(mask)
            if same in seen and not crowd:
                copies.append(f"{where} ({photo.path.name})")
            seen.add(same)
            found[one["image_id"]].append((label, mask, crowd, area))
            name, hint = photo.path.name, _if_turned(photo)
            outlines.add(mask, where, name, photo.size, hint, one.get("bbox"))
    odd = [
        f"annotations[{i}]: {one['iscrowd']!r}"
        for i, one in enumerate(file.annotations)
        if one.get("iscrowd", 0) not in (0, 1)
    ]
    if odd:
        raise ValueError(
            f"{file.path}: expected 0, 1, false or true as iscrowd, got something else "
            f"{len(odd)} times: {few(odd)}"
        )
    if wrong:
        text = f"{file.path}: {len(wrong)} of {len(file.annotations)} objects have no "
        text += f"usable mask or area: {few(wrong, '; ')}"
        if masks == "refuse":
            raise ValueError(
                f"{text}; mend the file, or set masks=skip to leave out what cannot be "
                "used (--data coco:masks=skip)"
            )
        warn(f"{text}; masks=skip leaves them out, and measures areas of masks")
    tagged = _tagged(file, labels, file.names(classes), read)
    if not any(found.values()):
        raise ValueError(f"{file.path}: no object has a usable mask")
    if all(crowd for some in found.values() for _, _, crowd, _ in some):
        raise ValueError(
            f"{file.path}: all objects are crowds (iscrowd), which count neither as "
            "found nor as missed; set it to 0 for those to find"
        )
    unread = [
        f"annotations[{i}]"
        for i, one in enumerate(file.annotations)
        if one.get("ignore") and not one.get("iscrowd")
    ]
    if unread:
        warn(
            f"{file.path}: {len(unread)} of {len(file.annotations)} objects are marked "
            f"by ignore, which nothing reads: {few(unread)}; set iscrowd to 1 for "
            "those that count neither as found nor as missed"
        )
    if copies:
        warn(
            f"{file.path}: {len(copies)} of {len(file.annotations)} objects are listed "
            f"before, and count as further objects, which nothing can find: "
            f"{few(copies)}; remove them"
        )
    if doubt := outlines.doubt():
        warn(f"{file.path}: {doubt}")
    makers = [partial(_truth, i, read[i].size, objects) for i, objects in found.items()]
    return Annotated(tagged=tagged, truths=LazyTruths(makers))


def _is_area(area: Any) -> bool:
    known = isinstance(area, int | float | None) and not isinstance(area, bool)
    return known and 0 <= (area or 0) <= sys.float_info.max


def _if_turned(photo: Reading) -> str:
    """Return what to try where EXIF data turn a photo; else nothing."""
    if not photo.turned:
        return ""
    other = str(not photo.upright).lower()
    return f"EXIF data turn these photos: upright={other} may read them right"


def _truth(image_id: int, size: Size, objects: Sequence[_Object]) -> GroundTruth:
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


def _given(path: str | Path | None, what: str) -> Path:
    if path is None:
        raise ValueError(f"expected {what}, got none")
    return Path(path)


def _readings(
    file: AnnotationFile, folder: Path, upright: Upright
) -> dict[int, Reading]:
    """Return how each photo is read, by its number."""
    check_folder(folder)
    names = check_files(folder, [one["file_name"] for one in file.images])
    given = [(one["height"], one["width"]) for one in file.images]
    sizes = list(zip(names, given, strict=True))
    numbers = [image["id"] for image in file.images]
    return dict(zip(numbers, readings(folder, sizes, upright), strict=True))


def _tagged(
    file: AnnotationFile,
    labels: Mapping[int, int],
    names: tuple[str, ...],
    read: Mapping[int, Reading],
) -> Tagged:
    present: defaultdict[int, set[int]] = defaultdict(set)
    for annotation in file.annotations:
        if annotation["category_id"] in labels:
            present[annotation["image_id"]].add(labels[annotation["category_id"]])
    if not present:
        raise ValueError(
            f"{file.path}: expected objects of {', '.join(names)}, got none"
        )
    if file.scored:
        warn(
            f"{file.path}: {file.scored} of {len(file.annotations)} annotations have "
            "scores: these are predictions, which may be wrong, and they are taken for "
            "what is on the photos; if somebody has checked them, remove the scores"
        )
    images = []
    for image in file.images:
        tags = torch.zeros(len(names), dtype=torch.bool)
        tags[[label - 1 for label in present[image["id"]]]] = True
        name, load = image["file_name"], read[image["id"]]
        images.append(TaggedImage(id=image["id"], name=name, tags=tags, load=load))
    return Tagged(name=file.path.stem, classes=names, images=images)
