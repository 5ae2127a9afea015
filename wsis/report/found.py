"""The page of predictions: each class in numbers, and photos by doubt."""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from wsis import __version__
from wsis._support.files import write_text
from wsis.report.doubts import REVIEW, unplaced
from wsis.report.files import PAGE, ReportError
from wsis.report.formats import Photo, photos_of
from wsis.report.gallery import data_uri
from wsis.report.page import FOUND, template
from wsis.runs.advice import of_masks

MOST, SIDE = 100, 480
"""Photos on the page, the most doubtful ones, and their longer side in pixels."""


def write_found(folder: str | Path) -> Path:
    """Write ``report.html`` into a folder that ``wsis predict`` wrote; return its path.

    Raises:
        FileNotFoundError: if predictions or photos are missing.
        ReportError: if the folder has no list of photos by doubt.
    """
    folder = Path(folder)
    doubted, classes = by_doubt(folder)
    shown = []
    for photo, row in doubted[:MOST]:
        drawn = replace(photo.found, load=photo.read).draw(side=SIDE)
        shown.append({**row, "uri": data_uri(drawn)})
    photos = [photo for photo, _ in doubted]
    page = template(FOUND).render(
        name=folder.name,
        photos=len(photos),
        numbers=_numbers(photos, classes),
        shown=shown,
        advice=[str(one) for one in of_masks(_everywhere(photos, classes))],
        version=__version__,
    )
    write_text(folder / PAGE, page)
    return folder / PAGE


def _everywhere(photos: Sequence[Photo], classes: tuple[str, ...]) -> list[str]:
    """Return the classes whose masks mostly cover their photo, whatever was tagged."""
    found = [replace(photo.found, classes=classes) for photo in photos]
    return unplaced(found, [None] * len(found))


def by_doubt(
    folder: Path, images: Path | None = None
) -> tuple[list[tuple[Photo, dict[str, str]]], tuple[str, ...]]:
    """Return the photos of predictions, each with its row of doubts, and the classes.

    Photos that the list of doubts lacks come last.

    Args:
        folder: that ``wsis predict`` wrote.
        images: folder of the photos; None takes the places that the file tells.

    Raises:
        FileNotFoundError: if predictions or photos are missing.
        ReportError: if the list of doubts is missing, or lists other photos.
    """
    photos, classes = photos_of(folder, images)
    rows = _rows(folder / REVIEW)
    named = {photo.name: photo for photo in photos}
    found = []
    for row in rows:
        name = row["photo"]
        photo = named.get(name) or named.get(Path(name).name)
        if photo is None:
            raise ReportError(
                f"{folder / REVIEW} lists {name}, which was not predicted"
            )
        found.append((photo, row))
    listed = {id(photo) for photo, _ in found}
    rest = [photo for photo in photos if id(photo) not in listed]
    none = {"doubt": "–", "reasons": f"not in {REVIEW}"}
    return [*found, *((one, {"photo": one.name, **none}) for one in rest)], classes


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise ReportError(f"expected {path}, there is none; predict the photos again")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except UnicodeDecodeError:
        raise ReportError(
            f"expected UTF-8 in {path}; save it as CSV UTF-8, or predict the photos "
            "again"
        ) from None
    if rows and not {"photo", "doubt", "reasons"} <= rows[0].keys():
        raise ReportError(f"expected photo, doubt and reasons as columns of {path}")
    return rows


def _numbers(
    photos: Sequence[Photo], classes: Sequence[str]
) -> Mapping[str, tuple[int, float | None, float | None]]:
    """Return photos of each class, and the middle and highest of their best scores."""
    best: dict[str, list[float]] = defaultdict(list)
    for photo in photos:
        first: dict[int, float] = {}
        for label, score in zip(
            photo.found.label.tolist(), photo.found.score.tolist(), strict=True
        ):
            first[label] = max(score, first.get(label, 0.0))
        for label, score in first.items():
            best[classes[label - 1]].append(score)
    return {
        name: (
            len(best[name]),
            median(best[name]) if best[name] else None,
            max(best[name], default=None),
        )
        for name in classes
    }
