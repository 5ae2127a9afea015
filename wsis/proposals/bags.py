"""Images as multiple-instance learning takes them: tags and a bag of proposals."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from wsis._support.files import Cache, digest
from wsis.contracts import Image, Proposals, TaggedImage
from wsis.data.images import Reading
from wsis.geometry.overlap import Shared
from wsis.proposals.store import KeptSource

_SETTLED = 2.0
"""Seconds after a file's change until which its times may not tell of another."""


@dataclass(frozen=True, eq=False)
class Bag:
    """One tagged image and its proposals; both are read on demand and not kept.

    Args:
        image: the photo and its tags.
        source: makes the proposals, or finds them on disk.
        keys: keeps the digests of photos' pixels between runs; None keeps none.
    """

    image: TaggedImage
    source: KeptSource
    keys: Cache | None = None

    @property
    def tags(self) -> Bool[Tensor, " C"]:
        """The classes that are present."""
        return self.image.tags

    @property
    def pixels(self) -> Image:
        """The photo."""
        return self.image.load()

    @cached_property
    def key(self) -> str:
        """A digest of the photo's content."""
        load = self.image.load
        if self.keys is None or not isinstance(load, Reading):
            return digest(self.pixels)
        return _kept_key(load, self.keys)

    @property
    def origin(self) -> str:
        """A name of what the proposals come from; others have another."""
        return self.source.origin(self.key)

    @property
    def labels(self) -> str:
        """A digest of what somebody said of the photo: its tags, points and counts."""
        points, counts = self.image.points, self.image.counts
        given = None if points is None else [points.xy.tolist(), points.label.tolist()]
        counted = [] if counts is None else [counts.tolist()]
        return digest(self.tags.tolist(), given, *counted)

    @property
    def proposals(self) -> Proposals:
        """The photo's proposals."""
        return self.source.get(self.key, self.image.load)


SharedOf = Callable[[Bag], Shared]
"""Gives the pixels that a bag's proposals share."""


def counted(bag: Bag) -> Shared:
    """Count the pixels that a bag's proposals share."""
    return Shared.of(bag.proposals)


@dataclass(frozen=True, slots=True, eq=False)
class KeptShared:
    """Counts the pixels that proposals share once per photo, and keeps them on disk.

    Args:
        cache: keeps them; about 2 MB for 1,000 proposals.
    """

    cache: Cache

    @classmethod
    def under(cls, root: Path) -> "KeptShared":
        """Keep them in a folder of ``root``, by photo and proposals."""
        return cls(Cache.keyed(root, {}, {}))

    def __call__(self, bag: Bag) -> Shared:
        """Return the pixels that a bag's proposals share."""

        def count() -> dict[str, Tensor]:
            shared = counted(bag)
            return {"pixels": shared.pixels, "area": shared.area}

        return Shared(**self.cache.get(f"{bag.key}-{bag.origin}", count))


def _kept_key(reading: Reading, kept: Cache) -> str:
    """Return the digest of a photo's pixels; once kept, while its file is as then.

    The file's times, length and number tell, as git goes by them.
    """
    try:
        file = reading.path.stat()
    except OSError:
        return digest(reading())  # says what is wrong
    if time.time() - file.st_ctime < _SETTLED:
        return digest(reading())
    seen = file.st_mtime_ns, file.st_ctime_ns, file.st_size, file.st_ino, file.st_dev

    def made() -> dict[str, Tensor]:
        return {"digest": torch.tensor(list(bytes.fromhex(digest(reading()))))}

    name = digest(str(reading.path.resolve()), reading.upright, seen)
    return bytes(kept.get(name, made)["digest"].tolist()).hex()
