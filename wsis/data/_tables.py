"""CSV files that people write, by hand or with a spreadsheet."""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

PHOTO = "file", "filename", "file_name", "image", "image_name", "photo"
TAG = "tags", "tag", "class", "classes", "label", "labels", "category"
"""What people call the columns of photos and of their tags, in small letters."""

_SEPARATORS = ",;\t"
"""Spreadsheets write semicolons where the comma is the decimal sign, or tabs."""


def read_rows(
    path: Path, columns: Sequence[str], *, others: bool = False, hint: str = ""
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield every row: where it stands, for messages, and its cells by column.

    Rows whose cells are all empty are skipped, and so is Excel's first line ``sep=;``.

    Args:
        path: of the file, in UTF-8, or in UTF-16 with its byte order mark.
        columns: required in the first line, in any order and case.
        others: whether there may be other columns, which are not read.
        hint: how a row should look, for the message about a wrong one.

    Raises:
        ValueError: if the file is no such CSV; names the line.
    """
    text, given = _unmarked(_text(path))
    first, before = text.partition("\n")[0], int(given is not None)
    comma = given or max(_SEPARATORS, key=lambda sign: _fit(first, sign, columns))
    rows = csv.DictReader(
        io.StringIO(text, newline=""),
        delimiter=comma,
        skipinitialspace=True,
        strict=True,
    )
    try:
        names = [(name or "").strip().casefold() for name in rows.fieldnames or ()]
        # Spreadsheets write columns without a name, which are empty.
        names = [
            name or ("" if "" in columns else f" {i}") for i, name in enumerate(names)
        ]
        spare = [name for name in names if name.startswith(" ")]
        if any(names.count(name) != 1 for name in columns) or (
            len(names) > len(columns) + len(spare) and not others
        ):
            raise ValueError(
                f"{path}: expected the columns {','.join(columns)} in the first line, "
                f"each once, got {first.strip()!r}"
            )
        rows.fieldnames = names
        for row in rows:
            where = f"{path}, line {rows.line_num + before}"
            full = not others and any((row[one] or "").strip() for one in spare)
            if None in row or None in row.values() or full:
                raise ValueError(f"{where}: expected {','.join(columns)}{hint}")
            if any(cell.strip() for cell in row.values()):
                yield where, {name: row[name].strip() for name in columns}
    except csv.Error as error:
        raise ValueError(
            f"{path}, after line {rows.line_num + before}: expected CSV: {error}; is a "
            "quote not closed?"
        ) from None


def header(path: Path) -> list[str]:
    """Return the columns that the first line of a CSV names.

    Raises:
        ValueError: if it is no text.
    """
    text, given = _unmarked(_text(path))
    first = text.partition("\n")[0]
    comma = given or max(_SEPARATORS, key=first.count)
    cells = csv.reader([first.rstrip("\r")], delimiter=comma, skipinitialspace=True)
    return [one.strip() for one in next(cells, [])]


def _unmarked(text: str) -> tuple[str, str | None]:
    """Return a text without Excel's first line ``sep=;``, and what that line names."""
    first, _, rest = text.partition("\n")
    mark = first.strip().strip('"')
    if mark.casefold().startswith("sep="):
        return rest, mark[4:5] or "\t"
    return text, None


def _fit(line: str, separator: str, columns: Sequence[str]) -> tuple[int, int]:
    """Return how many columns a separator finds in the first line, and cells."""
    cells = [cell.strip(" \"'\r").casefold() for cell in line.split(separator)]
    return len(set(columns) & set(cells)), len(cells)


def _text(path: Path) -> str:
    content = path.read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}, line {line}: expected a CSV in UTF-8, got other bytes ({error}); "
            "save it as CSV UTF-8, or: iconv -f WINDOWS-1252 -t UTF-8"
        ) from None
    if content[:4].count(0) > 1:
        raise ValueError(f"{path}: expected a CSV in UTF-8, got UTF-16 without a mark")
    return text
