"""Images as multiple-instance learning takes them: tags and a bag of proposals."""

import logging
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from wsis._support.files import Cache, digest
from wsis._support.progress import Monitor, Silent
from wsis.contracts import Image, Points, Proposals, TaggedImage
from wsis.data.images import Reading, read_all
from wsis.geometry.frame import Framed, Size, framed, key_of
from wsis.geometry.overlap import Shared
from wsis.proposals.store import KeptSource

_SETTLED = 2.0
"""Seconds after a file's change until which its times may not tell of another."""


@dataclass(frozen=True, eq=False)
class Bag:
    """One tagged image and its proposals; both are read on demand and not kept.

    A large photo is worked on in its frame (``wsis.geometry.frame``): pixels and
    proposals are of the frame's size, unless a store has proposals of the photo's own.

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
        """The photo in its frame."""
        return framed(self.image.load())

    @cached_property
    def _known(self) -> tuple[str, Size]:
        load = self.image.load
        if isinstance(load, Framed):
            return load.key, load.size
        if self.keys is not None and isinstance(load, Reading) and all(load.size):
            return key_of(_kept_digest(load, self.keys), load.size), load.size
        image = load()
        size = image.shape[0], image.shape[1]
        return key_of(digest(image), size), size

    @property
    def key(self) -> str:
        """A digest of the photo's content, which tells its frame too."""
        return self._known[0]

    @property
    def size(self) -> Size:
        """(H, W) of the photo, which its frame may be smaller than."""
        return self._known[1]

    def once(self) -> "Bag":
        """Return the bag with its frame in memory: the photo is read now, not again."""
        if isinstance(self.image.load, Framed):
            return self
        return replace(self, image=read_once(self.image))

    def image_at(self, size: Size) -> TaggedImage:
        """Return the image as parts see it beside proposals of ``size`` (H, W).

        It loads the frame, and its points are in pixels of ``size``.
        """
        points = self.image.points
        if points is not None and self.size != size:
            # The pixel of the frame that lies under the centre of a point's pixel.
            ratio = points.xy.new_tensor(
                [size[1] / self.size[1], size[0] / self.size[0]]
            )
            points = Points(xy=(points.xy.floor() + 0.5) * ratio, label=points.label)
        return replace(self.image, load=lambda: self.pixels, points=points)

    @property
    def origin(self) -> str:
        """A name of what the proposals come from; others have another."""
        return self.source.origin(self.key)

    @property
    def labels(self) -> str:
        """A digest of what somebody said of the photo: tags, points, counts, none."""
        points, counts = self.image.points, self.image.counts
        given = None if points is None else [points.xy.tolist(), points.label.tolist()]
        counted = [] if counts is None else [counts.tolist()]
        none = ["background"] if self.image.background else []
        return digest(self.tags.tolist(), given, *counted, *none)

    @property
    def proposals(self) -> Proposals:
        """The photo's proposals."""
        return self.source.get(self.key, self.image.load)


def keys_of(bags: Sequence[Bag], monitor: Monitor | None = None) -> list[str]:
    """Read every photo, and return the key of each.

    Raises:
        ValueError: if photos cannot be read; names all of them.
    """
    tick = (monitor or Silent()).start("read photos", len(bags))

    def read(bag: Bag) -> None:
        _ = bag.key
        tick(bag.image.name)

    read_all([partial(read, bag) for bag in bags])
    return [bag.key for bag in bags]


def read_once(image: TaggedImage) -> TaggedImage:
    """Return an image whose photo was read and of which the frame stays in memory."""
    return replace(image, load=Framed.of(image.load()))


SharedOf = Callable[[Bag], Shared]
"""Gives the pixels that a bag's proposals share."""


def counted(bag: Bag) -> Shared:
    """Count the pixels that a bag's proposals share."""
    return Shared.of(bag.proposals)


@dataclass(frozen=True, slots=True, eq=False)
class KeptShared:
    """Counts the pixels that proposals share once per photo, and keeps them on disk.

    Args:
        cache: keeps them; about 2 MB for 1,000 proposals, four times that for 2,000.
        budget: of the disk; beyond it they are counted at every visit.
    """

    cache: Cache
    budget: "Budget"

    @classmethod
    def under(cls, root: Path, gigabytes: float | None = None) -> "KeptShared":
        """Keep them in a folder of ``root``, by photo and proposals.

        Args:
            root: the folder.
            gigabytes: at most; None takes ``overlaps_gigabytes``.
        """
        cache = Cache.keyed(root, {}, {})
        most = overlaps_gigabytes() if gigabytes is None else gigabytes
        return cls(cache, Budget(cache.folder, most))

    def __call__(self, bag: Bag) -> Shared:
        """Return the pixels that a bag's proposals share."""

        def count() -> dict[str, Tensor]:
            shared = counted(bag)
            return {"pixels": shared.pixels, "area": shared.area}

        name = f"{bag.key}-{bag.origin}"
        return Shared(**self.cache.get(name, count, self.budget.has_room))


OVERLAPS = "WSIS_OVERLAPS_GB"
"""Names the variable that says how much disk kept overlaps may take."""


def overlaps_gigabytes() -> float:
    """Return how much disk kept overlaps may take; 20 GB unless somebody says.

    Raises:
        ValueError: if what was said is no number from 0 on.
    """
    said = os.environ.get(OVERLAPS, "20")
    try:
        found = float(said)
    except ValueError:
        found = -1.0
    if not 0 <= found < math.inf:
        raise ValueError(
            f"expected gigabytes in {OVERLAPS}, a number from 0 on, got {said!r}"
        )
    return found


class Budget:
    """The room that files of a folder have, other processes' included.

    Args:
        folder: of the files.
        gigabytes: that they may take together.
    """

    def __init__(self, folder: Path, gigabytes: float) -> None:
        self.folder, self.gigabytes = folder, gigabytes
        self._used = self._asked = 0
        self._told = False

    def has_room(self, made: Mapping[str, Tensor]) -> bool:
        """Tell whether there is room for tensors; say once, in the log, if not."""
        if self._asked % _COUNTED == 0:
            self._used = 0
            for file in self.folder.glob("*.safetensors"):
                with suppress(FileNotFoundError):  # somebody makes room
                    self._used += file.stat().st_size
        self._asked += 1
        size = sum(one.nbytes for one in made.values())
        if self._used + size <= 1e9 * self.gigabytes:
            self._used += size
            return True
        if not self._told:
            self._told = True
            # Not a warning about an input: results are the same.
            logging.getLogger("wsis").warning(
                "kept overlaps fill the %g GB that they may take in %s; those of other "
                "photos are counted at every visit, which makes training slower; set "
                "%s to allow more",
                *(self.gigabytes, self.folder, OVERLAPS),
            )
        return False


_COUNTED = 100
"""Files after which those of other processes are counted, too."""


def _kept_digest(reading: Reading, kept: Cache) -> str:
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
