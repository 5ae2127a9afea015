"""Files that are whole or not there: atomic writes, JSON lines, a cache of tensors.

Settings and recipes use it, so torch is imported only where a cache is read or written.
"""

import csv
import gzip
import hashlib
import json
import logging
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import EACCES, EPERM, EROFS
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsis import __version__
from wsis._support.checks import warn

if TYPE_CHECKING:
    from torch import Tensor
else:
    Tensor = Any


PREDICTIONS, STEPS = "predictions.json", "steps.json"
"""Names of the files that make a folder one of predictions, or of a whole project."""

_UNFINISHED = ".part"
"""Ends the names of files that are being written; they begin with a dot."""

_ABANDONED = 24 * 3600.0
"""Seconds after which such a file is the leftover of a process that was killed."""


class ReadOnlyError(PermissionError):
    """A folder cannot be written to, or cannot be made."""


class CacheMismatchError(ValueError):
    """A cache folder holds tensors that were made with other settings."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it if the block succeeds.

    Whatever happens inside, ``path`` holds either its old content or all of the new
    one, and the temporary file disappears.

    Raises:
        IsADirectoryError: if ``path`` is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(f"expected a file, {path} is a folder")
    with _temporary(path) as temporary:
        yield temporary
        publish(temporary, 0o666)
        temporary.replace(path)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Give a new file beside ``path`` that disappears, unless it was renamed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(_UNFINISHED, f".{path.name}.", path.parent)
    except OSError as error:
        if error.errno not in (EACCES, EPERM, EROFS):
            raise
        raise ReadOnlyError(
            f"cannot write to {path.parent}: it is read-only; choose another folder"
        ) from error
    os.close(handle)
    try:
        yield Path(name)
    except Exception as error:
        from safetensors import SafetensorError

        # Its own error for what is an OSError elsewhere, such as a full disk.
        if isinstance(error, SafetensorError):
            raise OSError(f"{path} cannot be written: {error}") from error
        raise
    finally:
        Path(name).unlink(missing_ok=True)


def write_new(path: Path, text: str) -> None:
    """Write ``text`` as a whole file unless there is one: of many writers, one wins."""
    with _temporary(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        publish(temporary, 0o666)
        try:
            # A link, unlike a lock, is exclusive on network file systems too.
            os.link(temporary, path)
        except FileExistsError:
            return
        except OSError:
            # Some file systems have no links.
            if not path.exists():
                temporary.replace(path)


def may_begin(stamp: Path) -> bool:
    """Tell whether the folder of a file that is its first is new, empty or begun."""
    names = os.listdir(stamp.parent) if stamp.parent.exists() else []
    # Others may have begun: they write the stamp before any other file.
    return all(name.startswith(".") for name in names) or stamp.exists()


def sweep(folder: Path) -> None:
    """Remove unfinished files of a folder that nobody has written to for a day."""
    for path in folder.glob(f".*{_UNFINISHED}"):
        # Others sweep too.
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED:
                path.unlink()


def publish(temporary: Path, mode: int) -> None:
    """Give a private file that ``tempfile`` made the rights that the umask allows."""
    mask = os.umask(0)
    os.umask(mask)
    temporary.chmod(mode & ~mask)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_csv(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write ``rows`` as a CSV in UTF-8, atomically; the first one names the columns."""
    with (
        atomic_write(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        csv.writer(file).writerows(rows)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically; refuse NaN."""
    write_text(path, in_json(value))


def in_json(value: Any) -> str:
    """Return ``value`` as indented JSON; refuse NaN."""
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


def append_json(path: Path, value: Any) -> None:
    """Append ``value`` as one line of JSON and wait until it is on disk.

    Half a line that a crash left is closed first, so that it spoils no other.
    """
    line = json.dumps(value, allow_nan=False).encode()
    with path.open("a+b") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())


def numbered_json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield each line's number, from 1, and its value; None where it is broken.

    A file that is missing has no lines.
    """
    lines = path.read_bytes().split(b"\n") if path.is_file() else []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield number, parse_json(line)
            except ValueError:
                yield number, None


def parse_json(text: str | bytes) -> Any:
    """Return what JSON holds.

    Raises:
        ValueError: if it is not JSON, is not text, or nests too deep to read.
    """
    try:
        return json.loads(text)
    except UnicodeDecodeError:
        raise ValueError("expected JSON, got bytes that are not text") from None
    except RecursionError:
        raise ValueError("its lists and objects nest too deep") from None


def write_packed(path: Path, value: Any) -> None:
    """Write ``value`` as compressed JSON, atomically; refuse NaN."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    with atomic_write(path) as temporary:
        # Without a time stamp: the same value is the same file.
        temporary.write_bytes(gzip.compress(text.encode(), compresslevel=6, mtime=0))


def read_packed(path: Path) -> Any:
    """Return what ``write_packed`` wrote.

    Raises:
        ValueError: if the file is damaged.
    """
    try:
        return parse_json(gzip.decompress(path.read_bytes()))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(str(error)) from None


def in_plain(value: Any) -> Any:
    """Return a value as JSON gives it back; other objects become text."""
    return json.loads(json.dumps(value, default=str))


def digest(*values: Any) -> str:
    """Return a short name of arrays and JSON-like values: 16 digits of SHA-256."""
    import numpy as np

    state = hashlib.sha256()
    for value in values:
        if isinstance(value, np.ndarray):
            state.update(f"{value.dtype}{value.shape}".encode())
            state.update(np.ascontiguousarray(value).data)
        else:
            state.update(json.dumps(value, sort_keys=True, default=str).encode())
    return state.hexdigest()[:16]


def differences(
    one: dict[str, Any], other: dict[str, Any]
) -> dict[str, tuple[Any, ...]]:
    """Return entries that differ, by dotted name, with both values, None if missing."""
    found: dict[str, tuple[Any, ...]] = {}
    for key in one.keys() | other.keys():
        mine, theirs = one.get(key), other.get(key)
        if isinstance(mine, dict) and isinstance(theirs, dict):
            for name, pair in differences(mine, theirs).items():
                found[f"{key}.{name}"] = pair
        elif mine != theirs:
            found[key] = (mine, theirs)
    return dict(sorted(found.items()))


def only_moved(changes: Mapping[str, tuple[Any, ...]]) -> bool:
    """Tell whether ``differences`` are only where weights lie.

    Their content is compared by itself: of parts among the inputs, and of a refined
    detector in its checkpoint. A miner's settings are its name, and stay.
    """
    kinds = (
        *("backbone", "source", "test_source", "head"),
        *("cues", "sampler", "assigner"),
    )
    movable = tuple(f"{kind}.settings.weights" for kind in kinds)
    return all(one.endswith(movable) or one == "settings.weights" for one in changes)


def in_words(changes: dict[str, tuple[Any, ...]]) -> str:
    """Return ``differences`` between what is there and what is asked for, as text."""
    return "; ".join(
        f"{name}: {there!r} there, {here!r} asked for"
        for name, (there, here) in changes.items()
    )


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state(path: Path) -> tuple[int, ...]:
    """Return numbers that change when a file is written or replaced."""
    found = path.stat() if path.exists() else None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found else ()


def content(path: Path) -> str:
    """Return the SHA-256 of a file, read once a process for every ``state``."""
    return _content(path, state(path))


@lru_cache(maxsize=2**18)
def _content(path: Path, state: tuple[int, ...]) -> str:
    del state
    return sha256(path)


def checksum(tensors: Mapping[str, Tensor], of: str = "") -> int:
    """Return the CRC-32 of names, types, shapes and values, and of a text before."""
    import torch

    found = zlib.crc32(of.encode())
    for name, tensor in sorted(tensors.items()):
        said = f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode()
        data = tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data
        found = zlib.crc32(data, zlib.crc32(said, found))
    return found


_compared: set[int] = set()
"""Files of caches that this process compared with their checksums: hashes of their
paths and states, as there may be hundreds of thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Named groups of tensors in a folder, all made with the same settings.

    Every group is one safetensors file, written to a temporary name and renamed, so
    that an interruption leaves no half file and any number of processes share a folder,
    on a network too. A file is compared with its checksum when a process first reads
    it; damaged ones are made again, with a warning.

    Args:
        folder: of the files; made if it is missing.
        settings: all that the content depends on besides the key; JSON-like.

    Raises:
        CacheMismatchError: if the folder holds a cache made with other settings.
    """

    folder: Path
    settings: Mapping[str, Any]

    def __post_init__(self) -> None:
        wanted = in_plain(dict(self.settings))
        stamp = self.folder / "settings.json"
        if not stamp.exists():
            if not may_begin(stamp):
                raise CacheMismatchError(
                    f"expected {self.folder} to be new, empty or a cache; it holds "
                    "other files; choose another folder"
                )
            with self._named():
                write_new(stamp, in_json(wanted))
        try:
            found = dict(parse_json(stamp.read_bytes()))
        except (ValueError, TypeError):
            found = {}
        if found != wanted and self.folder.name == digest(wanted):
            write_json(stamp, wanted)
            warn(f"{stamp} was damaged; it is written again")
        elif found != wanted:
            changes = in_words(differences(found, wanted))
            raise CacheMismatchError(
                f"the cache in {self.folder} was made with other settings ({changes}); "
                "choose another folder or delete it"
            )
        sweep(self.folder)

    @classmethod
    def keyed(
        cls, root: Path, settings: Mapping[str, Any], made_by: Mapping[str, Any]
    ) -> "Cache":
        """Return the cache of these settings, in a folder of ``root`` of their own.

        Each version of wsis has its own, as it may make other things of the settings.

        Args:
            root: the folder of such caches.
            settings: that the user chose.
            made_by: the rest that the content depends on: versions, weights, machine.
        """
        before = {**settings, "wsis": __version__}
        stamped = {**before, "made_by": made_by}
        folder, old = root / digest(stamped), root / digest(before)
        if old.is_dir() and not folder.exists():
            # Not a warning about an input: nobody can prevent it.
            logging.getLogger("wsis").warning(
                "the cache %s was written by an older wsis and does not record what "
                "made it; it is not used, and you may delete it",
                old,
            )
        return cls(folder=folder, settings=stamped)

    def get(
        self,
        key: str,
        make: Callable[[], dict[str, Tensor]],
        keep: Callable[[dict[str, Tensor]], bool] = lambda made: True,
    ) -> dict[str, Tensor]:
        """Return the tensors kept under ``key``; make them if missing or damaged.

        ``keep`` tells whether what was made is written.
        """
        from safetensors.torch import save_file

        path = self.folder / f"{key}.safetensors"
        kept = self._kept(key, path)
        if kept:
            return kept[0]
        made = {name: tensor.contiguous() for name, tensor in make().items()}
        if not keep(made):
            return made
        with self._named(), atomic_write(path) as temporary:
            save_file(made, temporary, {"checksum": self._checksum(key, made)})
        if kept is None:
            warn(f"files of the cache {self.folder} were damaged; they are made again")
        return made

    def __contains__(self, key: str) -> bool:
        """Tell whether there is a file of tensors under ``key``, whole or not."""
        return (self.folder / f"{key}.safetensors").is_file()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say of a folder that is read-only that it is the cache's."""
        try:
            yield
        except ReadOnlyError as error:
            raise ReadOnlyError(
                f"cannot write to the cache: {self.folder} is read-only; choose "
                "another folder (--cache, WSIS_CACHE)"
            ) from error

    def _kept(self, key: str, path: Path) -> tuple[dict[str, Tensor], ...] | None:
        """Return the tensors of a file; nothing if it is missing, None if damaged."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        at = hash((str(path), *state(path)))
        try:
            # Not mapped into memory: others may replace the file meanwhile.
            whole = path.read_bytes()
            found = load(whole)
            if at in _compared:
                return (found,)
            header = json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])
            told = header.get("__metadata__", {}).get("checksum")
        except FileNotFoundError:
            return ()
        except (SafetensorError, OSError, ValueError):
            return None
        # Files that wsis wrote before December 2026 have none.
        if told not in (None, self._checksum(key, found)):
            return None
        _compared.add(at)
        return (found,)

    def _checksum(self, key: str, tensors: Mapping[str, Tensor]) -> str:
        """Return the checksum of tensors, settings and key."""
        plain = in_plain(dict(self.settings))
        return f"{checksum(tensors, digest(plain, key)):08x}"
