"""Folders of results that are whole or not there, and names that are told apart."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os.path import relpath
from pathlib import Path

from wsis._support.checks import UsageError
from wsis._support.files import publish

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def new_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder beside ``path`` that takes its place if the block succeeds.

    With ``overwrite``, the new files replace those of the same name in ``path``; others
    stay. If the block fails, nothing has changed.

    Raises:
        FileExistsError: if ``path`` exists and may not be written into.
    """
    if path.exists() and not (overwrite and path.is_dir()):
        raise FileExistsError(f"expected a new folder, {path} exists")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        if path.exists():
            for file in [one for one in temporary.rglob("*") if one.is_file()]:
                place = path / file.relative_to(temporary)
                place.parent.mkdir(parents=True, exist_ok=True)
                file.replace(place)
        else:
            publish(temporary, 0o777)
            temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def locked(folder: Path) -> int | None:
    """Keep other processes from working in a folder; return what ends it once closed.

    The end of the process, however it ends, gives the folder free. Where the system or
    the folder's disk knows no locks, there is none.

    Raises:
        BlockingIOError: if another process is working there.
    """
    if fcntl is None:
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if isinstance(error, BlockingIOError):
            raise
        return None
    return handle


def refuse_home(out: Path, photos: Iterable[Path]) -> None:
    """Refuse to put drawings among the photos that they show.

    Raises:
        UsageError: if ``out`` is the folder of a photo.
    """
    place = out.resolve()
    for photo in photos:
        if photo.resolve().parent == place:
            raise UsageError(
                f"expected --out apart from the photos, {photo} lies in {out}"
            )


def unique(names: list[str]) -> list[str]:
    """Return the names, later ones of equal spelling numbered: a, a-2, a-3."""
    taken: set[str] = set()
    result = []
    for name in names:
        number, free = 1, name
        while free.lower() in taken:
            number += 1
            free = f"{name}-{number}"
        taken.add(free.lower())
        result.append(free)
    return result


def way(path: Path, folder: Path) -> str:
    """Return a path relative to a folder, which holds while neither moves."""
    try:
        return Path(relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive
        return path.resolve().as_posix()
