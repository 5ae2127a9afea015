"""A folder of one's own photos, tagged by a CSV or by the subfolders they lie in."""

import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import category

import torch

from wsis._support.checks import few, proper, warn
from wsis._support.places import as_paths
from wsis._support.randomness import generator
from wsis.contracts import Tagged, TaggedImage
from wsis.data._listing import Listing, listing
from wsis.data._same import first_alike
from wsis.data._tables import PHOTO, TAG, header, read_rows
from wsis.data._tags import (
    BACKGROUND,
    classes_of,
    clean,
    counted,
    is_background,
    seems_counted,
    tallied,
)
from wsis.data.images import Reading, check_files, check_folder, no_photos, readings
from wsis.data.names import plain

_Photo = tuple[str, dict[str, int]]
"""The path from the root, and the tags with their counts; 0 where nobody counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderData:
    """Photos of one's own with tags: a CSV ``file,tags``, or one subfolder per tag.

    The CSV's ``file`` (or ``filename``, ``image``, …) is a path from ``root``; ``tags``
    (or ``label``, ``class``, …) are separated by ``;``, or by ``,`` between quotes. A
    photo may have no tags: training then leaves it out. A subfolder's photos lie in it
    at any depth. There are no masks: photos held back are there to look at the
    predictions.

    Photos that show none of the classes have the tag, or lie in the folder,
    ``background``, which is no class: they teach how photos without an object look.

    A tag of the CSV may say how many objects there are: ``dog:2``. Cues and miners then
    look for so many.

    A photo that occurs several times is one photo with all its tags. Compared are
    the file (links), then the bytes of files of one length, then the pixels, as they
    are shown, of photos of one width and height.

    Args:
        root: the folder.
        tags: the CSV; ``tags.csv`` in ``root`` if that is there.
        held_out: share of the photos that training does not see, in [0, 1).
        seed: each seed holds other photos back.
        counts: whether a colon and a number at the end of a tag are its count, True, or
            part of its name, False. None takes them as a count, with a warning.
        single: whether a photo has one object of each of its tags.

    Raises:
        FileNotFoundError: if there is no such folder or CSV.
        ValueError: if ``held_out`` is out of range.
    """

    root: str | Path
    tags: str | Path | None = None
    held_out: float = 0.0
    seed: int = 0
    counts: bool | None = None
    single: bool = False

    def __post_init__(self) -> None:
        as_paths(self, "root", "tags")
        check_folder(Path(self.root))
        proper("held_out", self.held_out)
        if self.tags is not None and not Path(self.tags).is_file():
            raise FileNotFoundError(f"expected a CSV of tags, there is no {self.tags}")

    def train(self) -> Tagged:
        """Return the training photos and their tags; classes in alphabetical order.

        Warns of photos in ``root`` that are left out, of those that occur several
        times, of tags that look like something else, and of counts.

        Raises:
            FileNotFoundError: if photos that the CSV lists are missing.
            ValueError: if the CSV is not one, nothing is tagged, all is held out, or
                counts contradict each other or ``single``.
        """
        root = Path(self.root)
        tables = [one for one in root.iterdir() if one.suffix.lower() == ".csv"]
        path = Path(self.tags) if self.tags else table_in(root)
        if path is None:
            photos = _subfolders(root)
        else:
            photos = _read(path, root, lambda tag: self.counts is False)
        if path is None and tables:
            warn(
                f"{root} has tables that are not read: "
                f"{few([one.name for one in tables])}; to read one, call it tags.csv, "
                "or give --data folder:tags=FILE"
            )
        classes = classes_of(photos, root)
        loads = readings(root, [(name, None) for name, _ in photos], True)
        photos, loads = _once(photos, loads)
        photos = _apart(photos, root)
        self._check_counts(photos)
        draw = generator(self.seed, "held out")
        order = torch.randperm(len(photos), generator=draw).tolist()
        images = []
        for i in sorted(order[round(self.held_out * len(photos)) :]):
            name, tags = photos[i]
            present = torch.tensor([one in tags for one in classes])
            none = any(map(is_background, tags))
            count = torch.tensor([tags.get(one, 0) for one in classes])
            if self.single:
                count = present.long()
            images.append(
                TaggedImage(
                    id=i + 1,
                    name=name,
                    tags=present,
                    load=loads[i],
                    counts=count if count.any() else None,
                    background=none,
                )
            )
        if not images:
            raise ValueError(
                f"held_out={self.held_out:g} leaves none of {len(photos)} photos to "
                "train on"
            )
        return Tagged(name=root.resolve().name, classes=classes, images=images)

    def val(self) -> None:
        """Return None: there are no masks."""

    def _check_counts(self, photos: Sequence[_Photo]) -> None:
        """Tell that numbers are read as counts; refuse those that ``single`` denies."""
        counts = {
            f"{tag}:{count} ({name})": count
            for name, tags in photos
            for tag, count in tags.items()
            if count
        }
        several = [text for text, count in counts.items() if count > 1]
        if self.single and several:
            raise ValueError(
                f"single says that photos have one object of each tag, {self.root} "
                f"counts more ({len(several)}): {few(several)}; leave one of them out"
            )
        if counts and self.counts is None:
            warn(
                f"{self.root}: numbers behind a tag's colon are read as counts of "
                f"objects ({len(counts)}): {few([*counts])}; --data folder:counts=true "
                "says so, counts=false makes them part of the name"
            )


def table_in(folder: Path) -> Path | None:
    """Return the ``tags.csv`` of a folder, however it is spelled.

    Raises:
        ValueError: if there are several.
    """
    own = [one for one in folder.iterdir() if one.name.casefold() == "tags.csv"]
    if len(own) > 1:
        raise ValueError(
            f"expected one tags.csv in {folder}, got "
            f"{few(sorted(one.name for one in own))}; give the one to read with "
            "--data folder:tags=FILE"
        )
    return own[0] if own else None


def read_tags(
    path: Path, is_name: Callable[[str], bool] = lambda tag: False
) -> dict[str, dict[str, int]]:
    """Return the tags of each photo that a CSV lists, in its order, with their counts.

    Args:
        path: of the CSV.
        is_name: tells of a tag whether it is a name as it is, with any count in it.

    Raises:
        ValueError: if it is no such CSV; names the line.
    """
    hint = '; separate tags by ; or write them in quotes: photo.jpg,"dog, sofa"'
    found: dict[str, dict[str, int]] = {}
    there = [one.casefold() for one in header(path)]
    # Of several names, or none, the message speaks of ours.
    file, tag = (
        own[0] if len(own := [one for one in names if one in there]) == 1 else names[0]
        for names in (PHOTO, TAG)
    )
    for where, row in read_rows(path, (file, tag), hint=hint):
        if not row[file]:
            raise ValueError(f"{where}: expected {file},{tag}{hint}")
        name, tags = posixpath.normpath(row[file]), row[tag]
        if name in found:
            raise ValueError(
                f"{where}: {name} is listed twice; write all its tags in one line"
            )
        if any(category(sign) in ("Cc", "Zl", "Zp") for sign in tags):
            raise ValueError(
                f"{where}: expected tags in one line, got {tags!r}; is a quote not "
                "closed?"
            )
        if re.fullmatch(r"[\[({].*[\])}]", tags):
            raise ValueError(
                f"{where}: expected tags without brackets, got {tags}{hint}"
            )
        parts = [clean(part, where) for part in re.split("[;,]", tags)]
        found[name] = tallied(
            [(one, 0) if is_name(one) else counted(one, where) for one in parts if one],
            where,
        )
    return found


def _read(path: Path, root: Path, is_name: Callable[[str], bool]) -> list[_Photo]:
    """Return the photos of a CSV in its order; warn of others in ``root``."""
    found = read_tags(path, is_name)
    names = check_files(root, list(found), f"photos of {path}")
    there = listing(root)
    used = {(root / name).resolve() for name in names}
    rest = [one for one in there.photos if one.resolve() not in used]
    if rest:
        warn(
            f"{root}: photos that {path} does not list are left out ({len(rest)}): "
            f"{few_in(root, rest)}"
        )
    _tell(there, root)
    return list(zip(names, found.values(), strict=True))


def _subfolders(root: Path) -> list[_Photo]:
    """Return photos and their tag, the folder that they lie in; warn of others."""
    top = listing(root, deep=False)
    if not top.folders and top.photos:
        raise ValueError(
            f"expected tags.csv (file,tags) or one subfolder per tag in {root}, found "
            f"photos without tags ({len(top.photos)}); wsis start reads these tags, "
            "too: COCO, PASCAL VOC, YOLO, Label Studio, and tables with a line an "
            "object or a column a class"
        )
    loose, found = list(top.photos), list[_Photo]()
    inner, empty = list[Path](), list[Path]()
    folders = sorted(top.folders)
    again = _repeated(folders)
    if again and all(_VERSION.fullmatch(plain(one.name)) for one in folders):
        warn(
            f"{root}: tags are the folders within {few([x.name for x in folders])}, as "
            f"several of these hold the same ({len(again)}): {few(again)}; if they are "
            "none, list the photos in tags.csv (file,tags)"
        )
        versions = [listing(one, deep=False) for one in folders]
        folders = sorted(one for some in versions for one in some.folders)
        again = []
        for some in versions:
            loose += some.photos
            top.add(some)
    for folder in folders:
        inside, tag = listing(folder), clean(folder.name, str(folder))
        if inside.photos and not tag:
            raise ValueError(
                f"expected a tag as the name of {str(folder)!r}, got invisible signs "
                f"({' '.join(f'U+{ord(sign):04X}' for sign in folder.name)}); rename it"
            )
        found += [(one.relative_to(root).as_posix(), {tag: 0}) for one in inside.photos]
        inner += [one for one in inside.photos if one.parent != folder]
        empty += [] if inside.photos else [folder]
        top.add(inside)
    if not (found or loose):
        raise ValueError(no_photos(root, top))
    halves = [one.name for one in folders if plain(one.name) in HALVES | _PARTS]
    if found and len(inner) == len(found) and len(halves) == len(folders):
        raise ValueError(
            f"expected one subfolder per tag in {root}, got {few(halves)} with folders "
            f"inside; is {root / halves[0]} the root?"
        )
    check_tags(root, [one.name for one in folders if one not in empty])
    numbered = [one for one in folders if seems_counted(one.name)]
    hint = f", though several hold the same ({few(again)})" if again else ""
    if len(folders) == 1:
        hint = f"; is {folders[0]} the root?"
    for paths, what in (
        (numbered, "numbers at the end of subfolders' names are part of the tag"),
        (loose, "photos in no tag's subfolder are left out"),
        (empty, "subfolders without a photo are left out"),
        (inner, f"photos in deeper folders have the tag of the outermost{hint}"),
        (
            _masks(top.photos, folders),
            "pictures that are named like masks count as photos",
        ),
    ):
        if paths:
            warn(f"{root}: {what} ({len(paths)}): {few_in(root, paths)}")
    _tell(top, root)
    return found


def _apart(photos: Sequence[_Photo], root: Path) -> list[_Photo]:
    """Return photos that are background or have other tags; warn of those with both."""
    both = [x for x, tags in photos if 0 < sum(map(is_background, tags)) < len(tags)]
    if both:
        warn(
            f"{root}: photos with tags beside {BACKGROUND}, which means none of them, "
            f"have the others ({len(both)}): {few(both)}"
        )
    return [
        (
            name,
            {one: n for one, n in tags.items() if not is_background(one)}
            or dict.fromkeys(tags, 0),
        )
        for name, tags in photos
    ]


def _repeated(folders: Sequence[Path]) -> list[str]:
    """Return the names of folders that lie in several of some folders."""
    inside = [one for x in folders for one in listing(x, deep=False).folders]
    count = Counter(plain(one.name) for one in inside if listing(one).photos)
    return sorted({one.name for one in inside if count[plain(one.name)] > 1})


def _masks(photos: Sequence[Path], tagged: Sequence[Path]) -> list[Path]:
    """Return the pictures that seem to be masks, by their folder or another's name.

    Args:
        photos: all pictures.
        tagged: the folders that are tags, and may be called anything.
    """
    stems = {one.with_suffix("") for one in photos}

    def is_mask(one: Path) -> bool:
        found = _MASK.fullmatch(one.stem)
        whole = found is not None and one.with_name(found[1]) in stems
        deeper = one.parent not in tagged
        return whole or (deeper and plain(one.parent.name).removesuffix("s") == "mask")

    return [one for one in photos if is_mask(one)]


_MASK = re.compile(
    r"(.*?)[ _.-]+(mask|seg|segmentation|label|annotation|gt)s?[ _.-]?\d*",
    re.IGNORECASE,
)
"""The stem of a mask of another photo."""


def check_tags(root: Path, names: Sequence[str]) -> None:
    """Refuse subfolders as tags if all are named like parts of a data set.

    Warns if some are; a train may well be seen beside other things.

    Raises:
        ValueError: if all are.
    """
    parts = [one for one in names if plain(one) in HALVES | _PARTS]
    if parts and len(parts) == len(names):
        raise ValueError(
            f"expected one subfolder per tag in {root}, got {few(parts)}: names of "
            "parts of a data set; move the photos into a folder for each tag, or list "
            "them in tags.csv (file,tags)"
        )
    if strange := [one for one in parts if plain(one) != "train"]:
        warn(
            f"{root}: subfolders that are named like a part of a data set are tags "
            f"({len(strange)}): {few(strange)}; if they are none, move them out of the "
            "folder; if they are, list the photos in tags.csv (file,tags)"
        )


HALVES = {"train", "training", "val", "valid", "validation", "test", "testing"}

_PARTS = {
    *("train2014", "train2017", "val2014", "val2017", "test2017", "dev", "holdout"),
    *("unlabeled", "unlabelled", "image", "images", "img", "imgs", "jpegimages"),
    *("photo", "photos", "pictures", "mask", "masks", "label", "labels", "labeled"),
    *("labelled", "annotation", "annotations", "ground truth", "groundtruth", "gt"),
    *("segmentation", "segmentations", "segmentationclass", "segmentationobject"),
    *("data", "dataset", "raw", "input", "inputs", "target", "targets", "output"),
}
"""What else folders of a data set are called, and hardly ever a class."""

_VERSION = re.compile(
    r"((batch|camera|cam|day|month|part|round|run|session|set|version|visit|week|year|v)"
    r"? ?\d+( \d+)*)|originals?|augment(ed|ation|ations)|aug|cropped|resized|flipped|"
    r"rotated|synthetic|real|raw|old|new|clean|noisy|extra|more"
)
"""What folders that hold a folder for each tag are called, and hardly ever a tag."""


def _tell(found: Listing, root: Path) -> None:
    for text in found.reasons([root]):
        warn(text)


def few_in(root: Path, paths: Iterable[Path]) -> str:
    """Return the first three of many paths, from a folder that they lie in."""
    return few([path.relative_to(root).as_posix() for path in paths])


def _once(
    photos: Sequence[_Photo], loads: Sequence[Reading]
) -> tuple[list[_Photo], list[Reading]]:
    """Return every photo once, with all its tags; warn of those that occur again."""
    first = first_alike(loads)
    tags: dict[int, dict[str, int]] = {}
    for i, (name, own) in zip(first, photos, strict=True):
        both = [*tags.get(i, {}).items(), *own.items()]
        tags[i] = tallied(both, f"{name}, which is {photos[i][0]}")
    again = [f"{photos[i][0]} is {photos[k][0]}" for i, k in enumerate(first) if k < i]
    if again:
        warn(
            "photos that occur several times are used once, with all their tags "
            f"({len(again)}): {few(again)}"
        )
    return [(photos[i][0], own) for i, own in tags.items()], [loads[i] for i in tags]
