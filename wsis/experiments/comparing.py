"""Results of several benches beside each other, if they can be compared at all."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wsis._support.files import differences
from wsis.evaluation.matches import Matches
from wsis.experiments.journal import BenchError, read_matches
from wsis.experiments.verdicts import judge

_FREE = {"seeds"}
"""Settings that may differ: what both have is compared."""


def compare_folders(folders: Sequence[Path]) -> dict[str, Any]:
    """The verdict over the strategies of several folders; the first is the measure.

    A strategy that several folders have is told apart by its folder: ``cim (b)``. Seeds
    are paired where both strategies have them.

    Args:
        folders: what ``wsis bench`` wrote.

    Raises:
        BenchError: if a folder is not a finished bench, or they differ in what all
            runs of a bench share: settings, data, objects to find, versions. The
            message says in what.
    """
    found = [_read(folder) for folder in folders]
    if len(found) < 2:
        raise BenchError(f"expected two folders or more, got {len(found)}")
    for folder, results in zip(folders[1:], found[1:], strict=True):
        changes = differences(_shared(found[0]), _shared(results))
        if changes:
            said = "; ".join(
                f"{name}: {_said(one)} and {_said(other)}"
                for name, (one, other) in changes.items()
            )
            raise BenchError(f"{folders[0]} and {folder} cannot be compared ({said})")
    labels = [{run["miner"] for run in results["runs"]} for results in found]
    runs: dict[tuple[str, int], Matches] = {}
    for i, (folder, results) in enumerate(zip(folders, found, strict=True)):
        others = set().union(*(labels[:i] + labels[i + 1 :]))
        order = list(dict.fromkeys(run["miner"] for run in results["runs"]))
        for label in order:
            name = f"{label} ({folder.name})" if label in others else label
            for run in results["runs"]:
                if run["miner"] == label:
                    folds = results["settings"]["data"].get("folds")
                    runs[name, run["seed"]] = read_matches(
                        folder, label, run["seed"], folds and folds["count"]
                    )
    return judge(runs)


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "results.json"
    if not path.is_file():
        raise BenchError(
            f"expected {folder} to hold a finished bench, it has no results.json"
        )
    try:
        results: dict[str, Any] = json.loads(path.read_text())
        _ = results["settings"]["data"], results["truths"], results["runs"]
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{path} holds no results of wsis bench: {error}") from None
    return results


def _said(value: Any) -> str:
    # A bench shares no setting that it varies.
    return "none that all share" if value is None else repr(value)


def _shared(results: dict[str, Any]) -> dict[str, Any]:
    settings = {k: v for k, v in results["settings"].items() if k not in _FREE}
    return {
        **settings,
        "classes": results["data"]["classes"],
        "truths": results["truths"],
        "versions": results["versions"],
    }
