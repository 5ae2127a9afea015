"""Writes the tables of README, docs and benchmarks from ``benchmarks/results``.

Each line of ``results/*.jsonl`` is one row: its table, its cells, and the date and
commit at which it was recorded. A page marks a table's place:

    <!-- table: NAME -->
    <!-- end -->

Commands:

    python benchmarks/tables.py                              # write all tables
    python benchmarks/tables.py --check                      # fail if one is stale
    python benchmarks/tables.py --add wsis-bench --table NAME  # keep a bench's rows

A cell is text, a number, or an object: ``mean`` with ``sd`` (over seeds) or with
``low`` and ``high`` (95 % interval); ``difference`` with its interval and ``verdict``;
``count`` with ``gain``. ``=TABLE/ROW/COLUMN`` repeats another table's cell.
"""

import argparse
import datetime
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
BLOCK = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)

Cell = Any
Row = dict[str, Cell]


def pages() -> list[Path]:
    """Return all pages that may hold tables."""
    return [
        ROOT / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted((ROOT / "benchmarks").glob("*.md")),
    ]


def read(folder: Path = RESULTS) -> dict[str, list[Row]]:
    """Return the rows of each table, in the order of the files' lines."""
    tables: dict[str, list[Row]] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            tables.setdefault(row["table"], []).append(row["cells"])
    return tables


def resolve(cell: Cell, tables: dict[str, list[Row]]) -> Cell:
    """Follow ``=TABLE/ROW/COLUMN``; several first cells may name the row."""
    if not (isinstance(cell, str) and cell.startswith("=")):
        return cell
    table, *names, column = cell[1:].split("/")
    found = [
        row[column]
        for row in tables.get(table, [])
        if [str(value) for value in row.values()][: len(names)] == names
    ]
    if len(found) != 1:
        raise LookupError(f"{cell}: {len(found)} rows, expected one")
    return resolve(found[0], tables)


def text(cell: Cell) -> str:
    """Return a cell as Markdown; what is significant is bold."""
    if cell is None:
        return ""
    if not isinstance(cell, dict):
        return str(cell)
    if "count" in cell:
        return f"{cell['count']}, {cell['gain']:+.1f}"
    interval = ""
    if "difference" in cell:
        value = f"{cell['difference']:+.1f}"
        if cell["verdict"] in ("better", "worse"):
            value = f"**{value}**"
        if "low" in cell:
            interval = f" ({cell['low']:+.1f} to {cell['high']:+.1f})"
        if "more_seeds" in cell:
            interval += f", {cell['more_seeds']} more seeds"
        return value + interval
    if "low" in cell:
        interval = f" ({cell['low']:.1f} to {cell['high']:.1f})"
    if "sd" in cell:
        interval = f" ± {cell['sd']:.1f}"
    return f"{cell['mean']:.1f}{interval}"


def markdown(name: str, tables: dict[str, list[Row]]) -> str:
    """Return a table; its columns are those of all rows, in order of appearance."""
    if name not in tables:
        raise LookupError(f"no table {name!r} in {RESULTS.name}/")
    rows = tables[name]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, ["---"] * len(columns)]
    lines += [[text(resolve(row.get(c), tables)) for c in columns] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def filled(page: str, tables: dict[str, list[Row]]) -> str:
    """Return a page with all its tables as the results have them."""
    return BLOCK.sub(lambda m: m[1] + markdown(m[2], tables) + m[3], page)


def bench_rows(folder: Path) -> list[Row]:
    """Return a row for every strategy that ``wsis bench`` compared, and its bounds."""
    from wsis.experiments import METRICS, table

    results = json.loads((folder / "results.json").read_text())
    rows: list[Row] = []
    for entry in table(results):
        free = (results.get("proposal_free") or {"runs": []})["runs"]
        every = (*results["runs"], *free)
        runs = [run for run in every if run["miner"] == entry.name]
        row: Row = {"miner": entry.name, "seeds": entry.seeds if runs else None}
        for metric in [*METRICS, "ABO"]:
            mean, sd = entry.mean.get(metric), entry.deviation.get(metric)
            figure = None if mean is None else round(mean, 1)
            row[metric] = figure if sd is None else {"mean": figure, "sd": round(sd, 1)}
        for name, key in {
            "train s": "train_seconds",
            "predict s": "predict_seconds",
            "MB": "peak_memory_mb",
        }.items():
            costs = [run[key] for run in runs]
            row[name] = round(sum(costs) / len(costs)) if costs else None
        rows.append(row)
    return rows


def add(folder: Path, name: str) -> None:
    """Keep a bench's figures as rows of a table, in place of its earlier ones."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    known = {"table": name, "date": datetime.date.today().isoformat(), "commit": commit}
    path = RESULTS / "comparisons.jsonl"
    kept = [
        line
        for line in path.read_text().splitlines()
        if json.loads(line)["table"] != name
    ]
    kept += [
        json.dumps(known | {"cells": row}, ensure_ascii=False)
        for row in bench_rows(folder)
    ]
    path.write_text("\n".join(kept) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if a table is stale")
    parser.add_argument("--add", type=Path, help="a folder that wsis bench wrote")
    parser.add_argument("--table", help="the table that --add writes")
    options = parser.parse_args()
    if (options.add is None) != (options.table is None):
        parser.error("--add and --table go together")
    if options.add:
        add(options.add, options.table)
    tables = read()
    stale = []
    for page in pages():
        before = page.read_text()
        after = filled(before, tables)
        if after == before:
            continue
        stale.append(str(page.relative_to(ROOT)))
        if not options.check:
            page.write_text(after)
    if options.check and stale:
        sys.exit(f"stale tables in {', '.join(stale)}: run python benchmarks/tables.py")
    print("\n".join(stale) or "all tables are fresh")


if __name__ == "__main__":
    main()
