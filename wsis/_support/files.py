"""Files that are whole or not there: atomic writes, JSON lines, a cache of tensors.

Settings and recipes use it, so torch is imported only where a cache is read or written.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsis import __version__

if TYPE_CHECKING:
    from torch import Tensor
else:
    Tensor = Any


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
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        publish(temporary, 0o666)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def publish(temporary: Path, mode: int) -> None:
    """Give a private file that ``tempfile`` made the rights that the umask allows."""
    mask = os.umask(0)
    os.umask(mask)
    temporary.chmod(mode & ~mask)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically; refuse NaN."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


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


def read_json_lines(path: Path) -> Iterator[Any]:
    """Yield what ``append_json`` wrote, in order, without broken lines."""
    return (value for _, value in numbered_json_lines(path) if value is not None)


def numbered_json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield each line's number, from 1, and its value; None where it is broken.

    A file that is missing has no lines.
    """
    lines = path.read_bytes().split(b"\n") if path.is_file() else []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError:
                yield number, None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Named groups of tensors in a folder, all made with the same settings.

    Every group is one safetensors file, written to a temporary name and renamed, so
    that an interruption leaves no half file; a damaged one is made again.

    Args:
        folder: of the files; made if it is missing.
        settings: all that the content depends on besides the key; JSON-like.

    Raises:
        CacheMismatchError: if the folder holds a cache made with other settings.
    """

    folder: Path
    settings: Mapping[str, Any]

    def __post_init__(self) -> None:
        wanted = json.loads(json.dumps(dict(self.settings), default=str))
        stamp = self.folder / "settings.json"
        if not stamp.exists():
            if self.folder.is_dir() and any(self.folder.iterdir()):
                raise CacheMismatchError(
                    f"expected {self.folder} to be new, empty or a cache; it holds "
                    "other files; choose another folder"
                )
            write_json(stamp, wanted)
            return
        try:
            found = json.loads(stamp.read_text())
        except ValueError:
            found = {}
        if found != wanted:
            changes = in_words(differences(found, wanted))
            raise CacheMismatchError(
                f"the cache in {self.folder} was made with other settings ({changes}); "
                "choose another folder or delete it"
            )

    @classmethod
    def keyed(cls, root: Path, settings: Mapping[str, Any]) -> "Cache":
        """Return the cache of these settings, in a folder of ``root`` of their own.

        Each version of wsis has its own, as it may make other things of the settings.
        """
        stamped = {**settings, "wsis": __version__}
        return cls(folder=root / digest(stamped), settings=stamped)

    def get(self, key: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return the tensors kept under ``key``; make them if missing or damaged."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file, save_file

        path = self.folder / f"{key}.safetensors"
        if path.exists():
            try:
                return load_file(path)
            except SafetensorError:
                pass
        made = make()
        with atomic_write(path) as temporary:
            save_file({k: v.contiguous() for k, v in made.items()}, temporary)
        return made
