"""Photos from files of any format, as RGB pixels."""

import glob
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal
from unicodedata import normalize

import numpy as np
from jaxtyping import Integer
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from wsis._support.checks import few, warn
from wsis._support.files import content
from wsis.contracts import Image
from wsis.data._listing import CONVERT, EXTRACT, VIDEOS, Listing, listing
from wsis.data._listing import SUFFIXES as SUFFIXES
from wsis.data.names import from_end
from wsis.plugins import nearest

MOST = "WSIS_MAX_PIXELS"
"""The variable that tells how many pixels a picture may have."""

_MOST = 178_956_970
_OPENING = threading.Lock()


@contextmanager
def opened(path: Path) -> Iterator[Pillow.Image]:
    """Give the picture in a file, its pixels not read yet, for any reader of pictures.

    Raises:
        ValueError: if it has more pixels than ``WSIS_MAX_PIXELS`` (178,956,970 without
            it), takes more memory than there is, or is a program, as PostScript is.
    """
    with _OPENING:
        # Pillow's own limit is the whole process's, and its message tells no way out.
        before, Pillow.MAX_IMAGE_PIXELS = Pillow.MAX_IMAGE_PIXELS, None
        try:
            picture = Pillow.open(path)
        finally:
            Pillow.MAX_IMAGE_PIXELS = before
    with picture:
        check_pixels(path, picture.width, picture.height)
        if picture.format == "EPS":
            raise ValueError(f"{path} is PostScript, a program that is not run here")
        try:
            yield picture
        except MemoryError as error:
            raise ValueError("reading it takes more memory than there is") from error


def check_pixels(path: Path, width: int, height: int) -> None:
    """Refuse a picture of more pixels than ``WSIS_MAX_PIXELS`` by a ``ValueError``."""
    if width * height > (most := most_pixels()):
        raise ValueError(
            f"{path} has {width} × {height} pixels, more than the {most:,} that a "
            "picture may have, as a small file can hold a huge one; if you trust it, "
            f"set {MOST} to a higher number"
        )


def most_pixels() -> int:
    """Return how many pixels a picture may have."""
    given = os.environ.get(MOST, "")
    if given and not given.isdecimal():
        raise ValueError(f"expected {MOST} to be a number of pixels, got {given!r}")
    return int(given or _MOST)


def is_video(path: Path) -> bool:
    """Tell whether a file has a video's suffix."""
    return path.suffix.lower() in VIDEOS


def read_image(path: str | Path, *, upright: bool = True) -> Image:
    """Return the pixels of a photo.

    Grey, palette and CMYK photos become RGB; 16 bits are scaled to 8, and must use more
    than 12 in one value of 1,000; transparent pixels are laid over white; of an
    animation or several pages, the first is read.

    Args:
        path: of the photo, in any format that Pillow reads.
        upright: turn the photo as its EXIF data say, or leave it as it is stored.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a photo, or damaged.
    """
    path = Path(path)
    if not path.exists():
        if path.is_symlink():
            to = path.readlink()
            raise FileNotFoundError(f"expected a photo, {path} links to no file ({to})")
        raise FileNotFoundError(f"expected a photo, there is no {path}")
    if path.is_dir():
        raise ValueError(f"expected a photo, {path} is a folder")
    if not path.stat().st_size:
        raise ValueError(f"expected a photo, {path} is an empty file")
    try:
        with warnings.catch_warnings():
            # Pillow warns of odd metadata, which is fine here.
            warnings.simplefilter("ignore")
            with opened(path) as photo:
                # Pillow takes the upper 8 bits of colours.
                deep = ";16" in str(getattr(photo, "tile", ""))
                if upright:  # in place, as a large photo takes much memory
                    ImageOps.exif_transpose(photo, in_place=True)
                    pixels = _rgb(photo)
                else:
                    pixels = _rgb(_stored(photo))
                if deep:
                    _check_bright(pixels, 256)
                return pixels
    except PermissionError:
        raise
    except UnidentifiedImageError:
        hint = f", but a HEIC photo; {CONVERT}" if _is_heic(path) else ""
        if is_video(path):
            hint = (
                ", but a video; wsis predict takes it, wsis.data.frames(path) gives "
                f"photos of it, and so does: {EXTRACT}"
            )
        raise ValueError(
            f"expected a photo (such as JPEG or PNG), {path} is none{hint}"
        ) from None
    except Exception as error:
        # Pillow passes on whatever a damaged file makes it stumble over.
        raise ValueError(f"expected a whole photo, {path}: {error}") from error


Upright = bool | Literal["auto"]
"""Photos are turned as their EXIF data say, left as they are stored, or read in the way
that has the annotated size."""

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads one photo, of a size (H, W) that its header or its annotation tells."""

    path: Path
    size: Size
    upright: bool
    turned: bool = False

    def __call__(self) -> Image:
        """Return the pixels; raises as ``read_image``."""
        return read_image(self.path, upright=self.upright)

    @property
    def other_size(self) -> Size:
        """Its (H, W) if it were read the other way, turned or not."""
        return _ways(self.path)[0][not self.upright]


def readings(
    folder: Path,
    sizes: Sequence[tuple[str, Size | None]],
    upright: Upright,
    *,
    shown: bool = True,
    exact: bool = True,
) -> list[Reading]:
    """Return how each photo is read, in the order given; none is decoded.

    Warns of photos that have the annotated size both ways.

    Args:
        folder: of the photos.
        sizes: name and annotated (H, W) of each; None where it is not known.
        upright: how photos are read.
        shown: what ``auto`` takes where both ways have the size.
        exact: refuse photos of another size; else they count as not annotated.

    Raises:
        ValueError: if photos are of another size than annotated; counts and names them.
    """
    found, both, stored_ones, wrong = [], [], [], []
    for name, annotated in sizes:
        path = folder / name
        ways, orientation = _ways(path, annotated or (0, 0))
        way = shown if upright == "auto" else upright
        if not exact and annotated not in ways.values():
            annotated = None
        if upright == "auto" and annotated not in (None, ways[way]):
            way = not way
        if upright == "auto" and orientation > 1 and annotated in ways.values():
            if ways[True] == ways[False]:
                both.append(name)
            elif not way:
                stored_ones.append(name)
        if annotated is not None and annotated not in ways.values():
            (height, width), (h, w) = annotated, ways[False]
            wrong.append(f"{name} ({height} x {width} as annotated, it has {h} x {w})")
        found.append(Reading(path, ways[way], way, orientation > 1))
    _tell_pages([one.path for one in found])
    if wrong:
        raise ValueError(
            f"{len(wrong)} of {len(sizes)} photos in {folder} are not of the annotated "
            "size (height x width), whether turned by their EXIF orientation or not: "
            f"{few(wrong)}"
        )
    if stored_ones:
        warn(
            f"{len(stored_ones)} of {len(sizes)} photos in {folder} are turned by EXIF "
            f"data, and are read as stored, as their annotated size says: "
            f"{few(stored_ones)}; if they were outlined as shown, set upright=true"
        )
    if both:
        taken, other = ("shown by a viewer", "false") if shown else ("stored", "true")
        instead = "stored" if shown else "shown"
        warn(
            f"{len(both)} of {len(sizes)} photos in {folder} have an EXIF orientation "
            f"that keeps their size, and are read as {taken}: {few(both)}; if they "
            f"were annotated as {instead}, set upright={other}"
        )
    return found


def tell_turned(paths: Sequence[Path], what: str) -> None:
    """Warn of photos whose EXIF data turn them in a way that no size tells.

    Args:
        paths: of photos that are read upright.
        what: is taken to fit the photos as they are shown.
    """
    kept = []
    for path in paths:
        ways, orientation = _ways(path)
        if orientation > 1 and ways[True] == ways[False]:
            kept.append(str(path))
    if kept:
        warn(
            f"{len(kept)} of {len(paths)} photos have an EXIF orientation that keeps "
            f"their size, and {what} are taken to be of the photos as a viewer shows "
            f"them: {few(kept)}; if not, turn them, or save the photos upright"
        )


def stored_size(path: Path) -> Size:
    """Return the (H, W) of a picture as it is stored; (0, 0) if that cannot be told."""
    return _ways(path)[0][False]


def _ways(path: Path, otherwise: Size = (0, 0)) -> tuple[dict[bool, Size], int]:
    """Return a photo's (H, W) as it is stored and upright, and its EXIF orientation."""
    stored, orientation = _header(path, path.stat().st_mtime_ns, otherwise)
    shown = stored[::-1] if orientation > 4 else stored
    return {False: stored, True: shown}, orientation


@lru_cache(maxsize=2**18)
def _header(path: Path, changed: int, otherwise: Size) -> tuple[Size, int]:
    """Return a photo's stored (H, W) and EXIF orientation; ``otherwise`` and 1."""
    del changed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with opened(path) as photo:
                size = photo.height, photo.width
                # A PNG without would be decoded in search of it.
                plain = photo.format == "PNG" and not _EXIF & photo.info.keys()
                plain = plain and not _has_late_text(path)
                orientation = 1 if plain else photo.getexif().get(_ORIENTATION, 1)
                if photo.format == "TIFF":  # Pillow may tell that of the turned photo
                    size = photo.getexif()[0x0101], photo.getexif()[0x0100]
    except Exception:
        return otherwise, 1  # reading it tells what is wrong
    return size, orientation if orientation in range(2, 9) else 1


_ORIENTATION = 0x0112
_EXIF = {"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"}


def _has_late_text(path: Path) -> bool:
    """Tell whether a PNG has EXIF data or text after its pixels."""
    with path.open("rb") as file:
        file.seek(8)
        after = False
        while len(head := file.read(8)) == 8:
            if after and head[4:] in (b"eXIf", b"iTXt", b"tEXt", b"zTXt"):
                return True
            after = after or head[4:] == b"IDAT"
            file.seek(int.from_bytes(head[:4]) + 4, os.SEEK_CUR)
    return False


def _stored(photo: Pillow.Image) -> Pillow.Image:
    """Return a photo as its file has it; Pillow turns a TIFF when it loads one."""
    if photo.format != "TIFF":
        return photo
    back = _BACK.get(photo.getexif().get(_ORIENTATION, 1))
    photo.load()
    return photo if back is None else photo.transpose(back)


_BACK = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_90,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_270,
}
"""From a photo as it is shown to the one that is stored, by EXIF orientation."""


def images_in(paths: Iterable[str | Path]) -> list[Path]:
    """Return the photos among files, folders and patterns, each file once.

    The order is that given, a folder's photos by path, at any depth, and what a pattern
    such as ``photos/**/*.jpg`` matches by name. Warns of what ``listing`` leaves out. A
    file that is given is taken whatever its name.

    Raises:
        FileNotFoundError: if a path does not exist, or a pattern matches nothing.
        ValueError: if a folder holds no photo.
    """
    found: dict[Path, Path] = {}
    rest, folders = Listing(), []
    for path in (one for given in paths for one in _matching(Path(given))):
        inside = [path]
        if path.is_dir():
            listed = listing(path)
            inside = listed.photos
            folders.append(path)
            rest.add(listed)
            if not inside:
                raise ValueError(no_photos(path, listed))
        for photo in inside:
            first = found.setdefault(photo.resolve(), photo)
            if os.path.abspath(first) != os.path.abspath(photo):
                rest.left_out["same"].append(photo)
    for text in rest.reasons(folders):
        warn(text)
    _tell_pages(list(found.values()))
    return list(found.values())


def no_photos(folder: Path, listed: Listing) -> str:
    """Say that a folder has no photo, and what is there instead."""
    reasons = "".join(f"; {text}" for text in listed.reasons([folder]))
    return f"expected photos ({', '.join(SUFFIXES)}) in {folder}, found none{reasons}"


def _tell_pages(paths: Sequence[Path]) -> None:
    """Warn of files that hold several pictures, of which the first is read."""
    some = [one for one in paths if one.suffix.lower() in _PAGED]
    several = [str(one) for one in some if _pages(one, one.stat().st_mtime_ns) > 1]
    if several:
        warn(
            f"{len(several)} of {len(paths)} photos have several pages or frames, of "
            f"which the first is read: {few(several)}; save the others as files of "
            "their own"
        )


_PAGED = ".apng", ".gif", ".tif", ".tiff", ".webp"


@lru_cache(maxsize=2**18)
def _pages(path: Path, changed: int) -> int:
    """Return how many pictures a file holds; 1 if that cannot be told."""
    del changed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with opened(path) as photo:
                return int(getattr(photo, "n_frames", 1))
    except Exception:
        return 1  # reading it tells what is wrong


def _matching(path: Path) -> list[Path]:
    """Return a path that exists, or else those that it matches as a pattern."""
    if path.exists():
        return [path]
    if found := sorted(glob.glob(str(path), recursive=True)):
        return [Path(one) for one in found]
    if glob.escape(str(path)) != str(path):
        raise FileNotFoundError(f"expected photos, nothing matches {path}")
    raise FileNotFoundError(f"expected a photo or a folder, there is no {path}")


def read_all(reads: Sequence[Callable[[], object]]) -> None:
    """Read photos, and refuse all that cannot be read in one message.

    Raises:
        ValueError: if several cannot; a single one raises what reading it raises.
    """
    errors: list[Exception] = []
    for read in reads:
        try:
            read()
        except (ValueError, OSError) as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        told = "; ".join(str(error) for error in errors[:_TOLD])
        more = f"; and {len(errors) - _TOLD} more" if len(errors) > _TOLD else ""
        raise ValueError(
            f"{len(errors)} of {len(reads)} photos cannot be read: {told}{more}"
        )


_TOLD = 50


def tell_unread(paths: Sequence[Path], read: Sequence[Path]) -> None:
    """Warn of photos that were left out, as they could not be read.

    Raises:
        ValueError: if none could.
    """
    if not read:
        raise ValueError(f"none of {len(paths)} photos could be read")
    done = set(read)
    if rest := [str(path) for path in paths if path not in done]:
        warn(
            f"photos that cannot be read are left out ({len(rest)} of {len(paths)}): "
            f"{few(rest)}"
        )


def tell_changed(
    photos: Sequence[tuple[str, Callable[[], Image], object]], file: str
) -> None:
    """Warn of photos whose files are not those that were predicted.

    Args:
        photos: name and reader of each, and the SHA-256 that its file had; None where
            that is not known.
        file: of the predictions, for the message.
    """
    changed = [
        name
        for name, load, then in photos
        if isinstance(load, Reading) and then not in (None, content(load.path))
    ]
    if changed:
        warn(
            f"photos have changed since {file} was written ({len(changed)} of "
            f"{len(photos)}): {few(changed)}; if they show something else now, predict "
            "them again"
        )


def check_folder(path: Path) -> None:
    """Refuse what is not a folder of photos by a ``FileNotFoundError``."""
    if not path.is_dir():
        came = f"{path} is a file" if path.exists() else f"there is no {path}"
        raise FileNotFoundError(f"expected a folder of photos, {came}")


def check_files(folder: Path, names: Sequence[str], what: str = "photos") -> list[str]:
    """Return the names of files as the folder spells them, in whatever Unicode form.

    Raises:
        FileNotFoundError: if some are not there; names some.
    """
    seen: dict[Path, dict[str, str]] = {}
    found = [_spelled(folder, name, seen) for name in names]
    missing = [name for name, on in zip(names, found, strict=True) if on is None]
    if missing:
        hint = nearest_file(missing[0], list(seen.get(folder, {}).values()))
        raise FileNotFoundError(
            f"{len(missing)} of {len(names)} {what} are not in {folder}: {few(missing)}"
            f"{hint}"
        )
    return [name for name in found if name is not None]


def nearest_file(name: str, there: Sequence[str]) -> str:
    """Return a hint at the file that a path means: its last part, with any suffix."""
    last = from_end(name)[0].casefold()
    alike = [
        one for one in there if last in (one.casefold(), Path(one).stem.casefold())
    ]
    return nearest(alike[0] if alike else name, alike or list(there))


def _spelled(folder: Path, name: str, seen: dict[Path, dict[str, str]]) -> str | None:
    """Return the name of a file as it is on disk; ``seen`` keeps folders' names."""
    if (folder / name).is_file():
        return name
    place = folder
    for part in name.replace("\\", "/").split("/"):
        if place not in seen:
            inside = place.iterdir() if place.is_dir() else ()
            seen[place] = {normalize("NFC", one.name): one.name for one in inside}
        place = place / seen[place].get(normalize("NFC", part), part)
    return place.relative_to(folder).as_posix() if place.is_file() else None


def _is_heic(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(12)
    return start[4:8] == b"ftyp" and start[8:11] in (b"hei", b"hev", b"mif", b"msf")


def pixels_of(photo: Pillow.Image) -> Image:
    """Return the pixels of a Pillow image as ``read_image`` returns those of its file.

    Raises:
        ValueError: if its values are not of 8 or 16 bits.
    """
    return _rgb(ImageOps.exif_transpose(photo))


def _rgb(photo: Pillow.Image) -> Image:
    if photo.mode == "F":
        raise ValueError("expected 8 or 16 bits a value, got floating point")
    if photo.mode.startswith("I"):
        grey = np.asarray(photo).astype(np.int64)
        least, most = grey.min(), grey.max()
        if least < 0 or most > 65535:
            raise ValueError(
                f"expected values of 0 to 65535, got {least} to {most}; scale them or "
                "save the photo with 8 bits"
            )
        _check_bright(grey, 1)
        # 257 maps 65535 to 255; half of it rounds.
        photo = Pillow.fromarray(((grey + 128) // 257).astype(np.uint8))
    if photo.has_transparency_data:
        photo = photo.convert("RGBA")
        white = Pillow.new("RGBA", photo.size, "white")
        photo = Pillow.alpha_composite(white, photo)
    photo = photo if photo.mode == "RGB" else photo.convert("RGB")
    pixels = np.empty((photo.height, photo.width, 3), np.uint8)
    for top in range(0, photo.height, _ROWS):  # all at once would be in memory thrice
        below = min(top + _ROWS, photo.height)
        pixels[top:below] = np.asarray(photo.crop((0, top, photo.width, below)))
    return pixels


def _check_bright(values: Integer[np.ndarray, "..."], unit: int) -> None:
    """Refuse values of which nearly all are below ``_DARK``; zeros alone are fine.

    A sensor's hot pixels do not tell how bright a photo is.

    Args:
        values: of 16 bits.
        unit: what one of them counts.

    Raises:
        ValueError: if they are too dark.
    """
    least = _DARK // unit
    if 0 < (np.quantile(values, _NEARLY, method="higher") or values.max()) < least:
        rest = int((values >= least).sum())
        but = f" (but for {rest:,} of {values.size:,} values)" if rest else ""
        most = (int(values[values < least].max()) + 1) * unit - 1
        raise ValueError(
            f"expected values up to 65535 in 16 bits, got no more than {most}{but}, "
            "which is nearly black; scale them or save the photo with 8 bits"
        )


_DARK = 4096
"""Values of 16 bits that 12 bits, as many cameras have, do not reach."""

_NEARLY = 0.999
"""The share of values that tells how bright a photo is."""

_ROWS = 256
"""Rows of a photo that are taken over at once."""
