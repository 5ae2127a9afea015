"""Refuses to write where results or inputs would be lost; writes tables of tags."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import typer

from wsis.cli._errors import UsageError


def refuse_existing(
    path: Path,
    *,
    overwrite: bool = False,
    instead: str = "--overwrite to replace its files",
) -> None:
    """Refuse to mix results with others.

    Raises:
        UsageError: if ``path`` exists and may not be written into.
    """
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists; choose another --out, or {instead}")
    if path.exists() and not path.is_dir():
        raise UsageError(f"expected --out to be a folder, {path} is a file")


def refuse_other(path: Path, mark: str, *, overwrite: bool) -> None:
    """Refuse a folder that holds anything but work that can be resumed.

    Args:
        path: of the folder.
        mark: the file that resumable work has.
        overwrite: allows whatever is there to be replaced.

    Raises:
        UsageError: if it does, or is a file.
    """
    fits = overwrite or (path / mark).is_file()
    foreign = not fits and path.is_dir() and any(path.iterdir())
    refuse_existing(path, overwrite=not foreign)


def refuse_inputs(out: Path, inputs: Iterable[Path | None], *, option: str) -> None:
    """Refuse to write a file over one that is read.

    Args:
        out: the file.
        inputs: files that are read, and folders whose files may be.
        option: the one that named ``out``.

    Raises:
        UsageError: if it would be, or is a folder.
    """
    if out.is_dir():
        raise UsageError(f"expected {option} to be a file, {out} is a folder")
    place = out.resolve()
    for one in inputs:
        if one is not None and one.resolve() in (place, *place.parents):
            raise UsageError(
                f"{option} {out} would replace what is read ({one}); choose another"
            )


def predictions_of(folder: Path) -> Path:
    """Return the folder of a run's predictions where the run's own folder is given.

    Any other folder is returned as it is. The predictions are looked for beside the
    run; ``predictions.json`` tells which run made it.

    Raises:
        UsageError: if the run has several, or none; says which command makes them.
    """
    from wsis._support.files import PREDICTIONS, parse_json

    run = any((folder / name).is_file() for name in ("run.json", "refined.json"))
    if not run or (folder / PREDICTIONS).is_file():
        return folder
    beside = sorted(folder.resolve().parent.glob(f"*/{PREDICTIONS}"))
    found = []
    for path in beside:
        try:
            told = parse_json(path.read_bytes())["info"]["run"]
            made = (path.parent / told).samefile(folder)
        except (ValueError, LookupError, TypeError, OSError):
            continue  # of another program, or of a run that is gone
        if made:
            found.append(
                folder / ".." / path.parent.name
                if folder.name in ("", "..")
                else folder.parent / path.parent.name
            )
    if not found:
        raise UsageError(
            f"{folder} is a run without predictions beside it; make them with: "
            f"wsis predict PHOTOS --run {folder} --out found, then give found instead"
        )
    if len(found) > 1:
        raise UsageError(
            f"{folder} is a run with several predictions; take one of "
            f"{', '.join(map(str, found))}"
        )
    typer.echo(f"predictions of {folder}: {found[0]}", err=True)
    return found[0]


def write_tags(path: Path, rows: Mapping[str, Sequence[str]]) -> None:
    """Write the tags of photos as a table that ``--data folder:tags=`` reads."""
    from wsis._support.files import write_csv

    tagged = ((name, ";".join(own)) for name, own in rows.items())
    write_csv(path, [("file", "tags"), *tagged])
