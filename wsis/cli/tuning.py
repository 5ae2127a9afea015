"""``wsis tune``: sets thresholds from tags alone."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from wsis._support.files import atomic_write, write_json
from wsis.cli.building import miner_list, named, pipeline
from wsis.cli.display import Bars
from wsis.cli.errors import UsageError
from wsis.cli.options import Data, Setup
from wsis.cli.sources import data_source
from wsis.contracts import DataSource
from wsis.experiments.tuning import Space, to_csv
from wsis.experiments.tuning import tune as run_tune
from wsis.experiments.tuning.choice import RESULTS
from wsis.experiments.tuning.folder import TRIALS
from wsis.experiments.tuning.results import CHOICES
from wsis.report.tuned import write_tuned

LEARNED = 0.2
"""Share of what tag-ap could exceed chance by, below which nothing has been learned."""

SHOWN = 15
"""Settings in the printed table, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is tuned, as the options say it.

    Args:
        miner: with settings of its own, if any.
        sweeps: axes; none takes the miner's own.
        settings: how many.
        seeds: of each.
        held_out: share of the training photos.
        views: photos looked at mirrored and smaller.
        by: the criterion that chooses.
        judge: whether masks judge; None where there are some.
    """

    miner: str
    sweeps: Sequence[str]
    settings: int
    seeds: int
    held_out: float
    views: int
    by: str
    judge: bool | None


def tune(
    asked: Asked, jobs: int, out: Path, data: Data, setup: Setup, *, overwrite: bool
) -> None:
    """Writes ``tune.json``, ``.csv`` and ``.html``; prints the table and the choice."""
    if asked.by not in CHOICES:
        raise UsageError(f"expected --by one of {', '.join(CHOICES)}; got {asked.by!r}")
    if not 0 < asked.held_out < 1:
        raise UsageError(f"expected --held-out in (0, 1), got {asked.held_out:g}")
    parts, miners = pipeline(setup), miner_list(asked.miner)
    if len(miners) != 1:
        raise UsageError(f"expected one miner, got {asked.miner}")
    space = Space.of(miners[0], parts.settings, asked.sweeps)
    source, judged = _source(named(data, setup), asked.judge)
    try:
        with Bars() as bars:
            found = run_tune(
                source,
                space,
                parts,
                settings=asked.settings,
                seeds=range(asked.seeds),
                held_out=asked.held_out,
                views=asked.views,
                judged=judged,
                by=asked.by,
                jobs=jobs,
                monitor=bars,
                folder=out,
                fresh=overwrite,
            )
    except BaseException:
        if (out / TRIALS).is_file():
            typer.echo(f"wsis: finished trials are kept in {out}", err=True)
        raise
    results = found.results()
    write_json(out / RESULTS, results)
    with atomic_write(out / "tune.csv") as temporary:
        temporary.write_text(to_csv(results), encoding="utf-8")
    write_tuned(results, out / "tune.html")
    _print(results)
    _warn(results)
    typer.echo(f"curves: {out / 'tune.html'}")
    typer.echo(f"chosen by {results['by']}: {results['chosen']['label']}")
    typer.echo(f"wsis bench {results['chosen']['options']}")


def _source(data: Data, judge: bool | None) -> tuple[DataSource, bool]:
    """The data set, and whether its masks judge."""
    if judge:
        return data_source(data, "train", "val"), True
    source = data_source(data, "train")
    masks = getattr(source, "val_json", "drawn") is not None
    return source, masks and judge is None


def _warn(results: Mapping[str, Any]) -> None:
    """Says so where even the best models tell the tags hardly better than chance."""
    chance = results["design"]["tag_chance"]
    found = [row["criteria"]["tag-ap"] for row in results["settings"]]
    best = max((ap for ap in found if ap is not None), default=None)
    if chance is None or best is None or best - chance > LEARNED * (1 - chance):
        return
    typer.echo(
        f"wsis: no model has learned the tags: tag-ap is {best:.2f} at best, "
        f"{chance:.2f} by chance; train longer (--set schedule.epochs=N) before you "
        "trust any ranking",
        err=True,
    )


def _print(results: Mapping[str, Any]) -> None:
    """The best settings and the default, then what masks say of every criterion."""
    rows, verdict = results["settings"], results["verdict"]
    names = [name for name, value in rows[0]["criteria"].items() if value is not None]
    judged = ["mAP50"] if verdict else []
    table = Table(
        "", "setting", *(Column(name, justify="right") for name in [*names, *judged])
    )
    for row in rows:
        if row["rank"] > SHOWN and row["label"] != "default":
            continue
        cells = [_text(row["criteria"][name], 3) for name in names]
        cells += [_text(row["metrics"][name], 1) for name in judged]
        table.add_row(str(row["rank"]), Text(row["label"]), *cells)
    console = Console(width=None if sys.stdout.isatty() else 240)
    console.print(table)
    if not verdict:
        typer.echo("no masks judged: how well the criterion ranks is not known here")
        return
    columns = ("Spearman", "95 %", "Kendall", "mAP50", "regret", "over default")
    found = Table("criterion", *(Column(name, justify="right") for name in columns))
    for name, one in verdict["criteria"].items():
        ends = one["interval"]
        found.add_row(
            name,
            _text(one["spearman"], 2),
            "–" if ends is None else f"{ends[0]:.2f} to {ends[1]:.2f}",
            _text(one["kendall"], 2),
            _text(one["chosen"], 1),
            _text(one["regret"], 1),
            f"{one['gain']:+.1f}",
        )
    console.print(found)
    typer.echo(
        f"mAP50 of {verdict['settings']} settings: best {verdict['best']:.1f}, default "
        f"{verdict['default']:.1f}, mean {verdict['mean']:.1f}"
    )


def _text(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
