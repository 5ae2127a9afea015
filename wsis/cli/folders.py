"""Folders of results that are whole or not there."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from wsis.cli.errors import UsageError


def refuse_existing(
    path: Path,
    *,
    overwrite: bool = False,
    instead: str = "--overwrite to replace its files",
) -> None:
    """Stops before any work if results would meet others.

    Raises:
        UsageError: if ``path`` exists and may not be written into.
    """
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists; choose another --out, or {instead}")
    if path.exists() and not path.is_dir():
        raise UsageError(f"expected --out to be a folder, {path} is a file")


def refuse_inputs(out: Path, inputs: Iterable[Path | None], *, option: str) -> None:
    """Stops before any work if a file to be written is a folder or one that is read.

    Args:
        out: the file.
        inputs: files that are read, and folders all files of which may be.
        option: that named ``out``.

    Raises:
        UsageError: if it is; says which.
    """
    if out.is_dir():
        raise UsageError(f"expected {option} to be a file, {out} is a folder")
    place = out.resolve()
    for one in inputs:
        if one is not None and one.resolve() in (place, *place.parents):
            raise UsageError(
                f"{option} {out} would replace what is read ({one}); choose another"
            )


def refuse_home(out: Path, photos: Iterable[Path]) -> None:
    """Stops before any work if drawings would lie among the photos they are of.

    Raises:
        UsageError: if ``out`` is the folder of a photo.
    """
    place = out.resolve()
    for photo in photos:
        if photo.resolve().parent == place:
            raise UsageError(
                f"expected --out apart from the photos, {photo} lies in {out}"
            )


def refuse_other(path: Path, mark: str, *, overwrite: bool) -> None:
    """Stops before any work if a folder holds anything that cannot be gone on with.

    Args:
        path: of the folder.
        mark: the file that tells what can be.
        overwrite: whatever there is may be replaced.

    Raises:
        UsageError: if it does, or is a file.
    """
    fits = overwrite or (path / mark).is_file()
    foreign = not fits and path.is_dir() and any(path.iterdir())
    refuse_existing(path, overwrite=not foreign)


@contextmanager
def new_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Gives an empty folder beside ``path`` that takes its place if the block succeeds.

    With ``overwrite``, the new files replace those of the same name in ``path``; others
    stay. If the block fails, nothing has changed.

    Raises:
        UsageError: if ``path`` exists and may not be written into.
    """
    # Here, as commands import this module before they run: --help waits for no torch.
    from wsis._support.files import publish

    refuse_existing(path, overwrite=overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        if path.exists():
            for file in temporary.iterdir():
                file.replace(path / file.name)
        else:
            publish(temporary, 0o777)
            temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def unique(names: list[str]) -> list[str]:
    """The same names, later ones of equal spelling numbered: a, a-2, a-3."""
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
