"""A folder of one's own photos, tagged by a CSV or by the subfolders they lie in."""

import hashlib
import os
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from unicodedata import category, normalize

import torch

from wsis._support.checks import few, proper, warn
from wsis._support.files import digest
from wsis._support.randomness import generator
from wsis.contracts import Tagged, TaggedImage
from wsis.data._tables import read_rows
from wsis.data.images import (
    Listing,
    Reading,
    check_files,
    check_folder,
    listing,
    read_image,
    readings,
)
from wsis.data.names import is_invisible, plain

_Photo = tuple[str, list[str]]
"""The path from the root, and the tags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderData:
    """Photos of one's own with tags: a CSV ``file,tags``, or one subfolder per tag.

    The CSV's ``file`` is a path from ``root``; ``tags`` are separated by ``;``, or by
    ``,`` between quotes. A photo may have no tags: training then leaves it out. A
    subfolder's photos lie in it at any depth. There are no masks: photos held back are
    there to look at the predictions.

    A photo that is there several times is one photo with all its tags. Compared are
    the file (links), then the bytes of files of one length, then the pixels, as they
    are shown, of photos of one width and height.

    Args:
        root: the folder.
        tags: the CSV; ``tags.csv`` in ``root`` if that is there.
        held_out: share of the photos that training does not see, in [0, 1).
        seed: each seed holds other photos back.

    Raises:
        FileNotFoundError: if there is no such folder or CSV.
        ValueError: if ``held_out`` is out of range.
    """

    root: Path
    tags: Path | None = None
    held_out: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_folder(self.root)
        proper("held_out", self.held_out)
        if self.tags is not None and not self.tags.is_file():
            raise FileNotFoundError(f"expected a CSV of tags, there is no {self.tags}")

    def train(self) -> Tagged:
        """Return the training photos and their tags; classes in alphabetical order.

        Warns of photos in ``root`` that are left out, of those that are there several
        times, and of tags that look like something else.

        Raises:
            FileNotFoundError: if photos that the CSV lists are missing.
            ValueError: if the CSV is not one, nothing is tagged, or all is held out.
        """
        tables = [one for one in self.root.iterdir() if one.suffix.lower() == ".csv"]
        own = [one for one in tables if one.name.casefold() == "tags.csv"]
        path = self.tags or (own[0] if own else None)
        photos = _subfolders(self.root) if path is None else _read(path, self.root)
        if path is None and tables:
            warn(
                f"{self.root} has tables that are not read: "
                f"{few([one.name for one in tables])}; to read one, call it tags.csv, "
                "or give --data folder:tags=FILE"
            )
        classes = _classes(photos, self.root)
        loads = readings(self.root, [(name, None) for name, _ in photos], True)
        photos, loads = _once(photos, loads)
        draw = generator(self.seed, "held out")
        order = torch.randperm(len(photos), generator=draw).tolist()
        images = []
        for i in sorted(order[round(self.held_out * len(photos)) :]):
            name, tags = photos[i]
            row = torch.tensor([one in tags for one in classes])
            images.append(TaggedImage(id=i + 1, name=name, tags=row, load=loads[i]))
        if not images:
            raise ValueError(
                f"held_out={self.held_out:g} leaves none of {len(photos)} photos to "
                "train on"
            )
        return Tagged(name=self.root.resolve().name, classes=classes, images=images)

    def val(self) -> None:
        """Return None: there are no masks."""


def _read(path: Path, root: Path) -> list[_Photo]:
    """Return the photos of a CSV in its order; warn of others in ``root``."""
    hint = '; separate tags by ; or write them in quotes: photo.jpg,"dog, sofa"'
    found: dict[str, list[str]] = {}
    for where, row in read_rows(path, ("file", "tags"), hint=hint):
        if not row["file"]:
            raise ValueError(f"{where}: expected file,tags{hint}")
        name, tags = posixpath.normpath(row["file"]), row["tags"]
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
        parts = [_clean(part, where) for part in re.split("[;,]", tags)]
        found[name] = [part for part in parts if part]
    names = check_files(root, list(found), f"photos of {path}")
    there = listing(root)
    used = {(root / name).resolve() for name in names}
    rest = [one for one in there.photos if one.resolve() not in used]
    if rest:
        warn(
            f"{root}: photos that {path} does not list are left out ({len(rest)}): "
            f"{_from(root, rest)}"
        )
    _tell(there, root)
    return list(zip(names, found.values(), strict=True))


def _subfolders(root: Path) -> list[_Photo]:
    """Return photos and their tag, the folder that they lie in; warn of others."""
    top = listing(root, deep=False)
    if not top.folders:
        raise ValueError(
            f"expected tags.csv (file,tags) or one subfolder per tag in {root}, found "
            "neither"
        )
    loose, found = list(top.photos), list[_Photo]()
    inner, empty = list[Path](), list[Path]()
    for folder in sorted(top.folders):
        inside, tag = listing(folder), _clean(folder.name, str(folder))
        found += [(one.relative_to(root).as_posix(), [tag]) for one in inside.photos]
        inner += [one for one in inside.photos if one.parent != folder]
        empty += [] if inside.photos else [folder]
        top.add(inside)
    halves = [one.name for one in top.folders if plain(one.name) in _HALVES]
    if found and len(inner) == len(found) and len(halves) == len(top.folders):
        raise ValueError(
            f"expected one subfolder per tag in {root}, got {few(halves)} with folders "
            f"inside; is {root / halves[0]} the root?"
        )
    for paths, what in (
        (loose, "photos in no tag's subfolder are left out"),
        (empty, "subfolders without a photo are left out"),
        (inner, "photos in deeper folders have the tag of the outermost"),
    ):
        if paths:
            warn(f"{root}: {what} ({len(paths)}): {_from(root, paths)}")
    _tell(top, root)
    return found


_HALVES = {"train", "training", "val", "valid", "validation", "test", "testing"}


def _tell(found: Listing, root: Path) -> None:
    for text in found.reasons([root]):
        warn(text)


def _from(root: Path, paths: Iterable[Path]) -> str:
    return few([path.relative_to(root).as_posix() for path in paths])


def _clean(text: str, where: str) -> str:
    """Return a tag in one Unicode form, without invisible signs that join nothing."""
    kept = "".join(
        sign for sign in normalize("NFC", text) if sign in _JOINERS or _shown(sign)
    )
    tag = re.sub(" +", " ", kept).strip().strip(_JOINERS)
    if len(tag) > 1 and tag[0] in _QUOTES and tag[-1] in _QUOTES:
        raise ValueError(
            f"{where}: expected tags without quotes, got {tag}; only a CSV's own "
            'quotes are taken off, as in photo.jpg,"dog, sofa"'
        )
    return tag


_JOINERS = "\u200c\u200d"
"""Persian and other languages, and emoji, are spelled with them."""

_QUOTES = "\"'`´‘’‚“”„«»‹›"


def _shown(sign: str) -> bool:
    return category(sign) != "Cf"


def _classes(photos: Sequence[_Photo], root: Path) -> tuple[str, ...]:
    """Return the classes in order; warn of tags that look like something else.

    Raises:
        ValueError: if there are none, or some are spelled in several ways.
    """
    first: dict[str, str] = {}
    for name, tags in photos:
        for tag in tags:
            first.setdefault(tag, name)
    if not first:
        raise ValueError(f"expected photos with tags in {root}, found none")
    spelled: dict[str, list[str]] = defaultdict(list)
    for tag in first:
        spelled[plain(tag)].append(tag)
    several = [tags for tags in spelled.values() if len(tags) > 1]
    if several:
        shown = [
            " and ".join(f"{tag!r}{_signs(tag, tags)}" for tag in tags)
            + f" ({few([first[tag] for tag in tags])})"
            for tags in several
        ]
        raise ValueError(
            f"expected one spelling of a tag, got {few(shown, '; ')} in {root}; case, "
            "spaces, - and _ make no other tag"
        )
    _doubt(first, spelled)
    return tuple(sorted(first))


def _signs(tag: str, tags: Sequence[str]) -> str:
    """Return the code points of uncommon signs, where two spellings look alike."""
    looks = {"".join(_look(sign) for sign in normalize("NFKC", one)) for one in tags}
    if len(looks) == len(tags):
        return ""
    odd = [sign for sign in tag if not (sign.isascii() and sign.isalnum())]
    return f" ({' '.join(f'U+{ord(sign):04X}' for sign in odd) or 'ASCII'})"


def _look(sign: str) -> str:
    return " " if sign.isspace() else "" if is_invisible(sign) else sign


def _doubt(first: dict[str, str], known: Iterable[str]) -> None:
    """Warn of tags that hold several tags, or say that there is none."""
    words = set(known)

    def several(tag: str) -> bool:
        parts = [plain(one) for one in re.split(r"[\s/&+]|\band\b", tag) if one]
        return bool(re.search("[|;,；，、]", tag)) or (
            len(parts) > 1 and words.issuperset(parts)
        )

    for doubtful, what in (
        (
            [tag for tag in first if several(tag)],
            "look like several; separate them by ; or mend them",
        ),
        (
            [tag for tag in first if plain(tag) in _NONE],
            "are read as classes; leave the cell empty where there is none",
        ),
        (
            [tag for tag in first if re.search(r"[\[\]{}\"]|^'|'$", tag)],
            "hold quotes or brackets, which count as part of the class's name",
        ),
    ):
        if doubtful:
            shown = [f"{tag} ({first[tag]})" for tag in doubtful]
            warn(f"tags that {what} ({len(doubtful)}): {few(shown)}")


_NONE = {"nan", "none", "null", "n/a", "na", "nil"}


def _once(
    photos: Sequence[_Photo], loads: Sequence[Reading]
) -> tuple[list[_Photo], list[Reading]]:
    """Return every photo once, with all its tags; warn of those there several times."""
    first = _first([load.path for load in loads], [load.size for load in loads])
    tags: dict[int, dict[str, None]] = {}
    for i, (_, own) in zip(first, photos, strict=True):
        tags.setdefault(i, {}).update(dict.fromkeys(own))
    again = [f"{photos[i][0]} is {photos[k][0]}" for i, k in enumerate(first) if k < i]
    if again:
        warn(
            "photos that are there several times are taken once, with all their tags "
            f"({len(again)}): {few(again)}"
        )
    return [(photos[i][0], list(own)) for i, own in tags.items()], [
        loads[i] for i in tags
    ]


def _first(paths: Sequence[Path], sizes: Sequence[tuple[int, int]]) -> list[int]:
    """Return the place of the first photo that is the same, its own if none is."""
    stats = [path.stat() for path in paths]
    first = list(range(len(paths)))

    def inode(i: int) -> Hashable:
        return stats[i].st_dev, stats[i].st_ino

    def length(i: int) -> Hashable:
        return stats[i].st_size

    def size(i: int) -> Hashable:
        return sizes[i]

    def content(i: int) -> Hashable:
        return _content(paths[i], stats[i].st_mtime_ns, stats[i].st_size)

    def pixels(i: int) -> Hashable:
        return _pixels(paths[i], stats[i].st_mtime_ns, stats[i].st_size)

    steps: list[tuple[Callable[[int], Hashable], Callable[[int], Hashable]]]
    steps = [(inode, inode), (length, content), (size, pixels)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for cheap, exact in steps:
            count = Counter(cheap(i) for i, k in enumerate(first) if i == k)
            some = [i for i, k in enumerate(first) if i == k and count[cheap(i)] > 1]
            seen: dict[Hashable, int] = {}
            for i, key in zip(some, pool.map(exact, some), strict=True):
                first[i] = seen.setdefault(key, i)
    for i, k in enumerate(first):
        first[i] = first[k]
    return first


@lru_cache(maxsize=2**18)
def _content(path: Path, *state: int) -> str:
    """Return a digest of a file's bytes; ``state`` tells whether it has changed."""
    del state
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=2**18)
def _pixels(path: Path, *state: int) -> str:
    """Return a digest of a photo's pixels; the path where it cannot be read."""
    del state
    try:
        return digest(read_image(path))
    except (ValueError, OSError):
        return str(path)  # whoever trains on it is told
