"""The folder of a bench: finished runs as they come, so that it can be gone on with."""

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools import mask as rle

from wsis._support.files import (
    append_json,
    atomic_write,
    differences,
    digest,
    in_words,
    read_json_lines,
    write_json,
)
from wsis.contracts import Predictions, Supervision
from wsis.evaluation.matches import Matches, joined
from wsis.experiments.records import Run
from wsis.experiments.shown import Shown

DESIGN, RUNS, KEPT = "bench.json", "runs.jsonl", "runs"


class BenchError(ValueError):
    """A folder holds another bench than the one asked for, or a damaged one."""


@dataclass(slots=True, kw_only=True)
class Folder:
    """Runs of one bench on disk: ``bench.json``, ``runs.jsonl``, and ``runs/``.

    Nothing is written before the first run is finished. A run's predictions and matches
    are written first, then its line is appended: a run that has a line is whole, and
    half a line, after a crash, is a run that is not there.

    Args:
        root: the folder.
        design: what each variant is, by label; what the figures depend on.
        fresh: forgets the runs of another bench, once there is one of this.
    """

    root: Path
    design: Mapping[str, Any]
    fresh: bool = False
    _begun: bool = field(default=False, init=False)

    def finished(self, fold: int | None = None) -> dict[tuple[str, int], Run]:
        """The runs that are there already, by label and seed; those of one fold.

        Raises:
            BenchError: if the folder holds a bench that differs; says in what.
        """
        if self.fresh or not (self.root / DESIGN).is_file():
            return {}
        found = json.loads((self.root / DESIGN).read_text())
        asked = json.loads(json.dumps(self.design, default=str))
        changes = differences(
            {k: v for k, v in found.items() if k in asked},
            {k: v for k, v in asked.items() if k in found},
        )
        if changes:
            raise BenchError(
                f"{self.root} holds another bench ({in_words(changes)}); choose "
                "another --out, or --overwrite it"
            )
        return {
            (run.miner, run.seed): run
            for run in read_runs(self.root)
            if run.miner in asked and run.fold == fold
        }

    def keep(
        self,
        run: Run,
        predictions: Sequence[Predictions],
        matches: Matches,
        shown: Shown | None = None,
    ) -> None:
        """Writes a finished run."""
        self._begin()
        key = run.miner, run.seed, run.fold
        matches.save(matches_path(self.root, *key))
        write_predictions(predictions_path(self.root, *key), predictions)
        if shown is not None:
            shown.save(shown_path(self.root, *key))
        append_json(self.root / RUNS, run.values())

    def _begin(self) -> None:
        if self._begun:
            return
        self.root.mkdir(parents=True, exist_ok=True)
        kept = self.root / KEPT
        if self.fresh:
            (self.root / RUNS).unlink(missing_ok=True)
            (self.root / DESIGN).unlink(missing_ok=True)
            for old in kept.glob("*"):
                old.unlink()
        for left in kept.glob(".*"):  # temporary files of a crash
            left.unlink()
        path = self.root / DESIGN
        known = json.loads(path.read_text()) if path.is_file() else {}
        write_json(path, {**known, **json.loads(json.dumps(self.design, default=str))})
        self._begun = True


def read_runs(root: Path) -> list[Run]:
    """The runs in ``runs.jsonl``, as they were finished; a broken line is no run."""
    found = []
    for values in read_json_lines(root / RUNS):
        try:
            run = Run(**values)
        except TypeError:
            continue
        if predictions_path(root, run.miner, run.seed, run.fold).is_file():
            found.append(run)
    return found


def matches_path(root: Path, label: str, seed: int, fold: int | None = None) -> Path:
    """Where a run's matches are."""
    return root / KEPT / f"{_name(label, seed, fold)}.matches.safetensors"


def shown_path(root: Path, label: str, seed: int, fold: int | None = None) -> Path:
    """Where what reports show of a run is; the first seed has it."""
    return root / KEPT / f"{_name(label, seed, fold)}.shown.json.gz"


def read_matches(
    root: Path, label: str, seed: int, folds: int | None = None
) -> Matches:
    """The matches of a seed; those of all folds joined, where there are folds.

    Raises:
        BenchError: if a file is missing.
        ValueError: if one is damaged.
    """
    parts = []
    for fold in [None] if folds is None else range(folds):
        path = matches_path(root, label, seed, fold)
        if not path.is_file():
            raise BenchError(f"expected {path}, it is missing")
        parts.append(Matches.load(path))
    return joined(parts)


def predictions_path(
    root: Path, label: str, seed: int, fold: int | None = None
) -> Path:
    """Where a run's predictions are."""
    return root / KEPT / f"{_name(label, seed, fold)}.predictions.json.gz"


def write_predictions(path: Path, predictions: Sequence[Predictions]) -> None:
    """Predictions as compressed JSON, masks as COCO's run lengths; atomically."""
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
    """Predictions that ``write_predictions`` wrote.

    Raises:
        BenchError: if the file is damaged.
    """
    try:
        content = json.loads(gzip.decompress(path.read_bytes()))
        return [_predictions(one) for one in content]
    except (ValueError, KeyError, EOFError, gzip.BadGzipFile) as error:
        raise BenchError(f"{path} is damaged: {error}") from None


def _predictions(one: Mapping[str, Any]) -> Predictions:
    height, width = one["size"]
    masks = [
        {"size": [height, width], "counts": counts.encode()} for counts in one["counts"]
    ]
    boxes = np.asarray(rle.toBbox(masks), np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return Predictions(
        image_id=one["image_id"],
        size=(height, width),
        index=torch.tensor(one["index"], dtype=torch.long),
        label=torch.tensor(one["label"], dtype=torch.long),
        score=torch.tensor(one["score"], dtype=torch.float32),
        boxes=torch.from_numpy(boxes),
        masks=masks,
        ledger=frozenset(Supervision(label) for label in one["ledger"]),
    )


def _name(label: str, seed: int, fold: int | None) -> str:
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", label).strip("-.")[:60]
    held_out = "" if fold is None else f"-fold{fold}"
    return f"{plain}-{digest(label)[:6]}-{seed}{held_out}"
