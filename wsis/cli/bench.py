"""``wsis bench``: compares strategies."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from wsis.cli import _options as options
from wsis.cli._errors import UsageError
from wsis.cli._files import refuse_inputs, refuse_other

if TYPE_CHECKING:
    from wsis.experiments import Variant
    from wsis.runs import Pipeline


class _Benches(TyperGroup):
    """``bench`` with its own options, or one of its commands; told apart by context."""

    context_class = typer.Context


app = options.command_group(name="bench", cls=_Benches, invoke_without_command=True)


@options.command(app.callback)
def bench(
    ctx: typer.Context,
    *,
    miners: str | None = None,
    vary: Annotated[str | None, typer.Option(metavar="WHAT=VALUE,VALUE,...")] = None,
    ablate: Annotated[bool, typer.Option("--ablate")] = False,
    tuned: Annotated[list[Path] | None, typer.Option(metavar="FOLDER")] = None,
    trace: Annotated[bool, typer.Option("--trace")] = False,
    ceiling: Annotated[bool | None, typer.Option("--ceiling/--no-ceiling")] = None,
    proposal_free: Annotated[
        bool, typer.Option("--proposal-free/--no-proposal-free")
    ] = False,
    seeds: Annotated[int, typer.Option(min=1)] = 1,
    folds: Annotated[int | None, typer.Option(metavar="K")] = None,
    jobs: options.Jobs = options.JOBS,
    cluster: options.Cluster = None,
    out: Path = Path("wsis-bench"),
    data: options.Data,
    setup: options.Setup,
    overwrite: options.Overwrite = False,
    track: options.Track = None,
) -> None:
    """Compare strategies under identical settings, and write a report.

    Proposals and frozen features are made once and kept in the cache; every strategy
    then trains from the same weights on the same images in the same order. Two more
    rows show the best that the proposals allow (oracle) and what they give by chance
    (random). A third shows what the network learns from true masks (ceiling), and a
    fourth, on demand, what another network finds without proposals (proposal-free).

    Finished runs are kept in --out: after an interruption, the same command does the
    rest. Differences from the first strategy come with 95 % intervals and a
    verdict; a single seed proves nothing.

    Args:
        miners: Miners, comma-separated, each with its settings if you like:
            cim,mist:reading=box. See: wsis parts miners.
        vary: Compare values of one part or setting, with one miner (cim by default):
            miner, sampler, proposals, backbone, head, cues, assigner, or any other such
            as schedule.lr.
        ablate: Compare CIM with itself without each of its components in turn.
        tuned: Compare what wsis tune chose, with or without --miners; repeatable.
        trace: Compare what branches are taught with the masks of the training photos,
            which training does not see.
        ceiling: Also train the same network with true masks in place of a miner, with
            every seed, and say how much of that each miner reaches. By default, only on
            drawn scenes, with the first seed, if that is a single run.
        proposal_free: Also learn, with every seed, to group cells of the same feature
            maps without proposals, from the same tags.
        seeds: Every strategy runs with seeds 0 to N-1.
        folds: Cross-validate: split the images of both halves into K parts, at least 2,
            and hold out each part once, for every strategy and seed.
        out: Folder for results.json, report.html and all runs: a new one, or that of
            the same bench, which is resumed.

    Examples:
        wsis bench --miners cim,mist,oicr
        wsis bench --miners cim,cim:p_seed=0.2 --seeds 3 --set schedule.epochs=8
        wsis bench --vary sampler=none,anti_noise --miners cim --seeds 5
        wsis bench --ablate --seeds 3 --out ablation
        wsis bench --miners cim,mist --tuned tuned-cim --tuned tuned-mist --seeds 5
        wsis bench --miners cim,mist --seeds 3 --folds 5 --out folds
        wsis bench --miners cim,mist --seeds 3 --ceiling --out ceiling
        wsis bench --miners cim --proposal-free --data scenes
        wsis bench compare one-folder another-folder
        wsis bench --miners cim --data scenes:train_images=100:seed=3
        wsis bench --miners cim,mist:reading=box --data coco --images photos
            --train train.json --val val.json --classes voc
    """
    if ctx.invoked_subcommand is not None:
        return
    from wsis import experiments
    from wsis.cli._show import print_comparison, resumable
    from wsis.experiments.folders import DESIGN, RUNS
    from wsis.report import caption

    refuse_other(out, DESIGN, overwrite=overwrite)
    if not (miners or vary or ablate or tuned):
        raise UsageError(
            "Missing option '--miners', or --vary, or --ablate, or --tuned"
        )
    ways = {"--vary": vary, "--ablate": ablate, "--tuned": tuned}
    given = [name for name, value in ways.items() if value]
    if len(given) > 1:
        raise UsageError(
            f"expected one of {', '.join(ways)}; got {' and '.join(given)}"
        )
    source = data.source(setup.chosen().data.label, train=True)
    pipeline = setup.pipeline(source)
    variants = _variants(miners, vary, ablate, tuned or (), pipeline)
    options.masks_of(source)
    with resumable(out / RUNS, "runs") as bars:
        found = experiments.compare(
            variants,
            source,
            pipeline,
            seeds=seeds,
            jobs=jobs,
            cluster=cluster,
            monitor=bars,
            folder=out,
            fresh=overwrite,
            trace=trace,
            folds=folds,
            ceiling=ceiling,
            proposal_free=proposal_free,
            tracker=track or (),
        )
    found.save(out)
    results = found.results()
    print_comparison(results)
    typer.echo(caption(results))
    typer.echo(f"report: {out / 'report.html'}")


@options.command(app.command, strict=False)
def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...")],
    figures: options.Figures = None,
) -> None:
    """Judge the strategies of several benches against the first one of the first.

    Folders are refused, and the difference is named, if their settings, data, objects
    or versions differ; seeds may.

    Args:
        folders: What wsis bench wrote, two or more.

    Examples:
        wsis bench compare wsis-bench other --json verdict.json
    """
    from wsis._support.files import write_json
    from wsis.cli._show import print_verdict
    from wsis.experiments import compare_folders

    if figures is not None:
        refuse_inputs(figures, folders, option="--json")
    verdict = compare_folders(folders)
    if figures is not None:
        write_json(figures, verdict)
    print_verdict(verdict)


def _variants(
    miners: str | None,
    varied: str | None,
    ablate: bool,
    tuned: Sequence[Path],
    pipeline: "Pipeline",
) -> "list[Variant]":
    """Return the strategies that the options name."""
    from wsis.experiments import ablation, variants_of, vary

    if tuned:
        named = variants_of(options.miners_of(miners)) if miners else []
        return named + _tuned(tuned, pipeline)
    several = options.miners_of(miners or "cim")
    if not (varied or ablate):
        return variants_of(several)
    if len(several) != 1:
        raise UsageError(f"expected one miner with --vary or --ablate, got {miners}")
    if varied:
        return vary(varied, several[0])
    return ablation(several[0], pipeline.sampler(several[0]))


def _tuned(folders: Sequence[Path], pipeline: "Pipeline") -> "list[Variant]":
    """Return what tunings chose; tell where they had other settings."""
    from wsis._support.files import in_words
    from wsis.experiments.tuning.folder import chosen

    found = chosen(folders)
    for choice, folder in zip(found, folders, strict=True):
        changes = choice.elsewhere(pipeline.settings)
        if changes:
            other = f"{folder} was tuned with other settings ({in_words(changes)})"
            typer.echo(f"wsis: {other}", err=True)
    return [choice.variant for choice in found]
