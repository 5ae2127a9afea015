"""The folder of a bench: finished runs as they come, and the folders side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from wsis._support.checks import warn
from wsis._support.files import (
    differences,
    parse_json,
    read_packed,
    sha256,
    write_packed,
)
from wsis._support.journal import Journal, JournalError
from wsis.contracts import Supervision
from wsis.evaluation.matches import Matches, joined
from wsis.experiments._lines import check_version, records
from wsis.experiments._resampling import point
from wsis.experiments._verdicts import judge
from wsis.experiments.records import RunRecord, file_name
from wsis.experiments.runner import Done
from wsis.geometry.predictions import Predictions
from wsis.report.files import KEPT as REPORT
from wsis.report.files import RESULTS
from wsis.report.shown import Shown

DESIGN, RUNS, KEPT = "bench.json", "runs.jsonl", "runs"

MADE_FROM, SHOWN = "predictions", "shown"
"""Names of the checksums of a run's other files, in the file of its matches."""

Key = tuple[str, int, int | None]
"""Label, seed and fold; None where the data set has halves of its own."""


@dataclass(slots=True, kw_only=True)
class Kept:
    """The finished runs of a folder.

    The folder has ``bench.json``, ``runs.jsonl`` and ``runs/``. A run's predictions and
    matches are written first, then its line: a run that has a line is whole.

    Args:
        root: the folder.
        design: what each variant's figures depend on, by label.
        fresh: forgets the runs of another bench, once there is one of this.
        folds: how many there are; None where there are none.
        first: the seed whose predictions are shown.
        runs: the finished ones.

    Raises:
        JournalError: if the folder holds another bench; the message says what differs.
    """

    root: Path
    design: Mapping[str, Any]
    fresh: bool
    folds: int | None
    first: int
    runs: dict[Key, RunRecord] = field(default_factory=dict, init=False)
    _journal: Journal = field(init=False)
    _begun: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._journal = journal(self.root, self.design, fresh=self.fresh)
        for run in read_runs(self.root) if self._journal.resumes() else ():
            if run.miner in self.design and run.fold in self.parts:
                key = run.miner, run.seed, run.fold
                name = f"{run.miner}, seed {run.seed}"
                check_version(self.root / RUNS, name, run.versions)
                _check_figures(
                    self.root / RUNS, run.values(), _matches(self.root, *key)
                )
                _check_files(self.root, *key)
                self.runs[key] = run
        self._journal.lock()

    def close(self) -> None:
        """Let other processes work in the folder."""
        self._journal.close()

    @property
    def parts(self) -> Sequence[int | None]:
        """The parts that are held out in turn; None for the data set's own halves."""
        return [None] if self.folds is None else range(self.folds)

    def add(self, done: Done) -> None:
        """Keep a finished run."""
        run, kept = done.run, self.root / KEPT
        if not self._begun:
            self._journal.begin()
            self._begun = True
            # Temporary files of a crash, and runs of the bench that is forgotten.
            for old in [*kept.glob(".*"), *(kept.glob("*") if self.fresh else ())]:
                old.unlink(missing_ok=True)
        key = run.miner, run.seed, run.fold
        path = predictions_path(self.root, *key)
        write_predictions(path, done.predictions)
        about = {MADE_FROM: sha256(path)}
        if done.shown is not None:
            path = shown_path(self.root, *key)
            done.shown.save(path)
            about[SHOWN] = sha256(path)
        done.matches.save(matches_path(self.root, *key), about)
        self._journal.append(run.values())
        self.runs[key] = run
        for note in done.notes:
            warn(note)

    def matches(self, label: str, seed: int) -> Matches:
        """Return a seed's matches; those of all folds one after another."""
        return read_matches(self.root, label, seed, self.folds)

    def predictions(self, label: str, seed: int) -> list[Predictions]:
        """Return a seed's predictions; those of all folds one after another."""
        return [
            one
            for key in self._keys(label, seed)
            for one in read_predictions(predictions_path(self.root, *key))
        ]

    def shown(self, label: str) -> Shown | None:
        """Return what reports show of the first seed, of all folds.

        None if a part is missing, as it is in folders of older versions.
        """
        parts: list[Shown] = []
        for key in self._keys(label, self.first):
            path = shown_path(self.root, *key)
            if not path.is_file():
                return None
            parts.append(Shown.load(path))
        return Shown(
            predictions={i: x for part in parts for i, x in part.predictions.items()},
            objects={i: x for part in parts for i, x in part.objects.items()},
            mined={i: x for part in parts for i, x in part.mined.items()},
        )

    def _keys(self, label: str, seed: int) -> list[Key]:
        return [(label, seed, fold) for fold in self.parts]


def journal(root: Path, design: Mapping[str, Any], *, fresh: bool) -> Journal:
    """Return the journal of a bench's runs; the rest as in ``Kept``."""
    return Journal(
        root=root,
        what="bench",
        stamp=DESIGN,
        lines=RUNS,
        design=design,
        made=(RESULTS, REPORT, "report.html", "summary.csv", "summary.md"),
        partial=True,
        fresh=fresh,
    )


def read_runs(root: Path) -> list[RunRecord]:
    """Return the runs in ``runs.jsonl``, in order; warn of lines that are none."""

    def lost(run: RunRecord) -> str:
        path = predictions_path(root, run.miner, run.seed, run.fold)
        return "" if path.is_file() else f"{path.name} is missing"

    return records(root / RUNS, RunRecord, lost)


def _check_figures(path: Path, run: Mapping[str, Any], matches: Matches) -> None:
    """Make sure that the figures in a file are those that a run's matches give.

    Raises:
        JournalError: if they are not.
    """
    found = point(matches)
    other = [x for x in found if abs(found[x] - run["metrics"][x]) > 1e-6]
    if other:
        raise JournalError(
            f"{path}: {run['miner']}, seed {run['seed']} has {other[0]} "
            f"{run['metrics'][other[0]]:.6g}, its matches give {found[other[0]]:.6g}: "
            "one of them was changed; choose another folder (--out), or overwrite it "
            "(--overwrite, fresh=True)"
        )


def _check_files(root: Path, label: str, seed: int, fold: int | None) -> None:
    """Make sure that a run's files are those that were written with its matches.

    Raises:
        JournalError: if they are not.
    """
    key = label, seed, fold
    matches = matches_path(root, *key)
    about = Matches.about(matches)
    paths = {MADE_FROM: predictions_path(root, *key), SHOWN: shown_path(root, *key)}
    for name, path in paths.items():
        # Folders that wsis wrote before December 2026 do not tell.
        if name in about and path.is_file() and about[name] != sha256(path):
            raise JournalError(
                f"{path} is not the file that was written with {matches.name} beside "
                "it: it was exchanged or changed; put it back, choose another folder "
                "(--out), or overwrite it (--overwrite, fresh=True)"
            )


def _path(end: str, root: Path, label: str, seed: int, fold: int | None = None) -> Path:
    """Return where a file of a run is."""
    return root / KEPT / f"{file_name(label, seed, fold)}.{end}"


matches_path = partial(_path, "matches.safetensors")
predictions_path = partial(_path, "predictions.json.gz")
shown_path = partial(_path, "shown.json.gz")
"""Where what reports show of a run is; the first seed has it."""


def read_matches(
    root: Path, label: str, seed: int, folds: int | None = None
) -> Matches:
    """Return the matches of a seed; those of all folds joined, where there are folds.

    Raises:
        JournalError: if a file is missing.
        ValueError: if one is damaged.
    """
    parts = [None] if folds is None else range(folds)
    return joined([_matches(root, label, seed, fold) for fold in parts])


def _matches(root: Path, label: str, seed: int, fold: int | None) -> Matches:
    path = matches_path(root, label, seed, fold)
    if not path.is_file():
        raise JournalError(f"expected {path}, it is missing")
    return Matches.load(path)


def write_predictions(path: Path, predictions: Sequence[Predictions]) -> None:
    """Write predictions as compressed JSON, masks as run lengths; atomically."""
    content = [
        {
            "image_id": one.image_id,
            "size": list(one.size),
            "ledger": sorted(one.ledger),
            "index": one.index.tolist(),
            "label": one.label.tolist(),
            "score": one.score.tolist(),
            "counts": [
                m["counts"].decode() if isinstance(m["counts"], bytes) else m["counts"]
                for m in one.masks
            ],
        }
        for one in predictions
    ]
    write_packed(path, content)


def read_predictions(path: Path) -> list[Predictions]:
    """Read what ``write_predictions`` wrote.

    Raises:
        JournalError: if the file is damaged.
    """
    try:
        return [_predictions(one) for one in read_packed(path)]
    except (ValueError, KeyError) as error:
        raise JournalError(f"{path} is damaged: {error}") from None


def _predictions(one: Mapping[str, Any]) -> Predictions:
    height, width = one["size"]
    masks = [
        {"size": [height, width], "counts": counts.encode()} for counts in one["counts"]
    ]
    return Predictions.of_masks(
        one["image_id"],
        (height, width),
        masks,
        label=torch.tensor(one["label"], dtype=torch.long),
        score=torch.tensor(one["score"], dtype=torch.float32),
        index=torch.tensor(one["index"], dtype=torch.long),
        ledger=frozenset(Supervision(label) for label in one["ledger"]),
    )


def compare_folders(folders: Sequence[str | Path]) -> dict[str, Any]:
    """Judge the strategies of several folders against the first folder's first one.

    A strategy that several folders have is named after its folder, too: ``cim (b)``.
    Seeds are paired where both strategies have them.

    Args:
        folders: what ``wsis bench`` wrote.

    Raises:
        JournalError: if a folder holds no finished bench, or they differ in what all
            runs of a bench share: settings, data, objects to find, versions. The
            message says what differs.
    """
    paths = [Path(folder) for folder in folders]
    found = [_read(path) for path in paths]
    if len(found) < 2:
        raise JournalError(f"expected two folders or more, got {len(found)}")
    for path, results in zip(paths[1:], found[1:], strict=True):
        changes = differences(_shared(found[0]), _shared(results))
        if changes:
            said = "; ".join(
                f"{name}: {_said(one)} and {_said(other)}"
                for name, (one, other) in changes.items()
            )
            raise JournalError(f"{paths[0]} and {path} cannot be compared ({said})")
    labels = [{run["miner"] for run in results["runs"]} for results in found]
    runs: dict[tuple[str, int], Matches] = {}
    for i, (path, results) in enumerate(zip(paths, found, strict=True)):
        others = set().union(*(labels[:i] + labels[i + 1 :]))
        folds = results["settings"]["data"].get("folds", {}).get("count")
        for run in results["runs"]:
            label, seed = run["miner"], run["seed"]
            name = f"{label} ({path.name})" if label in others else label
            runs[name, seed] = read_matches(path, label, seed, folds)
            _check_figures(path / RESULTS, run, runs[name, seed])
    return judge(runs)


def _read(folder: Path) -> dict[str, Any]:
    path = folder / RESULTS
    if not path.is_file():
        raise JournalError(
            f"expected {folder} to hold a finished bench, it has no {RESULTS}"
        )
    try:
        results: dict[str, Any] = parse_json(path.read_bytes())
        _ = results["settings"]["data"], results["truths"], results["runs"]
    except (ValueError, KeyError, TypeError) as error:
        raise JournalError(f"{path} holds no results of wsis bench: {error}") from None
    return results


def _said(value: Any) -> str:
    # A bench shares no setting that it varies.
    return "none that all share" if value is None else repr(value)


def _shared(results: dict[str, Any]) -> dict[str, Any]:
    # Seeds may differ: those that both have are compared.
    return {
        **{k: v for k, v in results["settings"].items() if k != "seeds"},
        "classes": results["data"]["classes"],
        "truths": results["truths"],
        "versions": results["versions"],
    }
