"""PASCAL VOC 2012 and the Semantic Boundaries Dataset (SBD) in their own layouts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple
from xml.etree import ElementTree

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from pycocotools import mask as rle

from wsis._support.checks import few, warn
from wsis._support.matlab import read_mat
from wsis._support.places import as_paths
from wsis._support.problems import Checks
from wsis.contracts import Annotated, GroundTruth, Rle, Tagged, TaggedImage
from wsis.data._truths import LazyTruths, of_objects
from wsis.data.annotations import PREDICTED, has_score, read_xml
from wsis.data.images import Size, check_files, opened, readings, stored_size
from wsis.data.names import VOC_CLASSES, VOC_NAMES, plain, voc_colour
from wsis.geometry.overlap import box_overlaps

_VOID = 255
_MASKS = "SegmentationObject", "SegmentationClass"
_SIDES = "height", "width"


@dataclass(frozen=True, slots=True, kw_only=True)
class VocData:
    """PASCAL VOC 2012, with the Semantic Boundaries Dataset (SBD) if it is there.

    Training reads the classes on each photo from ``Annotations/*.xml``, or else from
    SBD's class files; no mask is opened. With SBD it has the 10,582 photos that papers
    call ``trainaug``: those of VOC's ``train`` and of SBD that are not in VOC's
    ``val``. Validation has the 1,449 of ``val``, with the objects of
    ``SegmentationObject`` and ``SegmentationClass``, or else of SBD; void pixels (255)
    belong to none. Without these folders and SBD there is no validation half.

    Args:
        root: ``VOCdevkit``, the folder that it lies in, or ``VOC2012`` itself.
        sbd: SBD's folder (with ``cls`` and ``inst``), if it is not in or beside
            ``root``.
        train_set: ``trainaug``, or the name of a list of photos in
            ``ImageSets/Segmentation``; ``auto`` is ``trainaug`` if SBD or such a list
            is there, and else ``train``.
        val_set: the name of such a list.
        difficult: whether objects that VOC marks as difficult are to be found
            (``count``) or neither found nor missed (``ignore``); for training they are
            tags like others. The published figures of the field count them.
        upright: ``true`` turns photos as their EXIF data say, ``false`` reads them as
            they are stored; ``auto`` takes what has the size of the mask or in the XML,
            and else what is stored.
        download: let torchvision download VOC 2012 and SBD into ``root`` first, if
            they are not there; 3 GB.

    Raises:
        FileNotFoundError: if ``root`` or ``sbd`` holds no such data set.
    """

    root: str | Path
    sbd: str | Path | None = None
    train_set: str = "auto"
    val_set: str = "val"
    difficult: Literal["ignore", "count"] = "ignore"
    upright: bool | Literal["auto"] = "auto"
    download: bool = False

    def __post_init__(self) -> None:
        as_paths(self, "root", "sbd")
        if self.download:
            _download(Path(self.root))
        _ = self._folder
        if self.sbd is not None and SBD.find(Path(self.sbd)) is None:
            raise FileNotFoundError(
                f"expected SBD in {self.sbd}, there are no folders cls and inst"
            )

    def train(self) -> Tagged:
        """Return the training photos and their tags.

        Raises:
            FileNotFoundError: if a list, photos or annotations are missing.
            ValueError: if annotations are damaged or name other classes.
        """
        wanted = self._training_set()
        return self._tagged(wanted, self._names(wanted))

    def val(self) -> Annotated | None:
        """Return the validation photos and their objects; None if there are no masks.

        Raises:
            FileNotFoundError: as ``train``, or if some of the masks are missing.
            ValueError: as ``train``; a truth raises it if its masks are damaged.
        """
        folder = self._folder
        if self._sbd is None and not any((folder / kind).is_dir() for kind in _MASKS):
            return None
        names = self._names(self.val_set)
        truths = self._truths(names)
        tagged = self._tagged(self.val_set, names, masks=True)
        return Annotated(tagged=tagged, truths=truths)

    def train_truths(self) -> Sequence[GroundTruth]:
        """Return the training photos' objects, for evaluation alone, as ``val`` does.

        Raises:
            FileNotFoundError: if a list or masks are missing.
        """
        return self._truths(self._names(self._training_set()))

    @property
    def _folder(self) -> Path:
        for inside in ("", "VOC2012", "VOCdevkit/VOC2012"):
            folder = Path(self.root) / inside
            if (folder / "JPEGImages").is_dir():
                return folder
        raise FileNotFoundError(
            f"expected VOC 2012 in {self.root}, there is no folder JPEGImages in it, "
            "in VOC2012 or in VOCdevkit/VOC2012; download=true downloads it"
        )

    @property
    def _sbd(self) -> "SBD | None":
        root = Path(self.root)
        beside = self._folder, root, root.parent
        return SBD.find(*(beside if self.sbd is None else [Path(self.sbd)]))

    def _training_set(self) -> str:
        if self.train_set != "auto":
            return self.train_set
        there = self._sbd is not None or self._list("trainaug").is_file()
        return "trainaug" if there else "train"

    def _list(self, name: str) -> Path:
        return self._folder / "ImageSets" / "Segmentation" / f"{name}.txt"

    def _names(self, wanted: str) -> list[str]:
        path = self._list(wanted)
        if wanted == "trainaug" and not path.is_file():
            return self._augmented()
        if not path.is_file():
            lists = ", ".join(sorted(one.stem for one in path.parent.glob("*.txt")))
            raise FileNotFoundError(
                f"expected a list of photos, there is no {path}; there are: "
                f"{lists or 'none'}"
            )
        try:
            lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path}: expected names of photos in UTF-8, got other bytes ({error})"
            ) from None
        count = Counter(line for line in lines if line)
        if not count:
            raise ValueError(f"expected photos in {path}, it is empty")
        if twice := [name for name, lines_ in count.items() if lines_ > 1]:
            warn(
                f"{path} lists {len(twice)} photos several times, each is taken once: "
                f"{few(twice)}"
            )
        return list(count)

    def _augmented(self) -> list[str]:
        sbd = self._sbd
        if sbd is None:
            raise FileNotFoundError(
                f"expected SBD for trainaug, none is in or beside {self.root}; give "
                "sbd=FOLDER, download=true, or train_set=train for VOC's own photos"
            )
        held_out = set(self._names("val"))
        names = dict.fromkeys([*self._names("train"), *sbd.names()])
        return sorted(name for name in names if name not in held_out)

    def _tagged(
        self, wanted: str, names: Sequence[str], *, masks: bool = False
    ) -> Tagged:
        photos, files = self._folder / "JPEGImages", [f"{name}.jpg" for name in names]
        files = check_files(photos, files)
        sizes = [self._size(name, masks=masks) for name in names]
        sized = list(zip(files, sizes, strict=True))
        loads = readings(photos, sized, self.upright, shown=False, exact=masks)
        turned = [
            load.path.name
            for size, load in zip(sizes, loads, strict=True)
            if masks and size not in (None, load.size)
        ]
        if turned:
            way = str(self.upright).lower()
            raise ValueError(
                f"{len(turned)} of {len(names)} photos are turned by EXIF data, and do "
                f"not have the size of their mask with upright={way}: {few(turned)}; "
                "set upright=auto"
            )
        images, checks = [], Checks()
        for number, name, load in zip(_numbers(names), names, loads, strict=True):
            tags = torch.zeros(len(VOC_NAMES), dtype=torch.bool)
            tags[[label - 1 for label in checks.of(self._tags, name) or ()]] = True
            photo = load.path.name
            images.append(TaggedImage(id=number, name=photo, tags=tags, load=load))
        checks.tell()
        return Tagged(name=f"voc2012-{wanted}", classes=VOC_NAMES, images=images)

    def _tags(self, name: str) -> set[int]:
        if self._xml(name).is_file():
            return {one.label for one in _boxes(self._xml(name))}
        sbd = self._sbd
        if sbd is not None and sbd.has(name):
            return sbd.tags(name)
        raise FileNotFoundError(
            f"expected the classes on photo {name}, there is no {self._xml(name)}"
            f"{'' if sbd is None else ', and SBD does not hold it'}"
        )

    def _size(self, name: str, *, masks: bool) -> Size | None:
        """Return the size of a photo's mask, where masks may be read, or in its XML."""
        mask = self._folder / _MASKS[0] / f"{name}.png"
        if masks:
            return stored_size(mask) if mask.is_file() else None
        if not self._xml(name).is_file():
            return None
        size = read_xml(self._xml(name)).find("size")
        sides = [] if size is None else [size.findtext(key) for key in _SIDES]
        whole = [int(side) for side in sides if side and side.strip().isdecimal()]
        return (whole[0], whole[1]) if len(whole) == 2 else None

    def _xml(self, name: str) -> Path:
        return self._folder / "Annotations" / f"{name}.xml"

    def _truths(self, names: Sequence[str]) -> LazyTruths:
        sbd = self._sbd
        rest = [name for name in names if sbd is None or not sbd.has(name)]
        for kind in _MASKS:
            check_files(self._folder / kind, [f"{name}.png" for name in rest], "masks")
        if rest:
            self._check_map()
        numbered, told = zip(names, _numbers(names), strict=True), list[str]()
        return LazyTruths([partial(self._truth, *one, told) for one in numbered])

    def _check_map(self) -> None:
        """Refuse a ``labelmap.txt``, as CVAT writes it, that numbers other classes."""
        path = self._folder / "labelmap.txt"
        if not path.is_file():
            return
        lines = path.read_text("utf-8", errors="replace").splitlines()
        names = [one.split(":")[0].strip() for one in lines if one[:1] not in ("#", "")]
        for i, (name, own) in enumerate(zip(names[1:], VOC_NAMES, strict=False), 1):
            if plain(name) != own:
                raise ValueError(
                    f"{path}: expected VOC's classes in VOC's order, got {name!r} as "
                    f"number {i}, which is {own!r} in VOC; number the pixels of "
                    "SegmentationClass as VOC does, and remove the file"
                )

    def _truth(self, name: str, image_id: int, told: list[str]) -> GroundTruth:
        objects, labels = self._objects(name)
        boxes = _boxes(self._xml(name)) if self._xml(name).is_file() else []
        if boxes and not labels:
            raise ValueError(
                f"{self._xml(name)} lists {len(boxes)} objects, the mask of {name} has "
                "none; objects are numbered from 1 in SegmentationObject, 0 and 255 "
                "are none; mend it, or take the photo out of the list"
            )
        if (self._folder / _MASKS[0] / f"{name}.png").is_file():
            self._compare(name, boxes, Counter(labels.values()), told)
        hard = [box for box in boxes if box.difficult and self.difficult == "ignore"]
        found: list[tuple[int, Rle, bool, None]] = []
        for i, label in labels.items():
            mask = objects == i
            own = [box for box in hard if box.label == label]
            ignore = any(_iou(box, mask) > 0.5 for box in own)
            encoded = rle.encode(np.asfortranarray(mask, dtype=np.uint8))
            found.append((label, encoded, ignore, None))
        height, width = objects.shape
        return of_objects(image_id, (height, width), found)

    def _compare(
        self,
        name: str,
        boxes: Sequence["_Box"],
        masked: Counter[int],
        told: list[str],
    ) -> None:
        """Refuse masks that share no class with the XML; warn once of other numbers.

        Objects that are difficult may have no mask. ``told`` has the photos that were
        warned of.
        """
        listed = Counter(one.label for one in boxes)
        sure = Counter(one.label for one in boxes if not one.difficult)
        wrong = sorted(
            i
            for i in listed.keys() | masked.keys()
            if not sure[i] <= masked[i] <= listed[i]
        )
        if not boxes or not wrong:
            return
        shown = few(
            [f"{VOC_NAMES[i - 1]} ({listed[i]} and {masked[i]})" for i in wrong]
        )
        text = f"{self._xml(name)} lists other objects than the masks of {name} show: "
        if masked and not listed.keys() & masked.keys():
            raise ValueError(
                f"{text}{shown}; no class agrees: are the pixels of SegmentationClass "
                "numbered as VOC's classes are?"
            )
        if not told:
            warn(
                f"{text}{shown}; the masks count; further photos of this kind are not "
                "named"
            )
        told.append(name)

    def _objects(self, name: str) -> tuple[UInt8[np.ndarray, "H W"], dict[int, int]]:
        """Return each pixel's object (0 or 255: none) and each object's label."""
        path, other = (self._folder / kind / f"{name}.png" for kind in _MASKS)
        sbd = self._sbd
        if not path.is_file() and sbd is not None:
            return sbd.objects(name)
        objects, classes = _indices(path), _indices(other)
        if objects.shape != classes.shape:
            raise ValueError(
                f"{path}: expected the size of SegmentationClass, {classes.shape}, got "
                f"{objects.shape}"
            )
        label = {}
        for i in sorted(set(np.unique(objects).tolist()) - {0, _VOID}):
            counts = np.bincount(classes[objects == i], minlength=_VOID + 1)
            counts[[0, _VOID]] = 0
            label[i] = int(counts.argmax())
            if not 1 <= label[i] <= len(VOC_NAMES):
                raise ValueError(
                    f"{path}: expected a class from 1 to 20 for object {i}"
                )
        return objects, label


class _Box(NamedTuple):
    """An object of an annotation; a missing or broken box is None."""

    label: int
    difficult: bool
    xyxy: list[float] | None


def _boxes(path: Path) -> list[_Box]:
    found = []
    for entry in read_xml(path).findall("object"):
        name = (entry.findtext("name") or "").strip()
        if name not in VOC_NAMES:
            raise ValueError(
                f"{path}: expected a class of VOC, got {name!r}{_near(name)}; they "
                f"are: {', '.join(VOC_NAMES)}"
            )
        if has_score(entry):
            raise ValueError(
                f"{path}: expected objects, got one with a score; {PREDICTED}"
            )
        hard = (entry.findtext("difficult") or "0").strip()
        if hard not in ("0", "1"):
            raise ValueError(f"{path}: expected 0 or 1 as difficult, got {hard!r}")
        found.append(_Box(VOC_NAMES.index(name) + 1, hard == "1", _xyxy(entry)))
    return found


def _near(name: str) -> str:
    """Return the names of VOC that may be meant, also by a name of COCO's."""
    known = {plain(one): one for one in VOC_NAMES}
    known |= dict(zip(VOC_CLASSES, VOC_NAMES, strict=True))
    close = [known[one] for one in get_close_matches(plain(name), known)]
    meant = [repr(one) for one in dict.fromkeys(close)]
    return f" (did you mean {' or '.join(meant)}?)" if meant else ""


def _xyxy(entry: ElementTree.Element) -> list[float] | None:
    try:
        # VOC counts pixels from 1 and includes the last one.
        left, top, right, bottom = (
            float(entry.findtext(f"bndbox/{key}") or "") - first
            for key, first in (("xmin", 1), ("ymin", 1), ("xmax", 0), ("ymax", 0))
        )
    except ValueError:
        return None
    return [left, top, right, bottom] if left < right and top < bottom else None


def _iou(box: _Box, mask: Bool[np.ndarray, "H W"]) -> float:
    """Return the IoU of a box and a mask's own box."""
    if box.xyxy is None:
        return 0.0
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    own = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    both = torch.tensor([box.xyxy, own], dtype=torch.float32)
    return float(box_overlaps(both).iou[0, 1])


def _indices(path: Path) -> UInt8[np.ndarray, "H W"]:
    try:
        with opened(path) as picture:
            if picture.mode not in ("P", "L"):
                raise ValueError(f"got {picture.mode}")
            numbers = np.array(picture, np.uint8)
            _check_colours(numbers, picture.getpalette())
            return numbers
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{path}: expected a PNG of numbers: {error}") from None


def _check_colours(
    numbers: UInt8[np.ndarray, "H W"], palette: Sequence[int] | None
) -> None:
    """Refuse pixels in a colour that is another number's in VOC: numbered anew."""
    known = {voc_colour(i): i for i in (*range(1, len(VOC_NAMES) + 1), _VOID)}
    for i in np.unique(numbers).tolist():
        red, green, blue = (palette or ())[3 * i : 3 * i + 3] or (0, 0, 0)
        if known.get((red, green, blue), i) != i:
            raise ValueError(
                f"pixels of number {i} have the colour of {known[red, green, blue]} in "
                "VOC; save it with VOC's palette and its order"
            )


def _numbers(names: Sequence[str]) -> list[int]:
    """Return 2007000032 for photo 2007_000032; 1, 2, … if some name is no number."""
    plain = [name.replace("_", "") for name in names]
    numbers = [int(one) for one in plain if one.isascii() and one.isdigit()]
    if len(set(numbers)) == len(names):
        return numbers
    return list(range(1, len(names) + 1))


def _download(root: Path) -> None:
    """Let torchvision fetch the data sets that are not there."""
    from torchvision import datasets

    try:
        if not (root / "VOCdevkit" / "VOC2012" / "JPEGImages").is_dir():
            datasets.VOCSegmentation(
                str(root), year="2012", image_set="train", download=True
            )
        if not (root / "SBD" / "inst").is_dir():
            # torchvision moves it there and insists on making the folder.
            datasets.SBDataset(str(root / "SBD"), image_set="train", download=True)
    except (OSError, RuntimeError) as error:
        raise FileNotFoundError(
            f"could not download VOC into {root}: {error}"
        ) from None


@dataclass(frozen=True, slots=True)
class SBD:
    """The folder ``benchmark_RELEASE/dataset`` with classes and objects of VOC photos.

    Hariharan et al., "Semantic Contours from Inverse Detectors", ICCV 2011.
    """

    folder: Path

    @classmethod
    def find(cls, *roots: Path) -> "SBD | None":
        """Return the one in some folders, where archives usually put it."""
        inside = ("", "SBD", "sbd", "benchmark_RELEASE/dataset", "dataset")
        for folder in (root / name for root in roots for name in inside):
            if (folder / "inst").is_dir() and (folder / "cls").is_dir():
                return cls(folder)
        return None

    def names(self) -> list[str]:
        """Return the photos of both of its halves."""
        found: list[str] = []
        for path in (self.folder / "train.txt", self.folder / "val.txt"):
            if not path.is_file():
                raise FileNotFoundError(
                    f"expected the photos of SBD, there is no {path}"
                )
            found += path.read_text().split()
        return found

    def has(self, name: str) -> bool:
        """Return whether it annotates this photo."""
        return (self.folder / "cls" / f"{name}.mat").is_file()

    def tags(self, name: str) -> set[int]:
        """Return labels 1…20 of the classes on a photo; their places are not read."""
        path = self.folder / "cls" / f"{name}.mat"
        entry = _struct(path, "GTcls")
        key = "CategoriesPresent" if "CategoriesPresent" in entry else "Segmentation"
        found = np.unique(_bytes(path, entry, key))
        return {int(c) for c in found if 1 <= c <= len(VOC_NAMES)}

    def objects(self, name: str) -> tuple[UInt8[np.ndarray, "H W"], dict[int, int]]:
        """Return each pixel's object (0 is none), and each object's label."""
        path = self.folder / "inst" / f"{name}.mat"
        entry = _struct(path, "GTinst")
        regions = _bytes(path, entry, "Segmentation")
        classes = _bytes(path, entry, "Categories").ravel()
        found = {i: int(c) for i, c in enumerate(classes, 1) if (regions == i).any()}
        if regions.ndim != 2:
            raise ValueError(f"{path}: expected Segmentation of (H, W)")
        wrong = set(found.values()) - set(range(1, len(VOC_NAMES) + 1))
        if wrong or set(np.unique(regions)) - {0, 255} - set(found):
            raise ValueError(f"{path}: expected a class from 1 to 20 for every object")
        return regions, found


def _struct(path: Path, name: str) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"expected annotations of SBD, there is no {path}")
    found = read_mat(path).get(name)
    if not isinstance(found, dict):
        raise ValueError(f"{path}: expected a structure {name}")
    return found


def _bytes(path: Path, entry: dict[str, Any], key: str) -> UInt8[np.ndarray, "..."]:
    """Return numbers of 0…255 from a structure."""
    values = np.asarray(entry.get(key))
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{path}: expected numbers as {key}")
    with np.errstate(invalid="ignore"):
        found = values.astype(np.uint8)
    if not np.array_equal(found, values):
        raise ValueError(f"{path}: expected whole numbers of 0…255 as {key}")
    return found
