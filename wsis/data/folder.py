"""A folder of one's own photos, tagged by a CSV or by the subfolders they lie in."""

import csv
import io
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from wsis._support.checks import few, proper
from wsis._support.randomness import generator
from wsis.contracts import Annotated, Tagged, TaggedImage
from wsis.data.images import check_folder, images_in, read_image

LACKS = (
    "a folder of photos has tags and no masks, so that there is nothing to measure "
    "by: take wsis train and wsis predict, or give masks with --data coco"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderData:
    """Photos of one's own with tags: a CSV ``file,tags``, or one subfolder per tag.

    The CSV's ``file`` is a path from ``root``; ``tags`` are parted by ``;``, or by
    ``,`` between quotes. A photo may have no tags: training then leaves it out. There
    are no masks: photos held back are there to look at what is predicted.

    Args:
        root: the folder.
        tags: the CSV; ``tags.csv`` in ``root`` if that is there.
        held_out: share of the photos that training does not see, in [0, 1).
        seed: another one holds other photos back.

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

    @property
    def val_json(self) -> None:
        """There are no masks of the photos held back."""

    @property
    def lacks(self) -> str:
        """Why commands that measure cannot run."""
        return LACKS

    def train(self) -> Tagged:
        """The training photos and their tags; classes in alphabetical order.

        Raises:
            FileNotFoundError: if photos that the CSV lists are missing.
            ValueError: if the CSV is not one, nothing is tagged, or all is held out.
        """
        path = self.tags or self.root / "tags.csv"
        listed = _read(path, self.root) if path.is_file() else _subfolders(self.root)
        classes = _classes([tag for _, tags in listed for tag in tags], self.root)
        order = torch.randperm(
            len(listed), generator=generator(self.seed, "held out")
        ).tolist()
        images = []
        for i in sorted(order[round(self.held_out * len(listed)) :]):
            name, tags = listed[i]
            row = torch.tensor([one in tags for one in classes])
            load = partial(read_image, self.root / name)
            images.append(TaggedImage(id=i + 1, name=name, tags=row, load=load))
        if not images:
            raise ValueError(
                f"held_out={self.held_out:g} leaves none of {len(listed)} photos to "
                "train on"
            )
        return Tagged(name=self.root.resolve().name, classes=classes, images=images)

    def val(self) -> Annotated:
        """Raises ``ValueError``: there are no masks to measure by."""
        raise ValueError(LACKS)


def _read(path: Path, root: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Name and tags of every photo, in the file's order."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected a CSV in UTF-8: {error}") from None
    first = text.partition("\n")[0]
    # Spreadsheets write semicolons where the comma is the decimal sign.
    comma = "," if "," in first or ";" not in first else ";"
    rows = csv.DictReader(io.StringIO(text), delimiter=comma, strict=True)
    columns = [(name or "").strip().casefold() for name in rows.fieldnames or ()]
    if sorted(columns) != ["file", "tags"]:
        raise ValueError(
            f"{path}: expected the columns file,tags in the first line, got {first!r}"
        )
    rows.fieldnames = columns
    found: dict[str, tuple[str, ...]] = {}
    for row in _rows(rows, path):
        name, tags, line = row["file"], row["tags"], rows.line_num
        if not (name or "").strip() or tags is None or None in row:
            raise ValueError(
                f"{path}, line {line}: expected a file and its tags; several tags are "
                'parted by ; or stand between quotes: photo.jpg,"dog, sofa"'
            )
        name = posixpath.normpath(name.strip())
        if name in found:
            raise ValueError(f"{path}, line {line}: {name} is listed twice")
        if not tags.isprintable():
            raise ValueError(
                f"{path}, line {line}: expected tags in one line, got {tags!r}; is a "
                "quote not closed?"
            )
        parts = tags.replace(";", ",").split(",")
        found[name] = tuple(part.strip() for part in parts if part.strip())
    missing = [name for name in found if not (root / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(found)} photos of {path} are not in {root}: "
            f"{few(missing)}"
        )
    return list(found.items())


def _rows(rows: "csv.DictReader[str]", path: Path) -> Iterator[dict[str, Any]]:
    """The rows, with the file and the line where one is not CSV."""
    try:
        yield from rows
    except csv.Error as error:
        raise ValueError(
            f"{path}, after line {rows.line_num}: expected CSV: {error}; is a quote "
            "not closed?"
        ) from None


def _subfolders(root: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Photos by the folder they lie in, which is their tag."""
    folders = sorted(
        one for one in root.iterdir() if one.is_dir() and not one.name.startswith(".")
    )
    if not folders:
        raise ValueError(
            f"expected tags.csv (file,tags) or one subfolder per tag in {root}, found "
            "neither"
        )
    return [
        (photo.relative_to(root).as_posix(), (folder.name.strip(),))
        for folder in folders
        for photo in images_in([folder])
    ]


def _classes(tags: Sequence[str], root: Path) -> tuple[str, ...]:
    if not tags:
        raise ValueError(f"expected photos with tags in {root}, found none")
    spelled: dict[str, str] = {}
    for tag in tags:
        other = spelled.setdefault(tag.casefold(), tag)
        if other != tag:
            raise ValueError(
                f"expected one spelling of a tag, got {other!r} and {tag!r} in {root}"
            )
    return tuple(sorted(spelled.values()))
