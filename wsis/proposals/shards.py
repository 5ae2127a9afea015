"""Proposals of many photos on disk, read through memory maps."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from wsis.contracts import Proposals
from wsis.proposals.packing import PARTS, unpack
from wsis.proposals.shard_index import (
    INDEX,
    SHARDS,
    About,
    Entry,
    Shard,
    StoreError,
    checksum,
    lines,
    read_stamp,
)


@dataclass(frozen=True, slots=True, eq=False)
class Store:
    """A folder of proposals, found by the content of the photo.

    ``index.jsonl`` has a line for every shard, with its SHA-256 and the photos in it. A
    shard is a safetensors file that never changes and lists its photos as well; it is
    compared with its checksum when a process first opens it. A line that an
    interruption left half written is passed over, and so are shards that are missing or
    of another length: their photos count as not there, and a ``Writer`` takes them.

    Args:
        folder: of the store.
        about: what all its proposals have in common.
        token: drawn when the store was begun: another one is another store.
        entries: of the photos, by key, in the order in which they came.
        checksums: SHA-256 of each shard, by name.
    """

    folder: Path
    about: About
    token: str
    entries: Mapping[str, Entry]
    checksums: Mapping[str, str]

    @classmethod
    def open(cls, folder: Path) -> "Store":
        """The store as it is now.

        Raises:
            StoreError: if there is none, or its description cannot be read.
        """
        about, token = read_stamp(folder)
        entries: dict[str, Entry] = {}
        checksums: dict[str, str] = {}
        for line in lines(folder):
            shard = Shard.parsed(line)
            if shard is not None and _whole(folder, shard):
                checksums[shard.name] = shard.sha256
                entries |= {one.key: one for one in shard.entries}
        return cls(folder, about, token, entries, checksums)

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, key: object) -> bool:
        return key in self.entries

    def get(self, key: str) -> Proposals:
        """The proposals of one photo.

        Raises:
            KeyError: if the store has none of that photo.
            StoreError: if the file that has them is damaged.
        """
        shard = self.entries[key].shard
        kept = _opened(self.folder / SHARDS / shard, self.checksums[shard])
        return unpack(kept.arrays(key), self.about.source, self.about.ledger)

    def damage(self) -> Iterator[str]:
        """Reads everything; a line for each thing that is not as it was written.

        Shards that were damaged and whose photos were since made again are none.
        """
        for number, line in enumerate(lines(self.folder), 1):
            shard = Shard.parsed(line)
            if shard is None:
                continue
            path = self.folder / SHARDS / shard.name
            if not _whole(self.folder, shard):
                lost = [one for one in shard.entries if one.key not in self]
                state = "cut short" if path.exists() else "missing"
                if lost:
                    yield f"{path}: {state}, and with it {len(lost)} photos' proposals"
            elif checksum(path) != shard.sha256:
                yield _damaged(path)
            elif Shard.of(path) != shard:
                yield f"{INDEX}, line {number}: lists other photos than {path}"

    def leftovers(self) -> Iterator[str]:
        """What interruptions left behind, a line each: none of it is read."""
        known = set()
        for number, line in enumerate(lines(self.folder), 1):
            shard = Shard.parsed(line)
            if shard is not None:
                known.add(shard.name)
            elif line.strip():
                yield f"{INDEX}, line {number}: not whole"
        for path in sorted((self.folder / SHARDS).glob("*")):
            if path.name not in known:
                yield f"{path}: in no line of {INDEX}"


class _Open:
    """A shard that is mapped into memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.file: Any = safe_open(path, framework="numpy")
        except (SafetensorError, OSError) as error:
            raise StoreError(f"{path}: {error}") from error

    def arrays(self, key: str) -> Mapping[str, np.ndarray]:
        try:
            return {part: self.file.get_tensor(f"{key}.{part}") for part in PARTS}
        except SafetensorError as error:
            raise StoreError(
                f"{self.path} lacks what the index says: {error}"
            ) from error


@lru_cache(maxsize=32)
def _opened(path: Path, sha256: str) -> _Open:
    _check(path, sha256)
    return _Open(path)


@lru_cache(maxsize=2**16)
def _check(path: Path, sha256: str) -> None:
    """Compares a shard with its checksum, once a process."""
    try:
        found = checksum(path)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    if found != sha256:
        raise StoreError(_damaged(path))


def _damaged(path: Path) -> str:
    return (
        f"{path}: damaged, its checksum is not what the index says; delete this file "
        "and make or import the proposals once more, what is whole stays"
    )


def _whole(folder: Path, shard: Shard) -> bool:
    try:
        return (folder / SHARDS / shard.name).stat().st_size == shard.length
    except FileNotFoundError:
        return False
