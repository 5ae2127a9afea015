"""Match photos with the proposals that others made of them."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from unicodedata import normalize

from wsis._support.checks import few, warn
from wsis.contracts import Image, Ledger, Proposals
from wsis.data.images import SUFFIXES, tell_changed
from wsis.proposals.importers._found import Found
from wsis.proposals.making import Job, Photo


def reading(
    pairs: Sequence[tuple[Photo, Found]], source: str, ledger: Ledger
) -> list[Job]:
    """Return the jobs that read the proposals of photos.

    Args:
        pairs: the photos, each with its proposals.
        source: the format that they come from.
        ledger: the labels consumed in making them.
    """
    return [
        Job(photo, partial(_read, one.read, source, ledger), timed=False)
        for photo, one in pairs
    ]


def matched(
    found: Sequence[Found], photos: Sequence[Photo]
) -> list[tuple[Photo, Found]]:
    """Match by file name, else by name without suffix, else by number.

    A photo's number is that of its data set, or else the digits its name ends in, so
    that ``COCO_val2014_000000000042.jpg`` is 42. Proposals that are known by nothing
    but a number are matched by nothing else. Warns of what is left out, and of matches
    that rest on an assumption: by digits, by a name of another suffix, or by a name
    that is another photo's number; and of photos whose files have changed since.

    Returns:
        The photos that have proposals, in order, each with these.

    Raises:
        ValueError: if none matches, or one matches several.
    """
    known: dict[tuple[str, str], list[Photo]] = defaultdict(list)
    for photo in photos:
        for name in _names(photo):
            known[name].append(photo)
    pairs: dict[str, tuple[Photo, Found]] = {}
    alone = []
    notes: dict[str, list[str]] = defaultdict(list)
    for one in found:
        how, candidates = next(
            (
                (how, known[how, name])
                for how, name in _wanted(one)
                if (how, name) in known
            ),
            ("", []),
        )
        if len(candidates) > 1:
            raise ValueError(
                f"proposals of {one.photo!r} match several photos: "
                f"{few([photo.name for photo in candidates])}; give --train or --val a "
                "file whose numbers tell them apart, or let the names do so"
            )
        if not candidates:
            alone.append(one.photo)
            continue
        [photo] = candidates
        other = pairs.setdefault(photo.name, (photo, one))[1]
        if other is not one:
            raise ValueError(
                f"proposals of {other.photo!r} and of {one.photo!r} both match "
                f"{photo.name}"
            )
        if how == "digits":
            notes[_BY_DIGITS].append(photo.name)
        elif how == "stem" and _suffix(one.photo):
            notes[_BY_STEM].append(one.photo)
        for numbered in known.get(("number", one.photo), []) if how != "number" else []:
            if numbered is not photo:
                notes[_BY_NAME].append(f"{one.photo} is {photo.name}")
    if not pairs:
        raise ValueError(
            f"expected proposals of the {len(photos)} photos "
            f"({few([photo.name for photo in photos])}); those found are of "
            f"{few(alone) or 'none'}"
        )
    left = [photo.name for photo in photos if photo.name not in pairs]
    for text, names in notes.items():
        warn(f"{len(names)} photos {text} ({few(names)})")
    for names, what in (
        (left, "photos without proposals"),
        (alone, "proposals without a photo"),
    ):
        if names:
            warn(f"left out: {len(names)} {what} ({few(names)})")
    both = [pairs[photo.name] for photo in photos if photo.name in pairs]
    tell_changed(
        [(photo.name, photo.load, one.sha256) for photo, one in both],
        "the file of proposals",
    )
    return both


_BY_DIGITS = (
    "are matched by the digits of their names; --train or --val gives their numbers"
)
_BY_STEM = "are matched by names of another suffix"
_BY_NAME = (
    "are matched by their names, though --train or --val gives these numbers to others"
)


def _read(
    read: Callable[[tuple[int, int]], Proposals],
    source: str,
    ledger: Ledger,
    image: Image,
) -> Proposals:
    height, width = image.shape[:2]
    return replace(read((height, width)), source=source, ledger=ledger)


def _names(photo: Photo) -> set[tuple[str, str]]:
    """Return what a photo is known by: each way, and its name in that way."""
    path = Path(_spelled(photo.name))
    names = {("path", str(path)), ("file", path.name), ("stem", path.stem)}
    if photo.number is not None:
        return names | {("number", str(photo.number))}
    digits = re.search(r"(\d+)$", path.stem)
    return names | {("digits", str(int(digits[1])))} if digits else names


def _wanted(one: Found) -> list[tuple[str, str]]:
    """Return the ways in which to look for a photo, the best first."""
    number = str(int(one.photo)) if one.photo.isdecimal() else one.photo
    numbers = [("number", number), ("digits", number)]
    if one.numbered:
        return numbers
    name = _spelled(one.photo)
    names = [("path", name), ("file", Path(name).name), ("stem", name)]
    if _suffix(name):
        names.append(("stem", Path(name).stem))
    return names + numbers


def _spelled(name: str) -> str:
    """Return a name in one Unicode form, with the folders as POSIX has them."""
    return normalize("NFC", name).replace("\\", "/")


def _suffix(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES
