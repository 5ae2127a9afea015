"""``wsis train``: teaches one model and keeps it."""

from pathlib import Path

import typer

from wsis.cli.building import miner_list, named, recipe
from wsis.cli.display import Bars
from wsis.cli.errors import UsageError
from wsis.cli.folders import refuse_existing
from wsis.cli.options import Data, Setup
from wsis.cli.sources import data_source
from wsis.runs.run import Card
from wsis.runs.run import train as run_train


def train(
    out: Path,
    miner: str | None,
    data: Data,
    setup: Setup,
    *,
    seed: int,
    steps: int | None,
    resume: bool,
) -> None:
    """Trains into the folder ``out``, or goes on with what it holds."""
    if not resume and Card.begun(out):
        refuse_existing(out, instead="--resume to resume its run")
    chosen = miner_list(miner or recipe(setup.recipe).miner.label)
    if len(chosen) != 1:
        raise UsageError(f"expected one miner, got {miner}")
    source = data_source(named(data, setup), "train")
    with Bars() as bars:
        run = run_train(
            source,
            chosen[0],
            recipe=setup.recipe,
            settings=setup.settings,
            seed=seed,
            device=setup.device,
            cache=setup.cache,
            folder=out,
            resume=resume,
            steps=steps,
            monitor=bars,
        )
    progress = run.card
    loss = f", loss {progress.losses[-1]['total']:.3f}" if progress.losses else ""
    typer.echo(f"run: {out} ({progress.images} images{loss})")
    for reason, count in progress.skipped.items():
        typer.echo(f"skipped: {count} images ({reason})")
