"""Tells which photos are the same, by file, bytes or pixels."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from pathlib import Path

from wsis._support.files import content, digest, state
from wsis.data.images import Reading, read_image


def first_alike(photos: Sequence[Reading]) -> list[int]:
    """Return the place of the first photo that is the same, its own if none is.

    Compared are the file (links), then the bytes of files of one length, then the
    pixels, as they are shown, of photos of one size.
    """
    paths = [photo.path for photo in photos]
    stats = [path.stat() for path in paths]
    files = [(one.st_dev, one.st_ino) for one in stats]
    steps: list[tuple[Sequence[Hashable], Callable[[int], Hashable]]] = [
        (files, files.__getitem__),
        ([one.st_size for one in stats], lambda i: content(paths[i])),
        ([one.size for one in photos], lambda i: _pixels(paths[i], state(paths[i]))),
    ]
    first = list(range(len(photos)))
    # One at a time: reading photos changes the warnings of the whole process.
    for cheap, exact in steps:
        rest = [i for i, k in enumerate(first) if i == k]
        count = Counter(cheap[i] for i in rest)
        seen: dict[Hashable, int] = {}
        for i in rest:
            if count[cheap[i]] > 1:
                first[i] = seen.setdefault(exact(i), i)
    for i, k in enumerate(first):
        first[i] = first[k]
    return first


@lru_cache(maxsize=2**18)
def _pixels(path: Path, state: tuple[int, ...]) -> str:
    """Return a digest of a photo's pixels; the path where it cannot be read."""
    del state
    try:
        return digest(read_image(path))
    except (ValueError, OSError):
        return str(path)  # whoever trains on it is told
