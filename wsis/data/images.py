"""Photos from files of any format, as RGB pixels."""

import os
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from wsis._support.checks import few
from wsis.contracts import Image

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""Files that count as photos in a folder."""

MOST = "WSIS_MAX_PIXELS"
"""The variable that tells how many pixels a picture may have."""

_MOST = 178_956_970
_OPENING = threading.Lock()


@contextmanager
def opened(path: Path) -> Iterator[Pillow.Image]:
    """Give the picture in a file, its pixels not read yet, for any reader of pictures.

    Raises:
        ValueError: if it has more pixels than ``WSIS_MAX_PIXELS`` (178,956,970 without
            it), or is a program, as PostScript is.
    """
    given = os.environ.get(MOST, "")
    if given and not given.isdecimal():
        raise ValueError(f"expected {MOST} to be a number of pixels, got {given!r}")
    most = int(given or _MOST)
    with _OPENING:
        # Pillow's own limit is the whole process's, and its message tells no way out.
        before, Pillow.MAX_IMAGE_PIXELS = Pillow.MAX_IMAGE_PIXELS, None
        try:
            picture = Pillow.open(path)
        finally:
            Pillow.MAX_IMAGE_PIXELS = before
    with picture:
        if picture.width * picture.height > most:
            raise ValueError(
                f"{path} has {picture.width} × {picture.height} pixels, more than the "
                f"{most:,} that a picture may have, as a small file can hold a huge "
                f"one; if you trust it, set {MOST} to a higher number"
            )
        if picture.format == "EPS":
            raise ValueError(f"{path} is PostScript, a program that is not run here")
        yield picture


def read_image(path: Path, *, upright: bool = True) -> Image:
    """Return the pixels of a photo.

    Grey, palette and CMYK photos become RGB; 16 bits are scaled to 8; transparent
    pixels are laid over white; an animation gives its first frame.

    Args:
        path: of the photo, in any format that Pillow reads.
        upright: turn the photo as its EXIF data say, or leave it as it is stored.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a photo, or damaged.
    """
    if not path.exists():
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
                return _rgb(ImageOps.exif_transpose(photo) if upright else photo)
    except PermissionError:
        raise
    except UnidentifiedImageError:
        raise ValueError(
            f"expected a photo (such as JPEG or PNG), {path} is none"
        ) from None
    except Exception as error:
        # Pillow passes on whatever a damaged file makes it stumble over.
        raise ValueError(f"expected a whole photo, {path}: {error}") from error


def images_in(paths: Iterable[Path]) -> list[Path]:
    """Return the photos among files and folders, each once, however it is spelled.

    The order is that given, a folder's photos by name. Folders inside folders and
    hidden files are skipped; a file that is given is taken whatever its name.

    Raises:
        FileNotFoundError: if a path does not exist.
        ValueError: if a folder holds no photo.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"expected a photo or a folder, there is no {path}")
        inside = [path]
        if path.is_dir():
            inside = sorted(
                one
                for one in path.iterdir()
                if one.suffix.lower() in SUFFIXES
                and one.name[0] != "."
                and one.is_file()
            )
        if not inside:
            raise ValueError(
                f"expected photos ({', '.join(SUFFIXES)}) in {path}, found none"
            )
        for photo in inside:
            found.setdefault(photo.resolve(), photo)
    return list(found.values())


def check_folder(path: Path) -> None:
    """Refuse what is not a folder of photos by a ``FileNotFoundError``."""
    if not path.is_dir():
        came = f"{path} is a file" if path.exists() else f"there is no {path}"
        raise FileNotFoundError(f"expected a folder of photos, {came}")


def check_files(folder: Path, names: Sequence[str], what: str = "photos") -> None:
    """Refuse a folder that lacks files by a ``FileNotFoundError`` that names some."""
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(names)} {what} are not in {folder}: {few(missing)}"
        )


def _rgb(photo: Pillow.Image) -> Image:
    if photo.mode == "F":
        raise ValueError("expected 8 or 16 bits a value, got floating point")
    if photo.mode.startswith("I"):
        grey = np.asarray(photo).astype(np.int64).clip(0, 65535)
        # 257 maps 65535 to 255; half of it rounds.
        photo = Pillow.fromarray(((grey + 128) // 257).astype(np.uint8))
    if photo.has_transparency_data:
        photo = photo.convert("RGBA")
        white = Pillow.new("RGBA", photo.size, "white")
        photo = Pillow.alpha_composite(white, photo)
    return np.array(photo.convert("RGB"))
