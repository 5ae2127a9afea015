"""A store: proposals of many photos in shards on disk, read through memory maps."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from wsis._support.files import numbered_json_lines, sha256
from wsis.contracts import Ledger, Proposals, Supervision
from wsis.proposals._packing import PARTS, unpack

STAMP, INDEX, SHARDS = "store.json", "index.jsonl", "shards"
FORMAT = "wsis proposals 1"


class StoreError(ValueError):
    """A store is missing, damaged, or has other proposals than asked for."""


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
        plain: dict[str, Any] = json.loads(json.dumps(values, default=str))
        return plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One photo's proposals, as the index lists them.

    Args:
        key: ``digest`` of the photo's pixels.
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
    """

    name: str
    length: int
    sha256: str
    entries: tuple[Entry, ...]

    @classmethod
    def parsed(cls, values: Any) -> "Shard | None":
        """Return what a line of the index tells; None if it is none."""
        try:
            name, length = str(values["shard"]), int(values["bytes"])
            entries = tuple(Entry(**one, shard=name) for one in values["photos"])
            return cls(name, length, str(values["sha256"]), entries)
        except (ValueError, KeyError, TypeError):
            return None

    @classmethod
    def of(cls, path: Path) -> "Shard | None":
        """Return what a shard tells of itself; None if it is not as it was written."""
        try:
            found, length = sha256(path), path.stat().st_size
            with safe_open(path, framework="numpy") as file:
                photos = json.loads((file.metadata() or {})["photos"])
        except (SafetensorError, ValueError, KeyError):
            return None
        values = {"shard": path.name, "bytes": length, "sha256": found}
        whole = path.name == shard_name(found)
        return cls.parsed({**values, "photos": photos}) if whole else None

    def described(self) -> dict[str, Any]:
        """Return the line of the index."""
        values = {"shard": self.name, "bytes": self.length, "sha256": self.sha256}
        return {**values, "photos": [one.described() for one in self.entries]}

    def is_whole(self, folder: Path) -> bool:
        """Tell whether the file is in the store, and as long as it was written."""
        try:
            return (folder / SHARDS / self.name).stat().st_size == self.length
        except FileNotFoundError:
            return False


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
        token: drawn when the store was begun; no two stores have the same.
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
        """Return the store as it is now.

        Raises:
            StoreError: if there is none, or its description cannot be read.
        """
        about, token = _read_stamp(folder)
        entries: dict[str, Entry] = {}
        checksums: dict[str, str] = {}
        for _, shard in _lines(folder):
            if shard is not None and shard.is_whole(folder):
                checksums[shard.name] = shard.sha256
                entries |= {one.key: one for one in shard.entries}
        return cls(folder, about, token, entries, checksums)

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, key: object) -> bool:
        return key in self.entries

    def get(self, key: str) -> Proposals:
        """Return the proposals of one photo.

        Raises:
            KeyError: if the store has none of that photo.
            StoreError: if the file that has them is damaged.
        """
        shard = self.entries[key].shard
        path = self.folder / SHARDS / shard
        file = _opened(path, self.checksums[shard])
        try:
            kept = {part: file.get_tensor(f"{key}.{part}") for part in PARTS}
        except SafetensorError as error:
            raise StoreError(f"{path} lacks what the index says: {error}") from error
        return unpack(kept, self.about.source, self.about.ledger)

    def damage(self) -> Iterator[str]:
        """Read everything; yield a line for each thing that is not as it was written.

        Shards that were damaged and whose photos were since made again are none.
        """
        for number, shard in _lines(self.folder):
            if shard is None:
                continue
            path = self.folder / SHARDS / shard.name
            if not shard.is_whole(self.folder):
                lost = [one for one in shard.entries if one.key not in self]
                state = "cut short" if path.exists() else "missing"
                if lost:
                    yield f"{path}: {state}, and with it {len(lost)} photos' proposals"
            elif sha256(path) != shard.sha256:
                yield _damaged(path)
            elif Shard.of(path) != shard:
                yield f"{INDEX}, line {number}: lists other photos than {path}"

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


@lru_cache(maxsize=32)
def _opened(path: Path, checksum: str) -> Any:
    """Return a shard that is mapped into memory."""
    _check(path, checksum)
    try:
        return safe_open(path, framework="numpy")
    except (SafetensorError, OSError) as error:
        raise StoreError(f"{path}: {error}") from error


@lru_cache(maxsize=2**16)
def _check(path: Path, checksum: str) -> None:
    """Compare a shard with its checksum, once a process."""
    try:
        found = sha256(path)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    if found != checksum:
        raise StoreError(_damaged(path))


def _damaged(path: Path) -> str:
    return (
        f"{path}: damaged, its checksum is not what the index says; delete this file "
        "and make or import the proposals once more, what is whole stays"
    )
