"""``wsis bench``: compares mining strategies."""

from pathlib import Path

import typer

from wsis.bench import METRICS, compare, table
from wsis.cli.building import data_source, miner_list, named, pipeline
from wsis.cli.display import Bars, print_rows
from wsis.cli.folders import new_folder
from wsis.cli.options import Data, Setup
from wsis.files import write_json
from wsis.report import write_report


def bench(
    miners: str,
    seeds: int,
    jobs: int,
    out: Path,
    data: Data,
    setup: Setup,
    *,
    overwrite: bool,
) -> None:
    """Writes ``results.json`` and ``report.html`` into ``out``; prints the table."""
    chosen, parts = miner_list(miners), pipeline(setup)
    source = data_source(named(data, setup), "train", "val")
    with new_folder(out, overwrite=overwrite) as folder:
        with Bars() as bars:
            found = compare(
                source, chosen, parts, seeds=range(seeds), jobs=jobs, monitor=bars
            )
        results = found.results()
        write_json(folder / "results.json", results)
        write_report(found, source.val(), parts, folder / "report.html")
    print_rows(table(results), [*METRICS, "ABO"])
    typer.echo(f"report: {out / 'report.html'}")
