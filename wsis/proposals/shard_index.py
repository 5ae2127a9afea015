"""What a store of proposals tells of itself: its description and its index."""

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from wsis.contracts import Ledger, Supervision

STAMP, INDEX, SHARDS = "store.json", "index.jsonl", "shards"
FORMAT = "wsis proposals 1"


class StoreError(ValueError):
    """A store is missing, damaged, or has other proposals than asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What all proposals of a store have in common.

    Args:
        source: the part or the format that they come from.
        settings: what they depend on besides the photo; JSON-like.
        ledger: the labels consumed in making them.
    """

    source: str
    settings: Mapping[str, Any]
    ledger: Ledger = frozenset()

    def described(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        values = {
            "format": FORMAT,
            "source": self.source,
            "settings": dict(self.settings),
            "supervision": sorted(self.ledger),
        }
        plain: dict[str, Any] = json.loads(json.dumps(values, default=str))
        return plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the index tells of one photo's proposals.

    Args:
        key: ``digest`` of the photo's pixels.
        photo: its file name.
        size: (H, W) in pixels.
        proposals: how many.
        seconds: that making them took; None where they were imported.
        shard: the file that holds them.
    """

    key: str
    photo: str
    size: tuple[int, int]
    proposals: int
    seconds: float | None
    shard: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One line of the index.

    Args:
        name: of the file.
        length: of the file, in bytes.
        sha256: its checksum.
        entries: of the photos in it.
    """

    name: str
    length: int
    sha256: str
    entries: tuple[Entry, ...]

    @classmethod
    def parsed(cls, line: bytes) -> "Shard | None":
        """The line as ``line`` writes it; None if it is not whole."""
        try:
            values = json.loads(line)
            name = str(values["shard"])
            return cls(
                name=name,
                length=int(values["bytes"]),
                sha256=str(values["sha256"]),
                entries=_entries(values["photos"], name),
            )
        except (ValueError, KeyError, TypeError):
            return None

    @classmethod
    def of(cls, path: Path) -> "Shard | None":
        """What a shard tells of itself; None if it is not as it was written."""
        try:
            sha256 = checksum(path)
            with safe_open(path, framework="numpy") as file:
                photos = json.loads((file.metadata() or {})["photos"])
        except (SafetensorError, ValueError, KeyError):
            return None
        if path.name != shard_name(sha256):
            return None
        return cls(
            name=path.name,
            length=path.stat().st_size,
            sha256=sha256,
            entries=_entries(photos, path.name),
        )

    def line(self) -> bytes:
        """The line of the index, with its end."""
        values = {"shard": self.name, "bytes": self.length, "sha256": self.sha256}
        photos = photos_json(self.entries)
        return (json.dumps(values)[:-1] + f', "photos": {photos}}}\n').encode()


def photos_json(entries: tuple[Entry, ...]) -> str:
    """The list of photos as index and shard have it."""
    return json.dumps(
        [
            {
                "key": one.key,
                "photo": one.photo,
                "height": one.size[0],
                "width": one.size[1],
                "proposals": one.proposals,
                "seconds": one.seconds,
            }
            for one in entries
        ]
    )


def lines(folder: Path) -> Iterator[bytes]:
    """The lines of a store's index, as they are."""
    index = folder / INDEX
    if index.exists():
        with index.open("rb") as file:
            yield from file


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def shard_name(sha256: str) -> str:
    """Named by their content, shards of two writers never meet."""
    return f"{sha256[:16]}.safetensors"


def new_stamp(about: About) -> dict[str, Any]:
    """The description of a new store, with a name that no other store has."""
    return {**about.described(), "token": secrets.token_hex(8)}


def read_stamp(folder: Path) -> tuple[About, str]:
    """What a store's proposals have in common, and its token.

    Raises:
        StoreError: if there is no store, or its description cannot be read.
    """
    path = folder / STAMP
    if not path.exists():
        raise StoreError(
            f"expected a store of proposals, {folder} has no {STAMP}; "
            "wsis proposals make or import begins one"
        )
    try:
        content = json.loads(path.read_text())
        found, token = content["format"], str(content["token"])
        about = About(
            source=str(content["source"]),
            settings=dict(content["settings"]),
            ledger=frozenset(Supervision(label) for label in content["supervision"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} does not describe a store: {error}") from None
    if found != FORMAT:
        raise StoreError(f"{path}: expected the format {FORMAT!r}, got {found!r}")
    return about, token


def _entries(photos: Any, shard: str) -> tuple[Entry, ...]:
    return tuple(
        Entry(
            key=one["key"],
            photo=one["photo"],
            size=(one["height"], one["width"]),
            proposals=one["proposals"],
            seconds=one["seconds"],
            shard=shard,
        )
        for one in photos
    )
