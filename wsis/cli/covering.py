"""``wsis proposals evaluate``: measures a source or a store."""

import json
import statistics
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Column, Table

from wsis._support.files import digest, write_json
from wsis.cli.display import Bars
from wsis.cli.errors import UsageError
from wsis.cli.folders import refuse_inputs
from wsis.cli.options import Data
from wsis.cli.sources import data_source
from wsis.cli.storing import workers
from wsis.contracts import Annotated, Ledger, Proposals
from wsis.evaluation.proposals import coverage
from wsis.proposals.making import Job, MakeJob, Photo
from wsis.proposals.packing import unpack
from wsis.proposals.store import StoredProposals
from wsis.runs.settings import Part

FIGURES = ("ABO", "AR", "recall50", "recall70", "recall85")


def evaluate(
    source: str,
    store: Path | None,
    data: Data,
    *,
    limit: int,
    out: Path | None,
    curves: Path | None,
    beside: list[Path],
    jobs: int,
    address: str | None,
) -> None:
    """Prints the figures, writes them to ``out`` and draws them."""
    if curves is not None:
        _check_curves(curves)
    inputs = (store, data.train, data.val, *beside)
    for path, option in ((out, "--out"), (curves, "--curves")):
        if path is not None:
            refuse_inputs(path, inputs, option=option)
    others = [_read(path) for path in beside]
    maker = _Maker(source, jobs, address) if store is None else _Reader(store)
    annotated = data_source(data, "val").val()
    with Bars() as bars:
        step = bars.start("proposals", len(annotated.truths))

        def watched() -> Iterator[Proposals]:
            for image, proposals in zip(
                annotated.tagged.images, maker(annotated), strict=True
            ):
                yield proposals
                step(image.name)

        found = coverage(
            watched(), annotated.truths, annotated.tagged.classes, limit=limit
        )
    seconds = maker.seconds
    results = {
        "source": maker.label,
        **found.results(),
        "seconds_per_image": statistics.median(seconds) if seconds else None,
    }
    if out is not None:
        write_json(out, results)
    _print(results)
    if curves is not None:
        from wsis.cli.curves import draw

        draw([results, *others], curves)
        typer.echo(f"curves: {curves}")


class _Maker:
    """Makes the proposals of a data set's photos, here or elsewhere."""

    def __init__(self, source: str, jobs: int, address: str | None) -> None:
        self.part = Part.parse(source)
        self.ledger: Ledger = self.part.build("sources").ledger
        self.pool = workers(jobs, address)
        self.label = self.part.label
        self.seconds: list[float] = []

    def __call__(self, annotated: Annotated) -> Iterator[Proposals]:
        jobs: list[Job] = [
            MakeJob(
                photo=Photo(name=image.name, load=image.load),
                source=self.part.name,
                settings=dict(self.part.settings),
            )
            for image in annotated.tagged.images
        ]
        with self.pool as work:
            for outcome in work(jobs):
                if outcome.packed is None:
                    raise ValueError(f"{outcome.name}: {outcome.error}")
                self.seconds.append(outcome.seconds)
                yield unpack(outcome.packed, self.part.name, self.ledger)


class _Reader:
    """Reads the proposals of a data set's photos from a store."""

    def __init__(self, folder: Path) -> None:
        self.source = StoredProposals(path=str(folder))
        self.label = self.source.store.about.source
        self.seconds: list[float] = []

    def __call__(self, annotated: Annotated) -> Iterator[Proposals]:
        for image in annotated.tagged.images:
            pixels = image.load()
            yield self.source(pixels)
            seconds = self.source.store.entries[digest(pixels)].seconds
            if seconds is not None:
                self.seconds.append(seconds)


def _check_curves(path: Path) -> None:
    if path.suffix.lower() not in (".svg", ".png", ".pdf"):
        raise UsageError(f"expected --curves to end in .svg, .png or .pdf, got {path}")
    if find_spec("matplotlib") is None:
        raise UsageError("curves need matplotlib: pip install 'wsis[curves]'")


def _read(path: Path) -> dict[str, Any]:
    try:
        results = json.loads(path.read_text())
        _ = [results["by_budget"], results["source"], results["supervision"]]
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"expected a file that wsis proposals evaluate --out wrote, got {path}"
        ) from None
    return dict(results)


def _print(results: dict[str, Any]) -> None:
    table = Table("masks", *(Column(name, justify="right") for name in FIGURES))
    for budget, row in results["by_budget"].items():
        table.add_row(budget, *_percent(row))
    table.add_section()
    for name, row in results["by_size"].items():
        table.add_row(f"{name} ({row['objects']})", *_percent(row))
    # Cells are not cut where nobody watches.
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    seconds = results["seconds_per_image"]
    speed = "" if seconds is None else f", {seconds:.2f} s an image"
    typer.echo(
        f"{results['source']}: {results['objects']} objects on {results['images']} "
        f"images, {results['proposals_per_image']:.0f} masks an image{speed}"
    )
    typer.echo(f"oracle mAP50: {100 * results['oracle']['mAP50']:.1f}")
    typer.echo(f"supervision: {results['supervision']}")


def _percent(row: Mapping[str, Any]) -> list[str]:
    return [f"{100 * row[name]:.1f}" for name in FIGURES]
