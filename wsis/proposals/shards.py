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
            return cls(
                name, length, str(values["sha256"]), entries, values.get("token")
            )
        except (ValueError, KeyError, TypeError):
            return None

    @classmethod
    def of(cls, path: Path) -> "Shard | None":
        """Return what a shard tells of itself; None if it is not as it was written."""
        try:
            found, length = sha256(path), path.stat().st_size
            with safe_open(path, framework="numpy") as file:
                told = file.metadata() or {}
            values = {"shard": path.name, "bytes": length, "sha256": found}
            values |= {"photos": json.loads(told["photos"]), "token": told.get("token")}
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
    def open(cls, folder: Path) -> "Store":
        """Return the store as it is now.

        Raises:
            StoreError: if there is none, or its description cannot be read.
        """
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

    def __contains__(self, key: object) -> bool:
        return key in self.entries

    def get(self, key: str) -> Proposals:
        """Return the proposals of one photo.

        Raises:
            KeyError: if the store has none of that photo.
            StoreError: if the file that has them is damaged.
        """
        shard = self.shards[self.entries[key].shard]
        file = _opened(self.folder / SHARDS / shard.name, shard, self.token)
        kept = {part: file.get_tensor(f"{key}.{part}") for part in PARTS}
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
