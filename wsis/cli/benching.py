"""``wsis bench``: compares strategies."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from wsis._support.files import atomic_write, in_words, write_json
from wsis.cli.building import miner_list, named, pipeline
from wsis.cli.display import Bars
from wsis.cli.errors import UsageError
from wsis.cli.folders import refuse_inputs
from wsis.cli.options import Data, Setup
from wsis.cli.sources import data_source
from wsis.cli.verdicts import print_summary, print_verdict
from wsis.evaluation import Trace
from wsis.experiments import (
    Variant,
    ablation,
    compare,
    compare_folders,
    of_miners,
    vary,
)
from wsis.experiments.journal import RUNS
from wsis.experiments.summary import caption, to_csv, to_markdown
from wsis.experiments.tuning import Choice
from wsis.report import write_report
from wsis.runs.pipeline import Pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What is compared, as the options say it.

    Args:
        miners: with commas between; None is cim where the others name what differs.
        vary: what differs and its values.
        ablate: CIM with each of its components left out.
        tuned: folders of tunings, whose choices are compared beside the miners.
    """

    miners: str | None
    vary: str | None
    ablate: bool
    tuned: Sequence[Path] = ()

    def variants(self, parts: Pipeline) -> list[Variant]:
        """The variants.

        Raises:
            UsageError: if the options do not go together.
            LookupError: if a miner is not installed.
            ValueError: if a setting is unknown or out of range.
        """
        if not (self.miners or self.vary or self.ablate or self.tuned):
            raise UsageError(
                "Missing option '--miners', or --vary, or --ablate, or --tuned"
            )
        ways = {"--vary": self.vary, "--ablate": self.ablate, "--tuned": self.tuned}
        given = [name for name, value in ways.items() if value]
        if len(given) > 1:
            raise UsageError(
                f"expected one of {', '.join(ways)}; got {' and '.join(given)}"
            )
        if self.tuned:
            miners = miner_list(self.miners) if self.miners else []
            return of_miners(miners) + self._choices(parts)
        miners = miner_list(self.miners or "cim")
        if not (self.vary or self.ablate):
            return of_miners(miners)
        if len(miners) != 1:
            raise UsageError(
                f"expected one miner with --vary or --ablate, got {self.miners}"
            )
        if self.vary:
            return vary(self.vary, miners[0])
        return ablation(miners[0], parts.sampler(miners[0]))

    def _choices(self, parts: Pipeline) -> list[Variant]:
        """What the tunings chose; those of one miner have their folder's name."""
        choices = [Choice.read(folder) for folder in self.tuned]
        labels = [one.variant.label for one in choices]
        for choice, folder in zip(choices, self.tuned, strict=True):
            changes = choice.elsewhere(parts.settings)
            if changes:
                typer.echo(
                    f"wsis: {folder} was tuned with other settings "
                    f"({in_words(changes)})",
                    err=True,
                )
        return [
            choice.variant
            if labels.count(label) == 1
            else replace(choice.variant, label=f"{label} ({folder.resolve().name})")
            for choice, label, folder in zip(choices, labels, self.tuned, strict=True)
        ]


def bench(
    compared: Compared,
    seeds: int,
    jobs: int,
    out: Path,
    data: Data,
    setup: Setup,
    *,
    overwrite: bool,
    trace: bool = False,
    folds: int | None = None,
) -> None:
    """Writes ``results.json`` and ``report.html`` into ``out``; prints the table."""
    parts = pipeline(setup)
    variants = compared.variants(parts)
    source = data_source(named(data, setup), "train", "val")
    try:
        with Bars() as bars:
            found = compare(
                source,
                variants,
                parts,
                seeds=range(seeds),
                jobs=jobs,
                monitor=bars,
                folder=out,
                fresh=overwrite,
                watch=Trace.of if trace else None,
                folds=folds,
            )
    except BaseException:
        if (out / RUNS).is_file():
            typer.echo(f"wsis: finished runs are kept in {out}", err=True)
        raise
    results = found.results()
    write_json(out / "results.json", results)
    _write(out / "summary.csv", to_csv(results))
    _write(out / "summary.md", to_markdown(results))
    write_report(found, found.val or source.val(), parts, out / "report.html")
    print_summary(results)
    typer.echo(caption(results))
    typer.echo(f"report: {out / 'report.html'}")


def compare_benches(folders: list[Path], figures: Path | None) -> None:
    """Prints the verdict over several folders, and writes it to a file."""
    if figures is not None:
        refuse_inputs(figures, folders, option="--json")
    verdict = compare_folders(folders)
    if figures is not None:
        write_json(figures, verdict)
    print_verdict(verdict)


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
