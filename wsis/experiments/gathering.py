"""The runs of a bench as they come in, and those of a seed's folds as one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from wsis.contracts import Predictions
from wsis.evaluation.matches import Matches, joined
from wsis.experiments.journal import (
    Folder,
    predictions_path,
    read_matches,
    read_predictions,
    shown_path,
)
from wsis.experiments.records import Run
from wsis.experiments.resampling import of_classes, point
from wsis.experiments.runner import Done
from wsis.experiments.shown import Shown

Key = tuple[str, int, int | None]
"""Label, seed and fold."""


@dataclass(slots=True, kw_only=True)
class Gathered:
    """What runs gave: on disk where there is a folder, else in memory.

    Args:
        folder: where runs are kept.
        folds: how many there are; None where there are none.
        first: the seed whose predictions are shown.
        runs: finished ones by label, seed and fold.
    """

    folder: Folder | None
    folds: int | None
    first: int
    runs: dict[Key, Run] = field(default_factory=dict)
    _matches: dict[Key, Matches] = field(default_factory=dict)
    _predictions: dict[Key, list[Predictions]] = field(default_factory=dict)
    _shown: dict[Key, Shown] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.folder is not None:
            for fold in self.parts:
                for (label, seed), run in self.folder.finished(fold).items():
                    self.runs[label, seed, fold] = run

    @property
    def parts(self) -> Sequence[int | None]:
        """What is held out in turn; None where the data set has halves of its own."""
        return [None] if self.folds is None else range(self.folds)

    def add(self, done: Done) -> None:
        """Keeps a finished run."""
        run = done.run
        key = run.miner, run.seed, run.fold
        if self.folder is not None:
            self.folder.keep(run, done.predictions, done.matches, done.shown)
        self.runs[key] = run
        self._matches[key] = done.matches
        # Of folds, those of all seeds are dissected at the end.
        if run.seed == self.first or (self.folder is None and self.folds is not None):
            self._predictions[key] = done.predictions
        if done.shown is not None:
            self._shown[key] = done.shown

    def of_seed(self, label: str, seed: int) -> list[Run]:
        """A seed's runs, fold by fold."""
        return [self.runs[label, seed, fold] for fold in self.parts]

    def matches(self, label: str, seed: int) -> Matches:
        """Of a seed; those of all folds one after another."""
        keys = [(label, seed, fold) for fold in self.parts]
        if self.folder is not None and any(key not in self._matches for key in keys):
            return read_matches(self.folder.root, label, seed, self.folds)
        return joined([self._matches[key] for key in keys])

    def predictions(self, label: str, seed: int) -> list[Predictions]:
        """Of a seed; those of all folds one after another."""
        found: list[Predictions] = []
        for fold in self.parts:
            key = label, seed, fold
            if key not in self._predictions and self.folder is not None:
                found += read_predictions(predictions_path(self.folder.root, *key))
            else:
                found += self._predictions[key]
        return found

    def shown(self, label: str) -> Shown | None:
        """What reports show of the first seed, of all folds; None if not all is kept.

        Folders of older versions have none.
        """
        parts = []
        for fold in self.parts:
            key = label, self.first, fold
            path = None if self.folder is None else shown_path(self.folder.root, *key)
            if key in self._shown:
                parts.append(self._shown[key])
            elif path is not None and path.is_file():
                parts.append(Shown.load(path))
            else:
                return None
        return Shown(
            predictions={i: x for part in parts for i, x in part.predictions.items()},
            objects={i: x for part in parts for i, x in part.objects.items()},
            mined={i: x for part in parts for i, x in part.mined.items()},
        )


def pooled(
    runs: Sequence[Run],
    matches: Matches,
    classes: Sequence[str],
    anatomy: dict[str, Any] | None,
) -> Run:
    """The runs of a seed's folds as one, measured on all images together.

    Every image is predicted by the model that has not seen it; average precision ranks
    the predictions of all models in one list. Seconds and skipped images add up, memory
    is the largest, losses are means, and the trace is the first fold's.

    Args:
        runs: in order of the folds.
        matches: of all folds.
        classes: names of labels 1…C.
        anatomy: of all folds' predictions.
    """
    first = runs[0]
    rows = of_classes(matches)
    return replace(
        first,
        fold=None,
        metrics=point(matches),
        per_class=dict(zip(classes, rows, strict=True)),
        train_seconds=sum(run.train_seconds for run in runs),
        predict_seconds=sum(run.predict_seconds for run in runs),
        peak_memory_mb=max(run.peak_memory_mb for run in runs),
        skipped=_sums(run.skipped for run in runs),
        losses=[
            {name: fmean(one[name] for one in epoch) for name in epoch[0]}
            for epoch in zip(*(run.losses for run in runs), strict=False)
        ],
        anatomy=anatomy,
    )


def _sums(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for of_run in counts:
        for reason, count in of_run.items():
            found[reason] = found.get(reason, 0) + count
    return found
