"""A store: proposals of many photos in shards on disk, and what adds to it."""

import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from wsis._support.checks import StoreError as StoreError
from wsis._support.checks import few, warn
from wsis._support.files import (
    append_json,
    atomic_write,
    differences,
    in_json,
    in_plain,
    in_words,
    may_begin,
    numbered_json_lines,
    parse_json,
    sha256,
    sweep,
    write_new,
)
from wsis.contracts import Ledger, Proposals, Supervision
from wsis.geometry.frame import Size
from wsis.proposals._packing import PARTS, pack, unpack

STAMP, INDEX, SHARDS = "store.json", "index.jsonl", "shards"
FORMAT = "wsis proposals 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """The origin that all proposals of a store share.

    Args:
        source: the part or the format that they come from.
        settings: what they depend on besides the photo; JSON-like.
        ledger: the labels consumed in making them.
    """

    source: str
    settings: Mapping[str, Any]
    ledger: Ledger = frozenset()

    def described(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        values = {
            "format": FORMAT,
            "source": self.source,
            "settings": dict(self.settings),
            "supervision": sorted(self.ledger),
        }
        return dict(in_plain(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One photo's proposals, as the index lists them.

    Args:
        key: ``photo_key`` of the photo.
        photo: its file name.
        height: of the photo in pixels.
        width: likewise.
        proposals: how many.
        seconds: that making them took; None where they were imported.
        shard: the file that holds them.
    """

    key: str
    photo: str
    height: int
    width: int
    proposals: int
    seconds: float | None
    shard: str

    def described(self) -> dict[str, Any]:
        """Return what index and shard list of the photo."""
        return {k: v for k, v in asdict(self).items() if k != "shard"}


@dataclass(frozen=True, slots=True)
class Shard:
    """One line of the index.

    Args:
        name: of the file.
        length: of the file, in bytes.
        sha256: its checksum.
        entries: of the photos in it.
        token: of its store; None in stores that an older wsis wrote.
    """

    name: str
    length: int
    sha256: str
    entries: tuple[Entry, ...]
    token: str | None = None

    @classmethod
    def parsed(cls, values: Any) -> "Shard | None":
        """Return what a line of the index tells; None if it is none."""
        try:
            name, length = str(values["shard"]), int(values["bytes"])
            entries = tuple(Entry(**one, shard=name) for one in values["photos"])
            if not all(isinstance(one.key, str) for one in entries):
                return None
            return cls(
                name, length, str(values["sha256"]), entries, values.get("token")
            )
        except (ValueError, KeyError, TypeError, OverflowError):
            return None

    @classmethod
    def of(cls, path: Path) -> "Shard | None":
        """Return what a shard tells of itself; None if it is not as it was written."""
        try:
            found, length = sha256(path), path.stat().st_size
            with safe_open(path, framework="numpy") as file:
                told = file.metadata() or {}
            values = {"shard": path.name, "bytes": length, "sha256": found}
            values |= {"photos": parse_json(told["photos"]), "token": told.get("token")}
        except (SafetensorError, OSError, ValueError, KeyError):
            return None
        return cls.parsed(values) if path.name == shard_name(found) else None

    def described(self) -> dict[str, Any]:
        """Return the line of the index."""
        values = {"shard": self.name, "bytes": self.length, "sha256": self.sha256}
        photos = [one.described() for one in self.entries]
        return {**values, "photos": photos, "token": self.token}

    def loss(self, folder: Path) -> str:
        """Return why the file cannot be what was written, by its length; else empty."""
        try:
            length = (folder / SHARDS / self.name).stat().st_size
        except FileNotFoundError:
            return "missing"
        if length == self.length:
            return ""
        return "cut short" if length < self.length else "longer than it was written"


@dataclass(frozen=True, slots=True, eq=False)
class Store:
    """A folder of proposals, found by the content of the photo.

    ``index.jsonl`` has a line for every shard, with its SHA-256 and the photos in it. A
    shard is a safetensors file that never changes and lists its photos as well; it is
    compared with its checksum and its line when a process first opens it. A line that
    an interruption left half written is passed over, and so are shards that are missing
    or of another length: their photos count as not there, and a ``Writer`` takes them.

    Args:
        folder: of the store.
        about: what all its proposals have in common.
        token: drawn when the store was begun; no two stores have the same.
        entries: of the photos, by key, in the order in which they came.
        shards: the lines of the index whose files are there, by name.
        lost: why the proposals of other photos are not there, by key.
    """

    folder: Path
    about: About
    token: str
    entries: Mapping[str, Entry]
    shards: Mapping[str, Shard]
    lost: Mapping[str, str]

    @classmethod
    def open(cls, folder: str | Path) -> "Store":
        """Return the store as it is now.

        Raises:
            StoreError: if there is none, or its description cannot be read.
        """
        folder = Path(folder)
        about, token = _read_stamp(folder)
        entries: dict[str, Entry] = {}
        shards: dict[str, Shard] = {}
        lost: dict[str, str] = {}
        for number, shard in _lines(folder):
            if shard is None:
                continue
            path, loss = folder / SHARDS / shard.name, shard.loss(folder)
            if shard.token not in (None, token):
                raise StoreError(
                    f"{INDEX}, line {number}: {path} belongs to another store than "
                    f"{folder / STAMP}; put back the files of one store"
                )
            if loss:
                lost |= {one.key: f"{path} is {loss}" for one in shard.entries}
            else:
                shards[shard.name] = shard
                entries |= {one.key: one for one in shard.entries}
        lost = {key: why for key, why in lost.items() if key not in entries}
        return cls(folder, about, token, entries, shards, lost)

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, key: str) -> bool:
        return self.entry(key) is not None

    def entry(self, key: str) -> Entry | None:
        """Return the entry of a photo by its ``photo_key``; None if there is none.

        Stores of wsis before November 2026 have large photos at their own size, under
        the digest of their pixels alone.
        """
        return self.entries.get(key) or self.entries.get(key.partition("-")[0])

    def get(self, key: str) -> Proposals:
        """Return the proposals of one photo.

        Raises:
            KeyError: if the store has none of that photo.
            StoreError: if the file that has them is damaged.
        """
        entry = self.entry(key)
        if entry is None:
            raise KeyError(key)
        shard = self.shards[entry.shard]
        file = _opened(self.folder / SHARDS / shard.name, shard, self.token)
        kept = {part: file.get_tensor(f"{entry.key}.{part}") for part in PARTS}
        return unpack(kept, self.about.source, self.about.ledger)

    def absence(self, key: str) -> str:
        """Return why the store has no proposals of a photo; empty if it never had."""
        if key in self.lost:
            return self.lost[key]
        for path in sorted((self.folder / SHARDS).glob("*.safetensors")):
            shard = Shard.of(path)
            if shard is not None and key in {one.key for one in shard.entries}:
                return f"{self.folder / INDEX} does not list them, {path} has them"
        return ""

    def damage(self) -> Iterator[str]:
        """Read everything; yield a line for each thing that is not as it was written.

        Shards that were damaged and whose photos were since made again are none.
        """
        for number, shard in _lines(self.folder):
            if shard is None:
                continue
            path, loss = self.folder / SHARDS / shard.name, shard.loss(self.folder)
            if loss:
                lost = [one for one in shard.entries if one.key not in self]
                if lost:
                    yield f"{path}: {loss}, and with it {len(lost)} photos' proposals"
            elif sha256(path) != shard.sha256:
                yield _damaged(path)
            elif wrong := _disagreement(path, shard, self.token):
                yield f"{wrong} ({INDEX}, line {number})"

    def leftovers(self) -> Iterator[str]:
        """Yield what interruptions left behind, a line each: none of it is read."""
        known = set()
        for number, shard in _lines(self.folder):
            if shard is not None:
                known.add(shard.name)
            else:
                yield f"{INDEX}, line {number}: not whole"
        for path in sorted((self.folder / SHARDS).glob("*")):
            if path.name not in known:
                yield f"{path}: in no line of {INDEX}"


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
            if not may_begin(self.folder / STAMP):
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
        size: Size | None = None,
    ) -> None:
        """Add one photo's proposals, unless the store has some of that photo.

        Args:
            key: ``photo_key`` of the photo.
            photo: its file name.
            packed: as ``packing.pack`` makes them.
            seconds: that making them took.
            size: of the photo, where they are in its frame; None takes theirs.
        """
        if key in self._keys:
            return
        if not self._entries:
            self._since = time.monotonic()
        height, width = size or packed["size"].tolist()
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
        held = sum(array.nbytes for array in self._arrays.values())
        full = len(self._entries) >= self.photos or held >= self.megabytes * 2**20
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


def shard_name(checksum: str) -> str:
    """Return a name by content, so that shards of two writers never meet."""
    return f"{checksum[:16]}.safetensors"


def _lines(folder: Path) -> Iterator[tuple[int, Shard | None]]:
    """Yield each line of the index by number; None where one is not whole."""
    for number, values in numbered_json_lines(folder / INDEX):
        yield number, Shard.parsed(values)


def _read_stamp(folder: Path) -> tuple[About, str]:
    """Return what a store's proposals have in common, and its token."""
    path = folder / STAMP
    if not path.exists():
        raise StoreError(
            f"expected a store of proposals, {folder} has no {STAMP}; "
            "wsis proposals make or import begins one"
        )
    try:
        content = parse_json(path.read_bytes())
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


@lru_cache(maxsize=32)
def _opened(path: Path, shard: Shard, token: str) -> Any:
    """Return a shard that is mapped into memory."""
    _check(path, shard, token)
    try:
        return safe_open(path, framework="numpy")
    except (SafetensorError, OSError) as error:
        raise StoreError(f"{path}: {error}") from error


@lru_cache(maxsize=2**16)
def _check(path: Path, shard: Shard, token: str) -> None:
    """Compare a shard with its line of the index, once a process."""
    try:
        found = sha256(path)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    if found != shard.sha256:
        raise StoreError(_damaged(path))
    if wrong := _disagreement(path, shard, token):
        raise StoreError(f"{wrong}; put back the files of one store, as they were")


def _disagreement(path: Path, shard: Shard, token: str) -> str:
    """Return how a whole shard differs from its line of the index, or is another's."""
    told = Shard.of(path)
    if told is not None and told.token not in (None, token):
        return f"{path} belongs to another store than its {STAMP}"
    if told is None or told.entries != shard.entries:
        return f"{path}: the index lists other photos than the file"
    return ""


def _damaged(path: Path) -> str:
    return (
        f"{path}: damaged, its checksum is not what the index says; delete this file "
        "and make or import the proposals once more, what is whole stays"
    )
