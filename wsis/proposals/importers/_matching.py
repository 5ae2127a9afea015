"""Match photos with the proposals that others made of them."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wsis._support.checks import few
from wsis.contracts import Image, Ledger, Proposals
from wsis.proposals.importers._found import Found
from wsis.proposals.making import Photo


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportJob:
    """Reads the proposals of one photo.

    Args:
        photo: the photo.
        found: reads its proposals.
        source: the format that they come from.
        ledger: the labels consumed in making them.
    """

    photo: Photo
    found: Callable[[tuple[int, int]], Proposals]
    source: str
    ledger: Ledger

    def propose(self, image: Image) -> Proposals:
        """Return its proposals."""
        height, width = image.shape[:2]
        proposals = self.found((height, width))
        return replace(proposals, source=self.source, ledger=self.ledger)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Photos paired with their proposals, and what found no partner.

    Args:
        pairs: in the order of the photos.
        photos: names of those without proposals.
        found: names of proposals without a photo.
    """

    pairs: Sequence[tuple[Photo, Found]]
    photos: Sequence[str]
    found: Sequence[str]


def matched(found: Sequence[Found], photos: Sequence[Photo]) -> Matched:
    """Match by file name, else by name without suffix, else by number.

    A photo's number is that of its data set, or else the digits its name ends in, so
    that ``COCO_val2014_000000000042.jpg`` is 42.

    Raises:
        ValueError: if none matches, or one matches several.
    """
    known: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        for name in _names(photo):
            known[name].append(photo)
    pairs: dict[str, tuple[Photo, Found]] = {}
    alone = []
    for one in found:
        wanted = one.photo, Path(one.photo).name, Path(one.photo).stem
        [*candidates] = next((known[name] for name in wanted if name in known), [])
        if len(candidates) > 1:
            raise ValueError(
                f"proposals of {one.photo!r} match several photos: "
                f"{few([photo.name for photo in candidates])}"
            )
        if not candidates:
            alone.append(one.photo)
            continue
        [photo] = candidates
        other = pairs.setdefault(photo.name, (photo, one))[1]
        if other is not one:
            raise ValueError(
                f"proposals of {other.photo!r} and of {one.photo!r} both match "
                f"{photo.name}"
            )
    if not pairs:
        raise ValueError(
            f"expected proposals of the {len(photos)} photos "
            f"({few([photo.name for photo in photos])}); those found are of "
            f"{few(alone) or 'none'}"
        )
    return Matched(
        pairs=[pairs[photo.name] for photo in photos if photo.name in pairs],
        photos=[photo.name for photo in photos if photo.name not in pairs],
        found=alone,
    )


def _names(photo: Photo) -> set[str]:
    path = Path(photo.name)
    digits = re.search(r"(\d+)$", path.stem)
    number = int(digits[1]) if photo.number is None and digits else photo.number
    names = {photo.name, path.name, path.stem}
    return names if number is None else names | {str(number)}
