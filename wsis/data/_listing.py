"""The photos in a folder, and what is not among them."""

import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image as Pillow

from wsis._support.checks import few
from wsis._support.files import PREDICTIONS, STEPS

SUFFIXES = (
    *(".apng", ".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe"),
    *(".jpeg", ".jpg", ".jpx", ".mpo", ".pbm", ".pcx", ".pgm", ".png", ".pnm", ".ppm"),
    *(".psd", ".qoi", ".tga", ".tif", ".tiff", ".webp"),
)
"""Files that count as photos in a folder; others do if their content is one."""

_SNIFFED = "AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "TIFF", "WEBP"

_UNREAD = (
    *(".arw", ".cr2", ".cr3", ".dng", ".heic", ".heif", ".jxl", ".nef", ".orf"),
    *(".raf", ".rw2"),
)
VIDEOS = (
    *(".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
    *(".mpeg", ".mpg", ".mts", ".ogv", ".webm", ".wmv"),
)
EXTRACT = "ffmpeg -i video.mp4 -vf fps=1 photos/%05d.jpg"
CONVERT = "convert to JPEG, for instance with: magick photo.heic photo.jpg"

_LEFT_OUT = {
    "broken": "links that lead nowhere are left out ({}): {}; fetch their files",
    "unread": f"photos that Pillow does not read are left out ({{}}): {{}}; {CONVERT}",
    "video": "videos are left out ({}): {}; name them to wsis predict one by one, or "
    f"take photos out of them: {EXTRACT}",
    "hidden": "hidden photos are left out ({}): {}; rename those to use",
    "loop": "links back to a folder that holds them are left out ({}): {}",
    "drawn": "folders of drawings by wsis predict are left out ({}): {}",
    "made": "folders of results of wsis run are left out ({}): {}",
    "same": "links to other photos are left out ({}): {}",
}


@dataclass(slots=True)
class Listing:
    """The photos in a folder, at any depth, in order of their paths.

    Args:
        photos: files of ``SUFFIXES`` and others whose content is a photo.
        folders: the folders that were not looked into.
        left_out: what is not among the photos, by reason.
    """

    photos: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    left_out: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))

    def reasons(self, folders: Sequence[Path]) -> list[str]:
        """Return a sentence for every reason why something is left out."""
        base = folders[0] if len(folders) == 1 else Path()
        names = {
            why: [
                str(one.relative_to(base)) if base in one.parents else str(one)
                for one in paths
            ]
            for why, paths in self.left_out.items()
        }
        where = "".join(f"{one}: " for one in [few([*map(str, folders)])] if one)
        return [
            f"{where}{_LEFT_OUT[why].format(len(some), few(some))}"
            for why, some in names.items()
            if some
        ]

    def add(self, other: "Listing") -> None:
        """Add what another folder holds."""
        self.photos += other.photos
        self.folders += other.folders
        for why, paths in other.left_out.items():
            self.left_out[why] += paths


def listing(folder: Path, *, deep: bool = True) -> Listing:
    """Return the photos in a folder, and with ``deep`` in those inside it.

    Links are followed, but not to a folder that holds them. Hidden photos, broken
    links, videos, photos of formats that Pillow does not read and folders that
    ``wsis predict`` or ``wsis run`` wrote are left out. Resource forks of macOS
    (``._…``) and other files are no photos.
    """
    found = Listing()
    _walk(folder, found, {folder.resolve()}, deep=deep)
    found.photos.sort()
    return found


def _walk(
    folder: Path, into: Listing, seen: set[Path], *, deep: bool, hidden: bool = False
) -> None:
    here = folder.resolve()
    for one in folder.iterdir():
        suffix, dot = one.suffix.lower(), hidden or one.name.startswith(".")
        if one.name.startswith("._"):
            continue
        if one.is_dir():
            place = one.resolve()
            if one.is_symlink() and place in (here, *here.parents):
                into.left_out["loop"].append(one)
            elif why := results_in(one):
                into.left_out[why].append(one)
            elif not (deep or dot):
                into.folders.append(one)
            elif place not in seen:
                seen.add(place)
                _walk(one, into, seen, deep=True, hidden=dot)
        elif one.is_symlink() and not one.exists():
            if suffix in (*SUFFIXES, *_UNREAD, ""):
                into.left_out["broken"].append(one)
        elif not one.is_file():
            continue
        elif dot:
            if suffix in (*SUFFIXES, *_UNREAD):
                into.left_out["hidden"].append(one)
        elif suffix in _UNREAD:
            into.left_out["unread"].append(one)
        elif suffix in SUFFIXES or _is_photo(one):
            into.photos.append(one)
        elif suffix in VIDEOS:
            into.left_out["video"].append(one)


def results_in(folder: Path) -> str:
    """Return why a folder of wsis's own results is left out; empty for others."""
    marks = {"drawn": PREDICTIONS, "made": STEPS}
    return next((why for why, name in marks.items() if (folder / name).is_file()), "")


def _is_photo(path: Path) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Pillow.init()
            # Of which Pillow may lack some: it knows AVIF since 11.3.
            known = [one for one in _SNIFFED if one in Pillow.OPEN]
            Pillow.open(path, formats=known).close()
    except Exception:
        return False
    return True
