"""CSV files that people write, by hand or with a spreadsheet."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path


def read_rows(
    path: Path, columns: Sequence[str], *, others: bool = False, hint: str = ""
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield every row: where it stands, for messages, and its cells by column.

    Args:
        path: of the file, in UTF-8; a byte order mark is skipped.
        columns: required in the first line, in any order and case.
        others: whether there may be other columns, which are not read.
        hint: how a row should look, for the message about a wrong one.

    Raises:
        ValueError: if the file is no such CSV; names the line.
    """
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected a CSV in UTF-8: {error}") from None
    first = text.partition("\n")[0]
    # Spreadsheets write semicolons where the comma is the decimal sign.
    comma = "," if "," in first or ";" not in first else ";"
    rows = csv.DictReader(
        io.StringIO(text), delimiter=comma, skipinitialspace=True, strict=True
    )
    try:
        given = [(name or "").strip().casefold() for name in rows.fieldnames or ()]
        if not set(columns) <= set(given) or (len(given) > len(columns) and not others):
            raise ValueError(
                f"{path}: expected the columns {','.join(columns)} in the first line, "
                f"got {first!r}"
            )
        rows.fieldnames = given
        for row in rows:
            where = f"{path}, line {rows.line_num}"
            if None in row or None in row.values():
                raise ValueError(f"{where}: expected {','.join(columns)}{hint}")
            yield where, {name: row[name].strip() for name in columns}
    except csv.Error as error:
        raise ValueError(
            f"{path}, after line {rows.line_num}: expected CSV: {error}; is a quote "
            "not closed?"
        ) from None
