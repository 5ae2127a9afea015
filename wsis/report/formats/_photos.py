"""The photos of a file of predictions, found again and copied; the style of masks."""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import category, normalize

from PIL import Image as Pillow

from wsis._support.checks import at_least, few
from wsis._support.files import PREDICTIONS, parse_json, write_csv
from wsis._support.folders import unique
from wsis.data.images import (
    Reading,
    check_folder,
    images_in,
    opened,
    readings,
    tell_changed,
)
from wsis.data.names import alike, from_end, is_line
from wsis.evaluation import of_data_set
from wsis.geometry.predictions import Predictions

_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "BMP": ".bmp", "PNG": ".png"}
"""Photos that every program reads, by content; others are written anew as PNG."""

_LONGEST = 60
"""Most characters of a file name, as some take four bytes and 255 are allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """A photo and the instances on it.

    Args:
        name: in the file of predictions.
        stem: its name in an export, without a suffix; no other photo has it.
        read: reads its pixels.
        found: its instances, best first.
    """

    name: str
    stem: str
    read: Reading
    found: Predictions

    def copy(self, folder: Path, suffix: str | None = None) -> str:
        """Copy the photo into a folder, as it is where that shows it upright.

        Args:
            folder: of the copy; made if it is missing.
            suffix: the only one that is allowed; None allows those of ``_SUFFIXES``.

        Returns:
            The name of the copy.
        """
        folder.mkdir(parents=True, exist_ok=True)
        own = None if self.read.turned else self._suffix()
        name = self.stem + (suffix or own or ".png")
        if own is not None and name.endswith(own):
            shutil.copyfile(self.read.path, folder / name)
        else:
            Pillow.fromarray(self.read()).save(folder / name, quality=95)
        return name

    def _suffix(self) -> str | None:
        """Return the suffix that fits the content; None where few programs read it."""
        try:
            with opened(self.read.path) as picture:
                return _SUFFIXES.get(picture.format or "")
        except (ValueError, OSError):
            return None  # reading it tells what is wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """The way to write masks where a format leaves a choice.

    Args:
        polygons: COCO gets polygons instead of run lengths.
        tolerance: corners that change an outline by less than so many pixels are left
            out; 0 keeps masks exact.
        scores: COCO's annotations have them, which marks predictions; never those that
            somebody accepted.
    """

    polygons: bool = False
    tolerance: float = 0.0
    scores: bool = True

    def __post_init__(self) -> None:
        at_least("tolerance", self.tolerance, 0)


def photos_of(source: Path, images: Path | None) -> tuple[list[Photo], tuple[str, ...]]:
    """Return the photos of a file of predictions, and the names of classes 1…C.

    Args:
        source: ``predictions.json``, or the folder that holds it.
        images: folder of the photos; None takes the places that the file tells.

    Raises:
        FileNotFoundError: if the file or photos are missing.
        ValueError: if it is no file of predictions, a name of a class has control
            signs, or a photo has another size than when it was predicted. A file that
            has changed otherwise is warned of.
    """
    path = _file(source)
    try:
        stored = parse_json(path.read_bytes())
        given = of_data_set(stored)
        names, found, classes = given.names, given.predictions, given.classes
        paths = [one.get("path") for one in stored["images"]]
        _check_names(classes)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    places = _places(names, paths, path, images)
    sizes = [one.size for one in found]
    sized = list(zip(map(str, places), sizes, strict=True))
    reads = readings(Path(), sized, True, exact=False)
    if other := [
        n for n, r, size in zip(names, reads, sizes, strict=True) if r.size != size
    ]:
        raise ValueError(
            f"photos have another size than in {path} ({len(other)} of {len(names)}): "
            f"{few(other)}; predict them again, or give the right folder with --images"
        )
    digests = [one.get("sha256") for one in stored["images"]]
    tell_changed(list(zip(names, reads, digests, strict=True)), str(path))
    stems = unique([_safe(Path(name.replace("\\", "/")).stem) for name in names])
    rows = zip(names, stems, reads, found, strict=True)
    photos = [Photo(name=n, stem=s, read=r, found=f) for n, s, r, f in rows]
    return photos, classes


def _file(source: Path) -> Path:
    if not source.exists():
        raise FileNotFoundError(f"expected a folder with predictions, no {source}")
    if source.is_file():
        return source
    if not (source / PREDICTIONS).is_file():
        within = [one.parent for one in sorted(source.glob(f"*/{PREDICTIONS}"))]
        raise FileNotFoundError(
            f"expected {PREDICTIONS} in {source}, there is none; "
            + (
                f"{few(list(map(str, within)))} has one"
                if within
                else "make it with: wsis predict PHOTOS --run RUN --out found, and "
                "take found"
            )
        )
    return source / PREDICTIONS


def _check_names(classes: Sequence[str]) -> None:
    for name in classes:
        if not is_line(name):
            raise ValueError(
                f"expected names of classes in one line of text, got {name!r}; rename "
                "it in categories"
            )


def _places(
    names: Sequence[str], paths: Sequence[object], file: Path, images: Path | None
) -> list[Path]:
    """Return where the photos are.

    Raises:
        FileNotFoundError: if some are missing; counts and names them.
        ValueError: if a name fits several photos in ``images``, or several names one.
    """
    ways = [
        path if isinstance(path, str) else name
        for name, path in zip(names, paths, strict=True)
    ]
    if images is None:
        found = [
            [one for one in (file.parent / way, file.parent / name) if one.is_file()][
                :1
            ]
            for name, way in zip(names, ways, strict=True)
        ]
    else:
        check_folder(images)
        named: dict[str, list[Path]] = {}
        for one in images_in([images]):
            named.setdefault(from_end(one.name)[0], []).append(one)
        found = [_likest(way, named.get(from_end(way)[0], [])) for way in ways]
    missing = [name for name, some in zip(names, found, strict=True) if not some]
    if missing:
        where = f"in {images}" if images else "where they were predicted"
        raise FileNotFoundError(
            f"photos of {file} are not {where} ({len(missing)} of {len(names)}): "
            f"{few(missing)}; give their folder with --images"
        )
    times = Counter(some[0] for some in found)
    unclear = [
        name
        for name, some in zip(names, found, strict=True)
        if len(some) > 1 or times[some[0]] > 1
    ]
    if unclear:
        raise ValueError(
            f"photos of {file} cannot be told apart by their names in "
            f"{images or file.parent} ({len(unclear)}): {few(unclear)}; give a folder "
            "that holds them in the same folders as before"
        )
    return [some[0] for some in found]


def _likest(way: str, photos: Sequence[Path]) -> list[Path]:
    """Return the photos whose last folders are most like those of a path."""
    shared = [alike(from_end(way), from_end(str(one))) for one in photos]
    return [one for one, n in zip(photos, shared, strict=True) if n == max(shared)]


def _safe(stem: str) -> str:
    """Return a file name of letters, digits and the signs that no program splits at."""
    plain = "".join(
        sign if category(sign)[0] in "LMN" or sign in "._-()+@" else "_"
        for sign in normalize("NFC", stem)
    )
    return plain.lstrip(".-")[:_LONGEST] or "photo"


def write_names(folder: Path, photos: Sequence[Photo]) -> None:
    """Write ``photos.csv``: each photo's name in the export, and its original one."""
    names = ((photo.stem, photo.name) for photo in photos)
    write_csv(folder / "photos.csv", [("photo", "before"), *names])
