"""The folder of a bench: finished runs as they come, and the folders side by side."""

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from wsis._support.files import (
    atomic_write,
    differences,
    digest,
    parse_json,
    read_json_lines,
)
from wsis._support.journal import Journal, JournalError
from wsis.contracts import Supervision
from wsis.evaluation.matches import Matches, joined
from wsis.experiments._verdicts import judge
from wsis.experiments.records import RunRecord
from wsis.experiments.runner import Done
from wsis.geometry.predictions import Predictions
from wsis.report.shown import Shown

DESIGN, RUNS, KEPT = "bench.json", "runs.jsonl", "runs"

Key = tuple[str, int, int | None]
"""Label, seed and fold; None where the data set has halves of its own."""


@dataclass(slots=True, kw_only=True)
class Kept:
    """Finished runs: in a folder where there is one, else in memory.

    The folder has ``bench.json``, ``runs.jsonl`` and ``runs/``. A run's predictions and
    matches are written first, then its line: a run that has a line is whole.

    Args:
        root: the folder; None keeps runs in memory.
        design: what each variant's figures depend on, by label.
        fresh: forgets the runs of another bench, once there is one of this.
        folds: how many there are; None where there are none.
        first: the seed whose predictions are shown.
        runs: the finished ones.

    Raises:
        JournalError: if the folder holds another bench; the message says what differs.
    """

    root: Path | None
    design: Mapping[str, Any]
    fresh: bool
    folds: int | None
    first: int
    runs: dict[Key, RunRecord] = field(default_factory=dict, init=False)
    _done: dict[Key, Done] = field(default_factory=dict, init=False)
    _journal: Journal | None = field(default=None, init=False)
    _begun: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if self.root is None:
            return
        self._journal = Journal(
            root=self.root,
            what="bench",
            stamp=DESIGN,
            lines=RUNS,
            design=self.design,
            partial=True,
            fresh=self.fresh,
        )
        for run in _whole(self._journal.read(), self.root):
            if run.miner in self.design and run.fold in self.parts:
                self.runs[run.miner, run.seed, run.fold] = run

    @property
    def parts(self) -> Sequence[int | None]:
        """The parts that are held out in turn; None for the data set's own halves."""
        return [None] if self.folds is None else range(self.folds)

    def add(self, done: Done) -> None:
        """Keep a finished run."""
        run = done.run
        key = run.miner, run.seed, run.fold
        if self._journal is not None:
            self._write(self._journal, key, done)
        elif self.folds is None and run.seed != self.first:
            self._done[key] = replace(done, predictions=[])  # nobody asks for them
        else:
            self._done[key] = done
        self.runs[key] = run

    def of_seed(self, label: str, seed: int) -> list[RunRecord]:
        """Return a seed's runs, fold by fold."""
        return [self.runs[key] for key in self._keys(label, seed)]

    def matches(self, label: str, seed: int) -> Matches:
        """Return a seed's matches; those of all folds one after another."""
        if self.root is not None:
            return read_matches(self.root, label, seed, self.folds)
        return joined([self._done[key].matches for key in self._keys(label, seed)])

    def predictions(self, label: str, seed: int) -> list[Predictions]:
        """Return a seed's predictions; those of all folds one after another."""
        return [
            one
            for key in self._keys(label, seed)
            for one in (
                self._done[key].predictions
                if self.root is None
                else read_predictions(predictions_path(self.root, *key))
            )
        ]

    def shown(self, label: str) -> Shown | None:
        """Return what reports show of the first seed, of all folds.

        None if a part is missing, as it is in folders of older versions.
        """
        parts: list[Shown] = []
        for key in self._keys(label, self.first):
            if self.root is None:
                found = self._done[key].shown
            else:
                path = shown_path(self.root, *key)
                found = Shown.load(path) if path.is_file() else None
            if found is None:
                return None
            parts.append(found)
        return Shown(
            predictions={i: x for part in parts for i, x in part.predictions.items()},
            objects={i: x for part in parts for i, x in part.objects.items()},
            mined={i: x for part in parts for i, x in part.mined.items()},
        )

    def _keys(self, label: str, seed: int) -> list[Key]:
        return [(label, seed, fold) for fold in self.parts]

    def _write(self, journal: Journal, key: Key, done: Done) -> None:
        kept = journal.root / KEPT
        if not self._begun:
            journal.begin()
            self._begun = True
            # Temporary files of a crash, and runs of the bench that is forgotten.
            for old in [*kept.glob(".*"), *(kept.glob("*") if self.fresh else ())]:
                old.unlink(missing_ok=True)
        done.matches.save(matches_path(journal.root, *key))
        write_predictions(predictions_path(journal.root, *key), done.predictions)
        if done.shown is not None:
            done.shown.save(shown_path(journal.root, *key))
        journal.append(done.run.values())


def read_runs(root: Path) -> list[RunRecord]:
    """Return the runs in ``runs.jsonl`` in order; a broken line is no run."""
    return list(_whole(read_json_lines(root / RUNS), root))


def _whole(lines: Iterable[Any], root: Path) -> Iterator[RunRecord]:
    for values in lines:
        try:
            run = RunRecord(**values)
        except TypeError:
            continue
        if predictions_path(root, run.miner, run.seed, run.fold).is_file():
            yield run


def matches_path(root: Path, label: str, seed: int, fold: int | None = None) -> Path:
    """Return where a run's matches are."""
    return root / KEPT / f"{_name(label, seed, fold)}.matches.safetensors"


def shown_path(root: Path, label: str, seed: int, fold: int | None = None) -> Path:
    """Return where what reports show of a run is; the first seed has it."""
    return root / KEPT / f"{_name(label, seed, fold)}.shown.json.gz"


def read_matches(
    root: Path, label: str, seed: int, folds: int | None = None
) -> Matches:
    """Return the matches of a seed; those of all folds joined, where there are folds.

    Raises:
        JournalError: if a file is missing.
        ValueError: if one is damaged.
    """
    parts = []
    for fold in [None] if folds is None else range(folds):
        path = matches_path(root, label, seed, fold)
        if not path.is_file():
            raise JournalError(f"expected {path}, it is missing")
        parts.append(Matches.load(path))
    return joined(parts)


def predictions_path(
    root: Path, label: str, seed: int, fold: int | None = None
) -> Path:
    """Return where a run's predictions are."""
    return root / KEPT / f"{_name(label, seed, fold)}.predictions.json.gz"


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
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    with atomic_write(path) as temporary:
        # Without a time stamp: the same predictions are the same file.
        temporary.write_bytes(gzip.compress(text.encode(), compresslevel=6, mtime=0))


def read_predictions(path: Path) -> list[Predictions]:
    """Read what ``write_predictions`` wrote.

    Raises:
        JournalError: if the file is damaged.
    """
    try:
        content = parse_json(gzip.decompress(path.read_bytes()))
        return [_predictions(one) for one in content]
    except (ValueError, KeyError, EOFError, gzip.BadGzipFile) as error:
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


def _name(label: str, seed: int, fold: int | None) -> str:
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", label).strip("-.")[:60]
    held_out = "" if fold is None else f"-fold{fold}"
    return f"{plain}-{digest(label)[:6]}-{seed}{held_out}"


def compare_folders(folders: Sequence[Path]) -> dict[str, Any]:
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
    found = [_read(folder) for folder in folders]
    if len(found) < 2:
        raise JournalError(f"expected two folders or more, got {len(found)}")
    for folder, results in zip(folders[1:], found[1:], strict=True):
        changes = differences(_shared(found[0]), _shared(results))
        if changes:
            said = "; ".join(
                f"{name}: {_said(one)} and {_said(other)}"
                for name, (one, other) in changes.items()
            )
            raise JournalError(f"{folders[0]} and {folder} cannot be compared ({said})")
    labels = [{run["miner"] for run in results["runs"]} for results in found]
    runs: dict[tuple[str, int], Matches] = {}
    for i, (folder, results) in enumerate(zip(folders, found, strict=True)):
        others = set().union(*(labels[:i] + labels[i + 1 :]))
        folds = results["settings"]["data"].get("folds", {}).get("count")
        for run in results["runs"]:
            label, seed = run["miner"], run["seed"]
            name = f"{label} ({folder.name})" if label in others else label
            runs[name, seed] = read_matches(folder, label, seed, folds)
    return judge(runs)


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "results.json"
    if not path.is_file():
        raise JournalError(
            f"expected {folder} to hold a finished bench, it has no results.json"
        )
    try:
        results: dict[str, Any] = parse_json(path.read_text())
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
