"""The files of a report: the page, and what it takes to build it again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wsis.bench import Comparison
from wsis.contracts import Annotated, Predictions
from wsis.evaluation import Anatomy, dissect
from wsis.files import atomic_write, write_json
from wsis.pipeline import Pipeline
from wsis.report.gallery import Panel, Strip, strips
from wsis.report.page import render

RESULTS, KEPT, PAGE = "results.json", "report.json", "report.html"


class ReportError(ValueError):
    """A folder holds no results, or damaged ones."""


def write_report(
    comparison: Comparison, val: Annotated, pipeline: Pipeline, path: Path
) -> None:
    """Writes a comparison as a self-contained HTML page, atomically.

    Beside it, ``report.json`` keeps the pictures and the anatomy of the first seed's
    predictions, so that ``rebuild`` needs neither photos nor masks.

    Args:
        comparison: what ``bench.compare`` returned.
        val: the validation set it was made with.
        pipeline: the one it was made with; gives the proposals.
        path: of the page.
    """
    found = anatomies(comparison.pictures, val, pipeline)
    pictures = strips(comparison, val, pipeline, found)
    kept = {
        "anatomy": {label: one.results() for label, one in found.items()},
        "random_per_class": comparison.random.per_class,
        "pictures": [asdict(strip) for strip in pictures],
    }
    write_json(path.parent / KEPT, kept)
    _write(path, render(_joined(comparison.results(), kept), pictures))


def rebuild(folder: Path) -> Path:
    """Writes ``report.html`` anew from a folder's ``results.json`` and ``report.json``.

    Returns:
        The page's path.

    Raises:
        ReportError: if there are no results, or a file is damaged.
    """
    results = _read(folder / RESULTS)
    kept = _read(folder / KEPT) if (folder / KEPT).is_file() else {}
    try:
        pictures = [
            Strip(
                name=strip["name"],
                panels=[
                    Panel(**{**panel, "kinds": tuple(panel["kinds"])})
                    for panel in strip["panels"]
                ],
                classes=tuple(strip["classes"]),
            )
            for strip in kept.get("pictures", [])
        ]
        page = render(_joined(results, kept), pictures)
    except (KeyError, TypeError) as error:
        raise ReportError(
            f"{folder} holds results of another version: {error!r}"
        ) from None
    _write(folder / PAGE, page)
    return folder / PAGE


def anatomies(
    pictures: Mapping[str, Sequence[Predictions]], val: Annotated, pipeline: Pipeline
) -> dict[str, Anatomy]:
    """The anatomy of each strategy's predictions on the validation images."""
    truths, bags = list(val.truths), pipeline.bags(val.tagged.images)
    return {
        label: dissect(
            made, truths, (bag.proposals for bag in bags), val.tagged.classes
        )
        for label, made in pictures.items()
    }


def _joined(results: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """What the results themselves say goes before what was kept beside them."""
    more = {key: value for key, value in kept.items() if key != "pictures"}
    return {**more, **{k: v for k, v in results.items() if v or k not in more}}


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ReportError(
            f"expected {path.parent} to be the folder of a bench, it has no {path.name}"
        )
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ReportError(f"{path} is damaged: {error}") from None
    if not isinstance(value, dict):
        raise ReportError(f"{path} is damaged: it holds no object")
    return value


def _write(path: Path, page: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
