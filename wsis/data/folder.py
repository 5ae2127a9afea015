"""A folder of one's own photos, tagged by a CSV or by the subfolders they lie in."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from wsis._support.checks import proper
from wsis._support.randomness import generator
from wsis.contracts import Tagged, TaggedImage
from wsis.data._tables import read_rows
from wsis.data.images import check_files, check_folder, images_in, read_image


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderData:
    """Photos of one's own with tags: a CSV ``file,tags``, or one subfolder per tag.

    The CSV's ``file`` is a path from ``root``; ``tags`` are separated by ``;``, or by
    ``,`` between quotes. A photo may have no tags: training then leaves it out. There
    are no masks: photos held back are there to look at the predictions.

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

        Raises:
            FileNotFoundError: if photos that the CSV lists are missing.
            ValueError: if the CSV is not one, nothing is tagged, or all is held out.
        """
        path = self.tags or self.root / "tags.csv"
        listed = _read(path, self.root) if path.is_file() else _subfolders(self.root)
        classes = _classes([tag for _, tags in listed for tag in tags], self.root)
        draw = generator(self.seed, "held out")
        order = torch.randperm(len(listed), generator=draw).tolist()
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

    def val(self) -> None:
        """Return None: there are no masks."""


def _read(path: Path, root: Path) -> list[tuple[str, list[str]]]:
    """Return name and tags of every photo, in the file's order."""
    hint = '; separate tags by ; or write them in quotes: photo.jpg,"dog, sofa"'
    found: dict[str, list[str]] = {}
    for where, row in read_rows(path, ("file", "tags"), hint=hint):
        if not row["file"]:
            raise ValueError(f"{where}: expected file,tags{hint}")
        name, tags = posixpath.normpath(row["file"]), row["tags"]
        if name in found:
            raise ValueError(f"{where}: {name} is listed twice")
        if not tags.isprintable():
            raise ValueError(
                f"{where}: expected tags in one line, got {tags!r}; is a quote not "
                "closed?"
            )
        parts = tags.replace(";", ",").split(",")
        found[name] = [part.strip() for part in parts if part.strip()]
    check_files(root, list(found), f"photos of {path}")
    return list(found.items())


def _subfolders(root: Path) -> list[tuple[str, list[str]]]:
    """Return photos and their tag, the folder that they lie in."""
    folders = sorted(
        one for one in root.iterdir() if one.is_dir() and not one.name.startswith(".")
    )
    if not folders:
        raise ValueError(
            f"expected tags.csv (file,tags) or one subfolder per tag in {root}, found "
            "neither"
        )
    return [
        (photo.relative_to(root).as_posix(), [folder.name.strip()])
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
