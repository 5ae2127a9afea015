"""Adds proposals to a store, so that a kill at any moment loses nothing written."""

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np
from safetensors.numpy import save

from wsis._support.files import atomic_write, differences, in_words, write_json
from wsis.contracts import Ledger, Proposals
from wsis.proposals.packing import PARTS, pack
from wsis.proposals.shard_index import (
    INDEX,
    SHARDS,
    STAMP,
    About,
    Entry,
    Shard,
    StoreError,
    new_stamp,
    photos_json,
    shard_name,
)
from wsis.proposals.shards import Store


@dataclass(slots=True, eq=False)
class Writer:
    """Adds proposals to a store, begun if it is new; use it in a ``with`` block.

    Proposals gather in memory and become a shard when there are ``photos`` of them, or
    ``megabytes``, or when they are ``seconds`` old, and at the end of the block,
    whatever ended it. A shard takes its name when it is whole, then its line is added
    to the index: a kill loses what was gathered and nothing written before. A shard
    that was killed before its line, the next writer takes up.

    Args:
        folder: of the store.
        about: what all its proposals have in common.
        photos: most in a shard.
        megabytes: about the most in a shard.
        seconds: longest time that proposals are in memory alone.

    Raises:
        StoreError: if the folder holds other files, or proposals of another kind; when
            proposals are added, if they consumed other labels than the store says.
    """

    folder: Path
    about: About
    photos: int = 64
    megabytes: float = 64.0
    seconds: float = 60.0
    _keys: set[str] = field(init=False, default_factory=set)
    _arrays: dict[str, np.ndarray] = field(init=False, default_factory=dict)
    _entries: list[Entry] = field(init=False, default_factory=list)
    _since: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        if not (self.folder / STAMP).exists():
            if self.folder.exists() and any(map(_foreign, self.folder.iterdir())):
                raise StoreError(
                    f"expected {self.folder} to be new, empty or a store of proposals; "
                    "it holds other files; choose another folder"
                )
            write_json(self.folder / STAMP, new_stamp(self.about))
        store = Store.open(self.folder)
        found, wanted = _flat(store.about), _flat(self.about)
        if found != wanted:
            raise StoreError(
                f"the store {self.folder} has other proposals "
                f"({in_words(differences(found, wanted))}); choose another folder"
            )
        self._keys = set(store.entries)
        for path in (self.folder / SHARDS).glob("*.safetensors"):
            if path.name not in store.checksums:
                self._take_up(path)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.flush()

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def add(
        self, key: str, photo: str, proposals: Proposals, seconds: float | None = None
    ) -> None:
        """Adds one photo's proposals, as ``add_packed`` does."""
        if proposals.ledger != self.about.ledger:
            raise StoreError(
                f"expected proposals that consumed {_words(self.about.ledger)}, as the "
                f"store {self.folder} says, got {_words(proposals.ledger)}"
            )
        self.add_packed(key, photo, pack(proposals), seconds)

    def add_packed(
        self,
        key: str,
        photo: str,
        packed: Mapping[str, np.ndarray],
        seconds: float | None = None,
    ) -> None:
        """Adds one photo's proposals; those of a photo that is there are passed over.

        Args:
            key: ``digest`` of the photo's pixels.
            photo: its file name.
            packed: as ``packing.pack`` makes them.
            seconds: that making them took.
        """
        if key in self._keys:
            return
        if not self._entries:
            self._since = time.monotonic()
        height, width = packed["size"].tolist()
        entry = Entry(
            key=key,
            photo=photo,
            size=(height, width),
            proposals=len(packed["objectness"]),
            seconds=None if seconds is None else round(seconds, 3),
            shard="",
        )
        self._keys.add(key)
        self._entries.append(entry)
        self._arrays |= {f"{key}.{part}": packed[part] for part in PARTS}
        size = sum(array.nbytes for array in self._arrays.values())
        full = len(self._entries) >= self.photos or size >= self.megabytes * 2**20
        if full or time.monotonic() - self._since >= self.seconds:
            self.flush()

    def flush(self) -> None:
        """Writes what was gathered."""
        if not self._entries:
            return
        photos = photos_json(tuple(self._entries))
        content = save(self._arrays, {"photos": photos})
        path = self.folder / SHARDS / shard_name(hashlib.sha256(content).hexdigest())
        with atomic_write(path) as temporary:
            _write(temporary, "wb", content)
        self._take_up(path)
        self._arrays, self._entries = {}, []

    def _take_up(self, path: Path) -> None:
        """Adds a shard that is there to the index, if it is whole."""
        shard = Shard.of(path)
        if shard is None:
            return
        index = self.folder / INDEX
        # A line that was cut off is closed, so that the next one can be read.
        _write(index, "ab", (b"" if _ends_whole(index) else b"\n") + shard.line())
        self._keys |= {one.key for one in shard.entries}


def _flat(about: About) -> dict[str, object]:
    described = about.described()
    return {**described.pop("settings"), **described}


def _words(ledger: Ledger) -> str:
    return ", ".join(sorted(ledger)) or "no labels"


def _foreign(path: Path) -> bool:
    """Whether a file is none that an interrupted beginning of a store leaves."""
    return not path.name.startswith(f".{STAMP}")


def _ends_whole(index: Path) -> bool:
    if not index.exists() or not index.stat().st_size:
        return True
    with index.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def _write(path: Path, mode: str, content: bytes) -> None:
    with path.open(mode) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
