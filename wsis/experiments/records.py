"""Records of runs, and the comparison that they make up."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from wsis._support.files import digest, write_json, write_text
from wsis._support.provenance import versions
from wsis.contracts import Annotated
from wsis.evaluation import Evaluation, average
from wsis.evaluation.matches import Matches
from wsis.experiments._provenance import by_label, level
from wsis.experiments._resampling import of_classes, point
from wsis.geometry.predictions import Predictions
from wsis.report import (
    BOUNDS,
    METRICS,
    RESULTS,
    Strip,
    strips,
    to_csv,
    to_html,
    to_markdown,
    to_text,
    write_report,
)
from wsis.report.shown import Shown
from wsis.report.tables import SHARED
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import settings_hash


def file_name(label: str, seed: int, fold: int | None) -> str:
    """Return what the names of a run's files begin with."""
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", label).strip("-.")[:60]
    held_out = "" if fold is None else f"-fold{fold}"
    return f"{plain}-{digest(label)[:6]}-{seed}{held_out}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One variant, trained and evaluated with one seed.

    Args:
        miner: the variant's label.
        miner_settings: all of them, with the sampler.
        seed: of initial weights, order, cues and sampling.
        metrics, per_class: in percent.
        train_seconds: cached features excluded.
        predict_seconds: on the validation images.
        peak_memory_mb: highest during training and prediction.
        skipped: training images left out, by reason.
        losses: mean of each loss per epoch.
        overrides: ``key=value`` settings in which the variant differs.
        supervision: the labels consumed, by part; ``level`` sums them up.
        device, versions, commit: where and with what it was made, as far as is known.
        anatomy: errors by kind, as ``Anatomy.results``; None without objects to find.
        trace: results of the watcher, if there was one.
        fold: the part held out, 0…K−1; None with the data set's own halves, or for all
            folds of a seed together.
    """

    miner: str
    miner_settings: dict[str, Any]
    seed: int
    metrics: dict[str, float]
    per_class: dict[str, dict[str, float | None]]
    train_seconds: float
    predict_seconds: float
    peak_memory_mb: float
    skipped: dict[str, int]
    losses: list[dict[str, float]]
    overrides: list[str] = field(default_factory=list)
    supervision: dict[str, list[str]] = field(default_factory=dict)
    level: str = ""
    device: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    commit: str | None = None
    anatomy: dict[str, Any] | None = None
    trace: list[dict[str, Any]] | None = None
    fold: int | None = None

    @classmethod
    def pooled(
        cls,
        runs: Sequence["RunRecord"],
        matches: Matches,
        classes: Sequence[str],
        anatomy: dict[str, Any] | None,
    ) -> "RunRecord":
        """Return the runs of a seed's folds as one, measured on all images together.

        Every image is predicted by the model that has not seen it; average precision
        ranks the predictions of all models in one list. Seconds and skipped images add
        up, memory is the largest, losses are means, and the trace is the first fold's.

        Args:
            runs: in order of the folds.
            matches: of all folds.
            classes: names of labels 1…C.
            anatomy: of all folds' predictions.
        """
        reasons = dict.fromkeys(reason for run in runs for reason in run.skipped)
        return replace(
            runs[0],
            fold=None,
            metrics=point(matches),
            per_class=dict(zip(classes, of_classes(matches), strict=True)),
            train_seconds=sum(run.train_seconds for run in runs),
            predict_seconds=sum(run.predict_seconds for run in runs),
            peak_memory_mb=max(run.peak_memory_mb for run in runs),
            skipped={
                one: sum(run.skipped.get(one, 0) for run in runs) for one in reasons
            },
            losses=[
                {name: fmean(one[name] for one in epoch) for name in epoch[0]}
                for epoch in zip(*(run.losses for run in runs), strict=False)
            ],
            anatomy=anatomy,
        )

    def values(self) -> dict[str, Any]:
        """Return all fields, the fold where there is one: a line of ``runs.jsonl``."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        if self.fold is None:
            del found["fold"]
        return found

    def figures(self) -> dict[str, Any]:
        """Return what ``results.json`` has of each run, without errors and trace."""
        return {k: v for k, v in self.values().items() if k not in ("anatomy", "trace")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A strategy's part of its ceiling.

    Args:
        mean: in percent; above 100 where a miner does better than the masks did.
        deviation: over seeds; None for a single one.
        seeds: how many.
    """

    mean: float
    deviation: float | None
    seeds: int

    @classmethod
    def of(cls, shares: Sequence[float]) -> "Share | None":
        """Return the mean share of several seeds; None without any."""
        if not shares:
            return None
        deviation = stdev(shares) if len(shares) > 1 else None
        return cls(mean=fmean(shares), deviation=deviation, seeds=len(shares))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The difference of one strategy to the first, by one figure.

    Args:
        mean: the difference in percent, over the seeds that both have.
        deviation: over seeds; None for a single one, as ``interval`` and ``p``.
        seeds: how many.
        interval: of 95 %, over seeds and images.
        image_error: standard error over images alone.
        p, p_all: by itself, and for all comparisons of the figure together (Holm).
        verdict: ``better``, ``worse`` or ``not significant``.
        seeds_more: how many seeds would settle it; None if more seeds would not.
    """

    mean: float
    deviation: float | None
    seeds: int
    interval: tuple[float, float] | None
    image_error: float
    p: float | None
    p_all: float | None
    verdict: str
    seeds_more: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Rows beside the strategies: trainings of another kind.

    A ceiling is the same network, losses and steps, taught with true masks, and is not
    image-level; the proposal-free row is another network, taught with tags.

    Args:
        runs: by seed; ``miner`` is the row's name in tables.
        of: each strategy's row, by label.
    """

    runs: list[RunRecord]
    of: dict[str, str]

    def shares(self, runs: Sequence[RunRecord]) -> dict[str, dict[str, Share | None]]:
        """Return what strategies reach of their rows' figures, by label and figure.

        A share is a figure divided by the row's, in percent, seed by seed, of the seeds
        that both have; None where the row's is 0 in all of them.

        Args:
            runs: of the strategies.
        """
        tops = {(top.miner, top.seed): top.metrics for top in self.runs}
        found: dict[str, dict[str, Share | None]] = {}
        for label, row in self.of.items():
            pairs = [
                (run.metrics, tops[row, run.seed])
                for run in runs
                if run.miner == label and (row, run.seed) in tops
            ]
            found[label] = {
                name: Share.of(
                    [100 * a[name] / b[name] for a, b in pairs if b[name] > 0]
                )
                for name in SHARED
            }
        return found

    def results(self) -> dict[str, Any]:
        """Return the content of ``results.json`` about them."""
        consumed = by_label(run.supervision for run in self.runs)
        return {
            "supervision": consumed,
            "level": level(consumed),
            "of": self.of,
            "runs": [run.figures() for run in self.runs],
        }


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Comparison:
    """The result of a comparison; prints as a table, in a notebook too.

    Args:
        settings: everything that is identical for all runs.
        data: name, numbers of images, classes.
        oracle, random: what the first variant's proposals allow at best, and give by
            chance, in percent.
        runs: in the order of seeds, then of variants; the folds of a seed are one.
        supervision: the labels consumed by any run.
        prepare_seconds: for proposals and frozen features, cached ones included.
        pictures: each variant's predictions on the validation images, first seed.
        variants: each variant's label and its own settings.
        verdict: as ``verdicts.judge`` has it.
        truths: digest of the objects that were to be found.
        ceiling: the network taught with true masks; None where there is none.
        proposal_free: cells grouped without proposals; None where nothing is.
        folds: the single runs with folds, in the order of seeds, folds and variants;
            they have no anatomy of their own.
        val: the images of ``pictures``, in their order, and their objects.
        pipelines: each variant's.
        shown: kinds of errors, and what branches are taught; first seed.
    """

    settings: dict[str, Any]
    data: dict[str, Any]
    oracle: Evaluation
    random: Evaluation
    runs: list[RunRecord]
    supervision: list[str]
    prepare_seconds: float
    pictures: dict[str, list[Predictions]] = field(default_factory=dict)
    variants: list[dict[str, Any]] = field(default_factory=list)
    verdict: dict[str, Any] = field(default_factory=dict)
    truths: str = ""
    ceiling: Beside | None = None
    proposal_free: Beside | None = None
    folds: list[RunRecord] = field(default_factory=list)
    val: Annotated | None = None
    pipelines: Mapping[str, Pipeline] = field(default_factory=dict)
    shown: dict[str, Shown] = field(default_factory=dict)

    @property
    def verdicts(self) -> dict[str, dict[str, Verdict]]:
        """The difference of each further strategy to the first, by label and figure."""
        return {
            label: {name: Verdict(**one) for name, one in of_metric.items()}
            for label, of_metric in self.verdict.get("differences", {}).items()
        }

    @property
    def shares(self) -> dict[str, dict[str, Share | None]]:
        """The share of its ceiling that each strategy reaches, by label and figure."""
        return {} if self.ceiling is None else self.ceiling.shares(self.runs)

    def report(self, path: str | Path) -> Path:
        """Write a self-contained HTML page, and return its path."""
        return write_report(self.results(), self._strips(), Path(path))

    def save(self, folder: str | Path) -> None:
        """Write results, summaries and the page into a folder, as ``wsis bench`` does.

        ``wsis report`` builds the page again from what this writes.
        """
        folder, results = Path(folder), self.results()
        write_json(folder / RESULTS, results)
        write_text(folder / "summary.csv", to_csv(results))
        write_text(folder / "summary.md", to_markdown(results))
        write_report(results, self._strips(), folder / "report.html", keep=True)

    def results(self) -> dict[str, Any]:
        """Return the content of ``results.json``."""
        labels: dict[str, list[str]] = {label: [] for label in self.supervision}
        more: dict[str, Any] = {}
        if self.folds:
            more["folds"] = [run.figures() for run in self.folds]
        if self.ceiling is not None:
            shares = {
                label: {k: None if v is None else asdict(v) for k, v in one.items()}
                for label, one in self.shares.items()
            }
            more["ceiling"] = {**self.ceiling.results(), "shares": shares}
        if self.proposal_free is not None:
            more["proposal_free"] = self.proposal_free.results()
        return {
            "settings": self.settings,
            "settings_hash": settings_hash(self.settings),
            "versions": versions(),
            "commits": sorted({run.commit for run in self.runs if run.commit}),
            "data": self.data,
            "truths": self.truths,
            "supervision": labels | by_label(run.supervision for run in self.runs),
            "level": level(self.supervision),
            "prepare_seconds": self.prepare_seconds,
            "oracle": {name: self.oracle.metrics[name] for name in BOUNDS},
            "random": {name: self.random.metrics[name] for name in METRICS},
            "oracle_per_class": self.oracle.per_class,
            "random_per_class": self.random.per_class,
            "variants": self.variants,
            "verdict": self.verdict,
            "anatomy": self._anatomy(),
            "trace": {
                run.miner: run.trace
                for run in reversed(self.runs)
                if run.trace is not None
            },
            "runs": [run.figures() for run in self.runs],
            **more,
        }

    def __repr__(self) -> str:
        return to_text(self.results())

    def _repr_html_(self) -> str:
        return to_html(self.results())

    def _anatomy(self) -> dict[str, Any]:
        """Return each row's errors by kind, averaged over its seeds."""
        found: dict[str, list[dict[str, Any]]] = {}
        free = [] if self.proposal_free is None else self.proposal_free.runs
        for run in (*self.runs, *free):
            if run.anatomy is not None:
                found.setdefault(run.miner, []).append(run.anatomy)
        return {label: average(some) for label, some in found.items()}

    def _strips(self) -> list[Strip]:
        if self.val is None:
            return []
        return strips(self.val, self.pipelines, self.pictures, self.shown)
