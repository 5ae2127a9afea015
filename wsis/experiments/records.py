"""What a bench finds: runs, and the comparison that they make up."""

from dataclasses import dataclass, field
from typing import Any

from wsis._support.provenance import commit, versions
from wsis.contracts import Annotated, Predictions
from wsis.evaluation import Evaluation, average
from wsis.experiments.shown import Shown
from wsis.experiments.supervision import by_label, level
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import settings_hash

METRICS = ("mAP25", "mAP50", "mAP70", "mAP75", "AP")
BOUNDS = ("mAP25", "mAP50", "mAP70", "mAP75", "ABO")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One variant, trained and evaluated with one seed.

    Args:
        miner: the variant's label: its miner's, or what is varied.
        miner_settings: all of the miner's.
        seed: of initial weights, order, cues and sampling.
        metrics: in percent.
        per_class: the same of each class.
        train_seconds: of training, cached features excluded.
        predict_seconds: of predicting the validation images.
        peak_memory_mb: highest during training and prediction.
        skipped: training images left out, by reason.
        losses: mean of each loss per epoch.
        overrides: ``key=value`` settings in which the variant differs.
        supervision: the labels consumed, by part.
        level: ``image-level`` or ``not image-level``.
        device: where it ran.
        versions: of what it was made with.
        commit: of the code, where it is known.
        anatomy: what is wrong with its predictions, as ``Anatomy.results`` has it; the
            mean over seeds stands in ``results.json``. None of a validation set without
            objects.
        trace: what a watcher saw of training, where there was one.
        fold: which part of the images was held out, 0…K−1; None where the data set's
            own halves are taken, or where it stands for all folds of a seed.
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
    versions: dict[str, str] = field(default_factory=versions)
    commit: str | None = field(default_factory=commit)
    anatomy: dict[str, Any] | None = None
    trace: list[dict[str, Any]] | None = None
    fold: int | None = None

    def values(self) -> dict[str, Any]:
        """All fields, the fold where there is one."""
        found = {name: getattr(self, name) for name in RUN}
        if self.fold is None:
            del found["fold"]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a comparison found; ``results`` turns it into JSON-like values.

    Args:
        settings: everything that is identical for all runs.
        data: name, numbers of images, classes.
        oracle: what the proposals allow, in percent; the first variant's proposals.
        random: what they give by chance, in percent.
        runs: in the order of seeds, then of variants; with folds, those of a seed
            together.
        supervision: the labels consumed by any run.
        prepare_seconds: for proposals and frozen features, cached ones included.
        pictures: each variant's predictions on the validation images, first seed.
        variants: each variant's label and what is its own.
        verdict: as ``verdicts.judge`` has it.
        truths: digest of the objects that were to be found.
        folds: the single runs, where there are folds; in the order of seeds, then of
            folds, then of variants. They have no anatomy of their own.
        val: the images that ``pictures`` are of, in their order, and their objects.
        pipelines: each variant's.
        shown: what each variant's pictures tell besides, first seed.
    """

    settings: dict[str, Any]
    data: dict[str, Any]
    oracle: Evaluation
    random: Evaluation
    runs: list[Run]
    supervision: list[str]
    prepare_seconds: float
    pictures: dict[str, list[Predictions]] = field(default_factory=dict)
    variants: list[dict[str, Any]] = field(default_factory=list)
    verdict: dict[str, Any] = field(default_factory=dict)
    truths: str = ""
    folds: list[Run] = field(default_factory=list)
    val: Annotated | None = None
    pipelines: dict[str, Pipeline] = field(default_factory=dict)
    shown: dict[str, Shown] = field(default_factory=dict)

    def results(self) -> dict[str, Any]:
        """The content of ``results.json``."""
        labels: dict[str, list[str]] = {label: [] for label in self.supervision}
        folds = {"folds": [_plain(run) for run in self.folds]} if self.folds else {}
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
            "runs": [_plain(run) for run in self.runs],
            **folds,
        }

    def _anatomy(self) -> dict[str, Any]:
        """Each variant's, averaged over its seeds."""
        found: dict[str, list[dict[str, Any]]] = {}
        for run in self.runs:
            if run.anatomy is not None:
                found.setdefault(run.miner, []).append(run.anatomy)
        return {label: average(some) for label, some in found.items()}


RUN = tuple(Run.__dataclass_fields__)
"""What a run is in ``runs.jsonl``."""

_APART = ("anatomy", "trace")
"""What stands apart from the runs in ``results.json``."""


def _plain(run: Run) -> dict[str, Any]:
    return {k: v for k, v in run.values().items() if k not in _APART}
