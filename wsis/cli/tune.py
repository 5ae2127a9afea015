"""``wsis tune``: sets thresholds from tags alone."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wsis.cli import _options as options
from wsis.cli._errors import UsageError, printable
from wsis.cli._files import refuse_other

if TYPE_CHECKING:
    from wsis.contracts import DataSource

app = options.command_group()

LEARNED = 0.2
"""Share of what tag-ap could exceed chance by, below which nothing has been learned."""

SHOWN = 15
"""Settings in the printed table, at most."""


@options.command(app.command)
def tune(
    *,
    miner: str | None = None,
    sweep: Annotated[list[str] | None, typer.Option(metavar="NAME=LOW..HIGH")] = None,
    count: Annotated[int, typer.Option("--settings", min=2)] = 40,
    seeds: Annotated[int, typer.Option(min=1)] = 1,
    held_out: float = 0.25,
    views: Annotated[int, typer.Option(min=0)] = 60,
    by: str = "evidence",
    judge: Annotated[bool | None, typer.Option("--judge/--no-judge")] = None,
    jobs: options.Jobs = options.JOBS,
    cluster: options.Cluster = None,
    out: Path = Path("wsis-tune"),
    data: options.Data,
    setup: options.Setup,
    overwrite: options.Overwrite = False,
) -> None:
    """Set thresholds from tags alone, and see how far that can be trusted.

    Settings are drawn evenly over their ranges, trained, and ranked by what their
    models do on held-out photos, by their tags alone. Masks, where there are any, only
    show afterwards how well each criterion ranks. At the end, wsis tune prints the
    command that compares its choice by masks, or trains it where there are none.

    Every finished trial is kept in --out: after an interruption, the same command does
    what is missing.

    Args:
        miner: Miner, with settings that are not swept, such as cim:oversize=0.8; by
            default the recipe's. See: wsis parts miners.
        sweep: A setting and its range, with :log for equal factors or :int for whole
            numbers; repeatable. A field of the miner or the assigner, of both if they
            share its value (miner.NAME, assigner.NAME: of one), or any setting, such as
            schedule.lr. For cim: p_seed, containment, t_cls, t_iou, step, unless others
            are named.
        count: Number of settings to try, including the default. A later call with the
            same --out may ask for more.
        seeds: Every setting runs with seeds 0 to N-1.
        held_out: Share of the tagged training photos, in (0, 1), that training does not
            see and that settings are ranked by.
        views: Held-out photos that are also seen mirrored and smaller, for the criteria
            flips and scales.
        by: Criterion that chooses: combined, tag-ap, bag-ap, agreement, flips, scales,
            integrity, evidence or loss. All are reported.
        judge: Whether the masks of the validation photos tell how well the criteria
            rank; they choose nothing. By default they do, if there are any.
        out: Folder for tune.json, tune.csv, tune.html and all trials: a new one, or
            that of the same tuning, which is resumed.

    Examples:
        wsis tune --recipe photos-small --root photos
        wsis tune --miner cim --settings 40 --seeds 2 --set schedule.epochs=5
        wsis tune --sweep p_seed=0.01..0.3:log --sweep t_cls=0.1..0.5 --by flips
        wsis tune --miner pcl --sweep clusters=2..6:int
            --sweep schedule.lr=1e-5..1e-3:log
        wsis tune --data coco --images photos --train train.json --val val.json
    """
    from wsis._support.files import write_json, write_text
    from wsis.cli._show import resumable
    from wsis.experiments.tuning import Space, to_csv, tune
    from wsis.experiments.tuning.folder import DESIGN, RESULTS, TRIALS
    from wsis.experiments.tuning.results import CHOICES
    from wsis.report import write_tuned

    refuse_other(out, DESIGN, overwrite=overwrite)
    if by not in CHOICES:
        raise UsageError(f"expected --by one of {', '.join(CHOICES)}; got {by!r}")
    if not 0 < held_out < 1:
        raise UsageError(f"expected --held-out in (0, 1), got {held_out:g}")
    source = data.source(setup.chosen().data.label, train=True)
    pipeline = setup.pipeline(source)
    chosen = options.miner_of(miner or setup.chosen(source).miner.label)
    space = Space.of(chosen, pipeline.settings, sweep or [])
    if judge:
        options.masks_of(source)
    judged = source.val() is not None if judge is None else judge
    with resumable(out / TRIALS, "trials") as bars:
        found = tune(
            source,
            space,
            pipeline,
            settings=count,
            seeds=range(seeds),
            held_out=held_out,
            views=views,
            judged=judged,
            by=by,
            jobs=jobs,
            cluster=cluster,
            monitor=bars,
            folder=out,
            fresh=overwrite,
        )
    results = found.results()
    write_json(out / RESULTS, results)
    write_text(out / "tune.csv", to_csv(results))
    write_tuned(results, out / "tune.html")
    _print_settings(results)
    _print_verdict(results["verdict"])
    _warn(results)
    typer.echo(f"curves: {out / 'tune.html'}")
    typer.echo(f"chosen by {results['by']}: {results['chosen']['label']}")
    typer.echo(printable(_next(results, [*data.words(), *setup.words()], source)))


def _next(results: Mapping[str, Any], words: list[str], source: "DataSource") -> str:
    """Return the command that uses what was chosen, on the same data."""
    options = str(results["chosen"]["options"])
    if source.val() is None:
        # No masks, so nothing that a bench could measure by.
        options = options.replace("--miners", "--miner", 1) + " --out run"
    name = "train" if source.val() is None else "bench"
    return " ".join((f"wsis {name}", *([shlex.join(words)] if words else []), options))


def _print_settings(results: Mapping[str, Any]) -> None:
    """Print the best settings and the default, with all criteria."""
    from wsis.cli._show import print_table

    rows, judged = results["settings"], ["mAP50"] if results["verdict"] else []
    names = [name for name, value in rows[0]["criteria"].items() if value is not None]
    lines = [
        [
            str(row["rank"]),
            row["label"],
            *(_text(row["criteria"][name], 3) for name in names),
            *(_text(row["metrics"][name], 1) for name in judged),
        ]
        for row in rows
        if row["rank"] <= SHOWN or row["label"] == "default"
    ]
    print_table(["", "setting"], [*names, *judged], lines)


def _print_verdict(verdict: Mapping[str, Any] | None) -> None:
    """Print what masks say of every criterion."""
    from wsis.cli._show import print_table

    if verdict is None:
        typer.echo("no masks judged: how well the criterion ranks is not known here")
        return
    columns = ("Spearman", "95 %", "Kendall", "mAP50", "regret", "over default")
    rows = [
        [
            name,
            _text(one["spearman"], 2),
            "{:.2f} to {:.2f}".format(*one["interval"]) if one["interval"] else "–",
            _text(one["kendall"], 2),
            _text(one["chosen"], 1),
            _text(one["regret"], 1),
            f"{one['gain']:+.1f}",
        ]
        for name, one in verdict["criteria"].items()
    ]
    print_table(["criterion"], columns, rows)
    typer.echo(
        f"mAP50 of {verdict['settings']} settings: best {verdict['best']:.1f}, default "
        f"{verdict['default']:.1f}, mean {verdict['mean']:.1f}"
    )


def _warn(results: Mapping[str, Any]) -> None:
    """Say so if even the best models tell the tags hardly better than chance."""
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


def _text(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
