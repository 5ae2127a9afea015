"""Decisions about predictions: instances accepted or rejected, points for missed ones.

They are lines of ``decisions.jsonl`` beside the predictions. Each is on disk before
anything else is done; the last one about an instance or a point holds. So any number of
pages and processes decide at once, and none undoes what another has decided.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from wsis._support.checks import few, warn
from wsis._support.files import (
    append_json,
    digest,
    numbered_json_lines,
    state,
    write_csv,
)
from wsis._support.folders import unique, way

if TYPE_CHECKING:
    from wsis.report.formats import Photo

DECISIONS, POINTS = "decisions.jsonl", "points.csv"

ACCEPTED, REJECTED, OPEN, POINTED, REMOVED = (
    *("accepted", "rejected", "open"),
    *("pointed", "removed"),
)
"""What is decided about an instance, the first three, or about a point."""

_Key = tuple[str, str, str]
"""A photo's name, a class, and a mask's digest or a point's ``x,y``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A point on an object that no instance shows.

    Args:
        x: pixels from the left of the photo.
        y: pixels from its top.
        name: the object's class.
    """

    x: float
    y: float
    name: str


class Decisions:
    """The decisions about the predictions in a folder.

    An instance is known by its photo, class and mask, so that predictions made anew
    keep the decisions about equal masks alone.

    Args:
        folder: of the predictions; ``points.csv`` is kept there, too.
        photos: with their instances.

    Attributes:
        version: changes with the decisions.
    """

    def __init__(self, folder: Path, photos: "Sequence[Photo]") -> None:
        self.folder, self.photos = folder, photos
        self._keys = [_keys(photo) for photo in photos]
        self._known = {key for keys in self._keys for key in keys}
        self._last: dict[_Key, str] = {}
        self._spots: dict[str, list[Spot]] = {}
        self.version: tuple[int, ...] | None = None
        self.read()
        names = {photo.name for photo in photos}
        lost = [
            f"{photo} ({name})"
            for (photo, name, what), decision in self._last.items()
            if (photo, name, what) not in self._known
            and (decision in (ACCEPTED, REJECTED) or photo not in names)
        ]
        if lost:
            warn(
                f"{self.path}: decisions about instances that are not among the "
                f"predictions are left out ({len(lost)}): {few(lost)}"
            )

    @property
    def path(self) -> Path:
        """Return the file of the decisions."""
        return self.folder / DECISIONS

    def read(self) -> bool:
        """Take in what others have decided meanwhile; tell whether there is any."""
        now = state(self.path)
        if now == self.version:
            return False
        last: dict[_Key, str] = {}
        damaged = []
        for number, line in numbered_json_lines(self.path):
            match line:
                case {
                    "photo": str(photo),
                    "class": str(name),
                    "mask": str(mask),
                    "is": "accepted" | "rejected" | "open" as decision,
                }:
                    last[photo, name, mask] = decision
                case {
                    "photo": str(photo),
                    "class": str(name),
                    "point": [float() | int() as x, float() | int() as y],
                    "is": "pointed" | "removed" as decision,
                }:
                    last[photo, name, f"{x:g},{y:g}"] = decision
                case _:
                    damaged.append(f"line {number}")
        if damaged:
            many = f"({len(damaged)}): {few(damaged)}"
            warn(f"{self.path}: damaged lines are left out {many}")
        self.version, self._last, self._spots = now, last, {}
        for (photo, name, what), decision in last.items():
            if decision == POINTED:
                across, down = map(float, what.split(","))
                spot = Spot(x=across, y=down, name=name)
                self._spots.setdefault(photo, []).append(spot)
        return True

    def of(self, photo: int) -> list[str]:
        """Return the decision about each instance of a photo, in their order."""
        return [self._last.get(key, OPEN) for key in self._keys[photo]]

    def spots(self, photo: int) -> list[Spot]:
        """Return the points on a photo, in the order of their first lines."""
        return self._spots.get(self.photos[photo].name, [])

    def count(self, decision: str) -> int:
        """Return the number of instances of all photos that have a decision."""
        last = self._last.items()
        return sum(one == decision and key in self._known for key, one in last)

    def decide(self, photo: int, instance: int, decision: str) -> None:
        """Keep a decision about an instance of a photo; ``open`` takes one back."""
        self.decide_all(photo, [instance], decision)

    def decide_all(self, photo: int, instances: Iterable[int], decision: str) -> None:
        """Keep one decision about several instances of a photo."""
        keys = [self._keys[photo][i] for i in instances]
        self._keep(
            *(
                {"photo": name, "class": kind, "mask": mask, "is": decision}
                for name, kind, mask in keys
            )
        )

    def point(self, photo: int, spot: Spot, *, there: bool = True) -> None:
        """Keep a point on a missed object, or take one back.

        Raises:
            ValueError: if it lies outside of the photo.
        """
        one = self.photos[photo]
        height, width = one.found.size
        if not (0 <= spot.x < width and 0 <= spot.y < height):
            raise ValueError(
                f"expected a point in {one.name}, {width} x {height} pixels, got "
                f"{spot.x:g}, {spot.y:g}"
            )
        place = [round(spot.x, 1), round(spot.y, 1)]
        self._keep(
            {
                "photo": one.name,
                "class": spot.name,
                "point": place,
                "is": POINTED if there else REMOVED,
            }
        )
        self._write_points()

    def accepted(self) -> "list[Photo]":
        """Return the photos that have an accepted instance, with these alone.

        Warns of points on them.
        """
        found, missed = [], []
        for number, photo in enumerate(self.photos):
            keep = torch.tensor([one == ACCEPTED for one in self.of(number)])
            if keep.any():
                found.append(replace(photo, found=photo.found.chosen(keep)))
                missed += [photo.name] * len(self.spots(number))
        if missed:
            warn(
                "points on missed objects have no mask; training on these photos "
                f"teaches that nothing is there ({len(missed)}): {few(missed)}"
            )
        return found

    def _keep(self, *lines: Mapping[str, Any]) -> None:
        for line in lines:
            append_json(self.path, line)
        self.read()

    def _write_points(self) -> None:
        """Write all points as ``cues=points`` reads them; no file if there are none."""
        rows = [
            (way(photo.read.path, self.folder), f"{one.x:g}", f"{one.y:g}", one.name)
            for number, photo in enumerate(self.photos)
            for one in self.spots(number)
        ]
        if not rows:
            (self.folder / POINTS).unlink(missing_ok=True)
            return
        write_csv(self.folder / POINTS, [("file", "x", "y", "class"), *rows])


def decided(folder: Path, photos: "Sequence[Photo]") -> Decisions:
    """Return the decisions about predictions, which somebody must have made.

    Raises:
        FileNotFoundError: if nobody has.
    """
    if not (folder / DECISIONS).is_file():
        raise FileNotFoundError(
            f"expected {DECISIONS} in {folder}, there is none; accept instances with: "
            f"wsis show {folder}"
        )
    return Decisions(folder, photos)


def _keys(photo: "Photo") -> list[_Key]:
    found = photo.found
    names = [found.classes[label - 1] for label in found.label.tolist()]
    kinds = [
        f"{name}/{digest(str(mask['counts']))}"
        for name, mask in zip(names, found.masks, strict=True)
    ]
    # Equal masks of a class are told apart by their order.
    return [
        (photo.name, name, kind.rpartition("/")[2])
        for name, kind in zip(names, unique(kinds), strict=True)
    ]
