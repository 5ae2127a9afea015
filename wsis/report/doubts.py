"""The photos whose instances are most likely wrong, first."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from wsis._support.files import atomic_write
from wsis.geometry.predictions import Predictions

REVIEW = "review.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """What speaks against the instances of a photo.

    Args:
        photo: its place among the photos.
        doubt: 1 where a tag has no instance, or nothing is found; else the share of
            the other photos with its weakest class whose best instance of that class
            has a higher score. 0 where tags allow no class.
        missing: tags without an instance.
        weakest: the class that the doubt is about.
        score: of the best instance of that class.
        usual: the median of that score over the photos with the class.
        instances: on the photo.
    """

    photo: int
    doubt: float
    missing: tuple[str, ...]
    weakest: str | None
    score: float | None
    usual: float | None
    instances: int

    @property
    def reason(self) -> str:
        """The doubt in words."""
        if self.missing:
            return f"no instance of {', '.join(self.missing)}"
        if self.score is None:
            return "no instance" if self.doubt else "no class of the run"
        return f"{self.weakest}: score {self.score:.3g}, usual {self.usual:.3g}"


def review(
    predictions: Sequence[Predictions], tags: Sequence[frozenset[str] | None]
) -> list[Doubt]:
    """Return the photos by doubt, the worst first.

    Scores are compared within a class only, as they have another height in each. A
    photo that is not tagged is judged by the class of its best instance.

    Args:
        predictions: of each photo, with names of classes.
        tags: the classes on each; None where they are not known.
    """
    best = [_best(one) for one in predictions]
    judged = [
        sorted(some) if some is not None else list(one)[:1]
        for one, some in zip(best, tags, strict=True)
    ]
    scores: dict[str, list[float]] = defaultdict(list)
    for one, names in zip(best, judged, strict=True):
        for name in names:
            if name in one:
                scores[name].append(one[name])
    doubts = []
    for photo, (one, names) in enumerate(zip(best, judged, strict=True)):
        found = [name for name in names if name in one]
        ranked = [(_behind(one[name], scores[name]), name) for name in found]
        nothing = 1.0 if tags[photo] is None else 0.0
        doubt, weakest = max(ranked, default=(nothing, None))
        missing = tuple(name for name in names if name not in one)
        doubts.append(
            Doubt(
                photo=photo,
                doubt=1.0 if missing else doubt,
                missing=missing,
                weakest=weakest,
                score=None if weakest is None else one[weakest],
                usual=None if weakest is None else median(scores[weakest]),
                instances=len(predictions[photo]),
            )
        )
    return sorted(doubts, key=lambda one: (-one.doubt, -len(one.missing), one.photo))


def write_review(path: Path, photos: Sequence[str], doubts: Sequence[Doubt]) -> None:
    """Write a table of doubts: a line a photo, in their order.

    Args:
        path: of the CSV.
        photos: names of all photos.
        doubts: of some of them.
    """
    with (
        atomic_write(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file)
        table.writerow(
            (
                *("photo", "doubt", "reason", "tags_without_instance"),
                *("weakest_class", "score", "usual_score", "instances"),
            )
        )
        for one in doubts:
            numbers = ("" if x is None else f"{x:.4g}" for x in (one.score, one.usual))
            table.writerow(
                (
                    *(photos[one.photo], f"{one.doubt:.2f}", one.reason),
                    *(";".join(one.missing), one.weakest or "", *numbers),
                    one.instances,
                )
            )


def _best(found: Predictions) -> dict[str, float]:
    """Return the best score of each class, best class first."""
    best: dict[str, float] = {}
    pairs = zip(found.score.tolist(), found.label.tolist(), strict=True)
    for score, label in sorted(pairs, key=lambda pair: -pair[0]):
        best.setdefault(found.classes[label - 1], score)
    return best


def _behind(score: float, all_scores: Sequence[float]) -> float:
    """Return the share of the other scores that are higher."""
    others = max(1, len(all_scores) - 1)
    return sum(one > score for one in all_scores) / others
