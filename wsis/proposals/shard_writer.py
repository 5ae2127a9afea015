"""Add proposals to a store, so that a kill at any moment loses nothing written."""

import hashlib
import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from wsis._support.checks import few, warn
from wsis._support.files import (
    append_json,
    atomic_write,
    differences,
    in_json,
    in_words,
    is_unfinished,
    sweep,
    write_new,
)
from wsis.contracts import Ledger, Proposals
from wsis.proposals._packing import PARTS, pack
from wsis.proposals.shards import (
    INDEX,
    SHARDS,
    STAMP,
    About,
    Entry,
    Shard,
    Store,
    StoreError,
    shard_name,
)


@dataclass(slots=True, eq=False)
class Writer:
    """Adds proposals to a store and begins a new one; use it in a ``with`` block.

    Proposals gather in memory and become a shard when there are ``photos`` of them, or
    ``megabytes``, or when they are ``seconds`` old, and at the end of the block,
    whatever ended it. A shard takes its name when it is whole, then its line is added
    to the index: a kill loses what was gathered and nothing written before. The next
    writer adds the line of a shard that lacks one.

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
    _token: str = field(init=False, default="")
    _keys: set[str] = field(init=False, default_factory=set)
    _arrays: dict[str, np.ndarray] = field(init=False, default_factory=dict)
    _entries: list[Entry] = field(init=False, default_factory=list)
    _since: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        if not (self.folder / STAMP).exists():
            names = os.listdir(self.folder) if self.folder.exists() else []
            # Another writer may have begun it meanwhile, with the stamp.
            begun = all(map(is_unfinished, names)) or (self.folder / STAMP).exists()
            if not begun:
                raise StoreError(
                    f"expected {self.folder} to be new, empty or a store of proposals; "
                    "it holds other files; choose another folder"
                )
            # The token is a name that no other store has.
            stamp = {**self.about.described(), "token": secrets.token_hex(8)}
            write_new(self.folder / STAMP, in_json(stamp))
        store = Store.open(self.folder)
        found, wanted = store.about.described(), self.about.described()
        if found != wanted:
            raise StoreError(
                f"the store {self.folder} has other proposals "
                f"({in_words(differences(found, wanted))}); choose another folder"
            )
        if store.lost:
            names = sorted(set(store.lost.values()))
            warn(f"{len(store.lost)} photos are made or imported again: {few(names)}")
        for folder in (self.folder, self.folder / SHARDS):
            sweep(folder)
        self._token, self._keys = store.token, set(store.entries)
        for path in (self.folder / SHARDS).glob("*.safetensors"):
            if path.name not in store.shards:
                self._take_up(path)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *error: object) -> None:
        self.flush()

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def add(
        self, key: str, photo: str, proposals: Proposals, seconds: float | None = None
    ) -> None:
        """Add one photo's proposals, as ``add_packed`` does."""
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
        """Add one photo's proposals, unless the store has some of that photo.

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
            height=height,
            width=width,
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
        """Write what was gathered."""
        if not self._entries:
            return
        photos = json.dumps([one.described() for one in self._entries])
        content = save(self._arrays, {"photos": photos, "token": self._token})
        path = self.folder / SHARDS / shard_name(hashlib.sha256(content).hexdigest())
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        self._take_up(path)
        self._arrays, self._entries = {}, []

    def _take_up(self, path: Path) -> None:
        """Add a shard of this store to the index, if it is whole."""
        shard = Shard.of(path)
        if shard is not None and shard.token in (None, self._token):
            append_json(self.folder / INDEX, shard.described())
            self._keys |= {one.key for one in shard.entries}


def _words(ledger: Ledger) -> str:
    return ", ".join(sorted(ledger)) or "no labels"
