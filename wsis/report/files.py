"""The files of a report: the page, and what it takes to build it again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wsis._support.files import atomic_write, write_json
from wsis.contracts import Annotated
from wsis.experiments import Comparison
from wsis.report.gallery import Panel, Strip, strips
from wsis.report.page import render
from wsis.runs.pipeline import Pipeline

RESULTS, KEPT, PAGE = "results.json", "report.json", "report.html"


class ReportError(ValueError):
    """A folder holds no results, or damaged ones."""


def write_report(
    comparison: Comparison, val: Annotated, pipeline: Pipeline, path: Path
) -> None:
    """Writes a comparison as a self-contained HTML page, atomically.

    Beside it, ``report.json`` keeps the pictures, so that ``rebuild`` needs neither
    photos nor masks.

    Args:
        comparison: what ``bench.compare`` returned.
        val: the images that its pictures are of, and their objects.
        pipeline: the one it was made with; gives the proposals where the comparison
            does not know whose are whose.
        path: of the page.
    """
    pictures = strips(comparison, val, pipeline)
    kept = {"pictures": [asdict(strip) for strip in pictures]}
    write_json(path.parent / KEPT, kept)
    _write(path, render(comparison.results(), pictures))


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
                panels=_panels(strip["panels"]),
                classes=tuple(strip["classes"]),
                branches=_panels(strip.get("branches", [])),
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


def _panels(kept: Sequence[Mapping[str, Any]]) -> list[Panel]:
    return [Panel(**{**panel, "kinds": tuple(panel["kinds"])}) for panel in kept]


def _joined(results: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """Results with what older versions kept beside them; what they say goes before."""
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
