"""The photos whose instances are most likely wrong, first."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pycocotools import mask as rle

from wsis._support.files import write_csv
from wsis.contracts import Rle
from wsis.geometry.predictions import Predictions

REVIEW = "review.csv"

# Of 210 photos of seven animals, 31 have a best mask along three or four sides; 24 of
# these are wrong, and 76 of the other 179 (docs/own-photos.md).
_ALONG, _SIDES, _FILLS = 0.3, 3, 0.3
"""Share of a side, sides and doubt: a mask along three sides is often the ground."""

_LOW, _ODD = 0.5, 0.5
"""Ranks of the score and of the size from which on a reason is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The best instance of a class on a photo.

    Args:
        score: of the instance.
        size: its share of the photo's pixels.
        fills: whether it lies along three or four sides of the photo.
        agreement: the share of branches that agree on it; None where it is not known.
    """

    score: float
    size: float
    fills: bool
    agreement: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """The reasons to doubt the instances of a photo.

    Args:
        photo: its place among the photos.
        doubt: from 0 to 1, as ``review`` tells.
        reasons: in words; the first one of a class names it.
        missing: tags without an instance.
        name: the class that is doubted most; None where nothing is found.
        best: its best instance.
        usual_score: the median score of such instances, over the photos with the class.
        usual_size: the median of their sizes.
        instances: on the photo.
    """

    photo: int
    doubt: float
    reasons: tuple[str, ...]
    missing: tuple[str, ...]
    name: str | None
    best: Best | None
    usual_score: float | None
    usual_size: float | None
    instances: int


def review(
    predictions: Sequence[Predictions], tags: Sequence[frozenset[str] | None]
) -> list[Doubt]:
    """Return the photos by doubt, the worst first.

    A tag without an instance is a doubt of 1. Else a photo is as doubtful as the worst
    of its classes, whose best instance is compared with those of the class on the other
    photos: half of the share of them that have a higher score, plus half of the share
    whose size is nearer to the median. Sizes do not count in classes of ``unplaced``,
    whose masks mostly cover the photo. Branches that disagree add their share, and a
    mask along three sides of the photo adds 0.3.

    Args:
        predictions: of each photo, with names of classes.
        tags: the classes on each; None where they are not known: such a photo is judged
            by the class of its best instance.
    """
    found, judged, others = _by_class(predictions, tags)
    doubts = [
        _doubt(photo, names, one, others, unknown=some is None, count=len(instances))
        for photo, (names, one, some, instances) in enumerate(
            zip(judged, found, tags, predictions, strict=True)
        )
    ]
    return sorted(doubts, key=lambda one: (-one.doubt, -len(one.missing), one.photo))


def unplaced(
    predictions: Sequence[Predictions], tags: Sequence[frozenset[str] | None]
) -> list[str]:
    """Return the classes whose best masks mostly cover most of their photo.

    These tell which photos show the class, and not where. Arguments are as of
    ``review``.
    """
    *_, others = _by_class(predictions, tags)
    return sorted(name for name, some in others.items() if _is_unplaced(some))


def _is_unplaced(same: Sequence[Best]) -> bool:
    return len(same) >= _FEW and median(one.size for one in same) >= _MOST_OF


def write_review(
    path: str | Path, photos: Sequence[str], doubts: Sequence[Doubt]
) -> None:
    """Write a table of doubts: a line a photo, in their order.

    Args:
        path: of the CSV.
        photos: names of all photos.
        doubts: of some of them.
    """
    rows: list[tuple[object, ...]] = [_COLUMNS]
    for one in doubts:
        words = photos[one.photo], f"{one.doubt:.2f}", "; ".join(one.reasons)
        best = one.best
        numbers = (
            *(best and best.score, one.usual_score, best and best.size),
            *(one.usual_size, best and best.agreement),
        )
        told = ("" if number is None else f"{number:.4g}" for number in numbers)
        rows.append((*words, ";".join(one.missing), one.name, *told, one.instances))
    write_csv(Path(path), rows)


_MOST_OF, _FEW = 0.75, 3
"""Share of a photo that objects hardly have as a rule, and photos that show a rule."""

_COLUMNS = (
    *("photo", "doubt", "reasons", "tags_without_instance", "class"),
    *("score", "usual_score", "size", "usual_size", "agreement", "instances"),
)


def _by_class(
    predictions: Sequence[Predictions], tags: Sequence[frozenset[str] | None]
) -> tuple[list[dict[str, Best]], list[list[str]], dict[str, list[Best]]]:
    """Return the best instances and the judged classes of each photo, and by class."""
    found = [_best(one) for one in predictions]
    judged = [
        sorted(some) if some is not None else list(one)[:1]
        for one, some in zip(found, tags, strict=True)
    ]
    by_class: dict[str, list[Best]] = defaultdict(list)
    for one, names in zip(found, judged, strict=True):
        for name in names:
            if name in one:
                by_class[name].append(one[name])
    return found, judged, by_class


def _best(found: Predictions) -> dict[str, Best]:
    """Return the best instance of each class, best class first."""
    best: dict[str, Best] = {}
    labels = found.label.tolist()
    agreement = found.agreement
    for i in found.score.argsort(descending=True, stable=True).tolist():
        name = found.classes[labels[i] - 1]
        if name not in best and rle.area(dict(found.masks[i])):
            mask = found.masks[i]
            best[name] = Best(
                score=float(found.score[i]),
                size=float(rle.area(dict(mask))) / math.prod(found.size),
                fills=_fills(mask),
                agreement=None if agreement is None else float(agreement[i]),
            )
    return best


def _fills(mask: Rle) -> bool:
    """Tell whether a mask lies along most sides of the photo."""
    height, width = mask["size"]
    left, top, wide, high = rle.toBbox(dict(mask))
    touched = (left == 0, top == 0, left + wide == width, top + high == height)
    if sum(touched) < _SIDES:
        return False  # without unfolding it
    inside = rle.decode(dict(mask))
    sides = (inside[0], inside[-1], inside[:, 0], inside[:, -1])
    return sum(bool(side.mean() > _ALONG) for side in sides) >= _SIDES


def _doubt(
    photo: int,
    names: Sequence[str],
    found: dict[str, Best],
    others: dict[str, list[Best]],
    *,
    unknown: bool,
    count: int,
) -> Doubt:
    """Return the doubt about a photo of some classes."""
    missing = tuple(name for name in names if name not in found)
    judged = [(*_judged(found[n], others[n]), n) for n in names if n in found]
    doubt, told, name = max(judged, key=lambda one: one[0], default=(0.0, [], None))
    reasons = [f"no instance of {', '.join(missing)}"] if missing else []
    if unknown and not names:
        reasons.append("no instance")
    if not (unknown or names):
        reasons.append("tagged with none of the run's classes")
    same = others[name] if name is not None else []
    return Doubt(
        photo=photo,
        doubt=1.0 if missing or (unknown and not names) else doubt,
        reasons=(*reasons, *(f"{name}: {one}" for one in told[:1]), *told[1:]),
        missing=missing,
        name=name,
        best=None if name is None else found[name],
        usual_score=median(one.score for one in same) if same else None,
        usual_size=median(one.size for one in same) if same else None,
        instances=count,
    )


def _judged(best: Best, same: Sequence[Best]) -> tuple[float, list[str]]:
    """Return the doubt about an instance among those of its class, and why."""
    usual = median(one.size for one in same)
    others = max(1, len(same) - 1)
    low = sum(one.score > best.score for one in same) / others
    odd = sum(_away(one, usual) < _away(best, usual) for one in same) / others
    if unplaced := _is_unplaced(same):
        odd = 0.0
    apart = 0.0 if best.agreement is None else 1 - best.agreement
    reasons = {
        "lies along three sides of the photo": best.fills,
        "branches disagree": apart > 0,
        "score below most of its class": low > _LOW,
        f"{'large' if best.size > usual else 'small'} for its class": odd > _ODD,
        "covers most of the photo, as others of its class do": (
            unplaced and best.size >= _MOST_OF
        ),
    }
    doubt = (low + odd) / 2 + _FILLS * best.fills + apart
    return min(1.0, doubt), [reason for reason, holds in reasons.items() if holds]


def _away(one: Best, usual: float) -> float:
    """Return by how much a size is another than the usual one, as a ratio."""
    return abs(math.log(one.size / usual))
