"""The files of a report: the page, and what it takes to build it again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wsis._support.files import parse_json, write_json, write_text
from wsis.report.gallery import Panel, Strip
from wsis.report.page import render, render_tuned

RESULTS, KEPT, PAGE = "results.json", "report.json", "report.html"


class ReportError(ValueError):
    """A folder holds no results, or damaged ones."""


def write_report(
    results: Mapping[str, Any],
    pictures: Sequence[Strip],
    path: str | Path,
    *,
    keep: bool = False,
) -> Path:
    """Write a comparison as a self-contained HTML page, atomically; return its path.

    Args:
        results: the content of ``results.json``.
        pictures: of validation images.
        path: of the page.
        keep: also writes ``report.json`` beside it with the pictures, so that
            ``rebuild`` needs neither photos nor masks.
    """
    path = Path(path)
    if keep:
        kept = {"pictures": [asdict(strip) for strip in pictures]}
        write_json(path.parent / KEPT, kept)
    write_text(path, render(results, pictures))
    return path


def write_tuned(results: Mapping[str, Any], path: str | Path) -> None:
    """Write the content of ``tune.json`` as a self-contained page, atomically."""
    write_text(Path(path), render_tuned(results))


def rebuild(folder: str | Path) -> Path:
    """Write ``report.html`` again from ``results.json`` and ``report.json``; its path.

    Raises:
        ReportError: if there are no results, or a file is damaged.
    """
    folder = Path(folder)
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
            for strip in kept.pop("pictures", [])
        ]
        # Older versions kept more beside the pictures; what results say goes first.
        known = {k: v for k, v in results.items() if v or k not in kept}
        return write_report({**kept, **known}, pictures, folder / PAGE)
    except (KeyError, TypeError) as error:
        raise ReportError(
            f"{folder} holds results of another version: {error!r}"
        ) from None


def _panels(kept: Sequence[Mapping[str, Any]]) -> list[Panel]:
    return [Panel(**{**panel, "kinds": tuple(panel["kinds"])}) for panel in kept]


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ReportError(
            f"expected {path.parent} to be the folder of a bench, it has no {path.name}"
        )
    try:
        value = parse_json(path.read_bytes())
    except ValueError as error:
        raise ReportError(f"{path} is damaged: {error}") from None
    if not isinstance(value, dict):
        raise ReportError(f"{path} is damaged: it holds no object")
    return value
