"""Sources whose proposals are on disk: a cache of another source, or a store."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from wsis import plugins
from wsis._support.checks import at_least
from wsis._support.files import Cache, digest, state
from wsis.contracts import Image, Ledger, Proposals, ProposalSource
from wsis.geometry.frame import framed, photo_key
from wsis.geometry.masks import compact, select
from wsis.proposals._packing import pack, unpack
from wsis.proposals.shards import INDEX, STAMP, Store, StoreError


@runtime_checkable
class KeptSource(Protocol):
    """A source whose proposals are on disk, found without reading the photo."""

    @property
    def ledger(self) -> Ledger:
        """The labels consumed in making the proposals."""

    def origin(self, key: str) -> str:
        """Return what tells a photo's proposals from others that it had or may have."""

    def get(self, key: str, load: Callable[[], Image]) -> Proposals:
        """Return the proposals of the photo whose ``photo_key`` is ``key``."""


@runtime_checkable
class Extending(Protocol):
    """A source that adds to the proposals of another one, which may be kept."""

    @property
    def base(self) -> ProposalSource:
        """The other source."""

    def extended(self, found: Proposals, image: Image) -> Proposals:
        """Return what the source makes of an image, given what ``base`` does."""


@dataclass(frozen=True, slots=True, eq=False)
class CachedSource:
    """A proposal source that looks into its cache first.

    The cache holds tensors, never pickles; a file that an interruption or a disk left
    damaged is made again.

    Args:
        source: makes proposals of photos that are new.
        cache: where they are kept, by the content of the photo.
        other: where the base of an ``Extending`` source may have kept its own.
    """

    source: ProposalSource
    cache: Cache
    other: KeptSource | None = None

    @classmethod
    def at(cls, folder: Path, source: ProposalSource) -> "CachedSource":
        """Keep the proposals of one source, a dataclass, in ``folder``.

        Raises:
            CacheMismatchError: if the folder holds those of other settings.
        """
        if not is_dataclass(source):
            raise ValueError(
                f"expected a source that is a dataclass, got {type(source).__name__}; "
                "give its settings to CachedSource.under"
            )
        settings = {one.name: getattr(source, one.name) for one in fields(source)}
        settings = plugins.unplaced(settings, source)
        settings = {"source": type(source).__name__, **settings}
        settings["made_by"] = plugins.identity(source)
        return cls(source, Cache(folder=folder, settings=settings))

    @classmethod
    def under(
        cls,
        root: Path,
        source: ProposalSource,
        settings: Mapping[str, Any],
        other: KeptSource | None = None,
    ) -> "CachedSource":
        """Keep the proposals of ``settings`` in a folder of ``root`` of their own."""
        return cls(source, Cache.keyed(root, settings, plugins.identity(source)), other)

    @property
    def ledger(self) -> Ledger:
        """The labels that the source consumed."""
        return self.source.ledger

    def origin(self, key: str) -> str:
        """Return a name of all that makes the proposals, besides the photo."""
        del key
        return digest(self.cache.settings)

    def __call__(self, image: Image) -> Proposals:
        """Return the image's proposals, from the cache or made."""
        return self.get(photo_key(image), lambda: image)

    def get(self, key: str, load: Callable[[], Image]) -> Proposals:
        """Return the proposals kept under ``key``; load the image if there are none.

        Of a large photo they are in its frame.

        Args:
            key: ``photo_key`` of the image.
            load: reads the image.
        """

        def made() -> dict[str, Tensor]:
            proposals = self._made(key, framed(load()))
            name = torch.tensor(list(proposals.source.encode()), dtype=torch.uint8)
            arrays = pack(proposals)
            return {"source": name} | {k: torch.tensor(v) for k, v in arrays.items()}

        kept = self.cache.get(key, made)
        source = bytes(kept["source"].tolist()).decode()
        return unpack({k: v.numpy() for k, v in kept.items()}, source, self.ledger)

    def _made(self, key: str, image: Image) -> Proposals:
        source, other = self.source, self.other
        if (
            isinstance(source, Extending)
            and isinstance(other, CachedSource)
            and other.source == source.base
            and key in other.cache
        ):
            return source.extended(other.get(key, lambda: image), image)
        return source(image)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredProposals:
    """Reads the proposals of photos from a store that was made or imported before.

    Photos are known by their pixels, whatever their name and folder.

    Args:
        path: folder of the store.
        limit: most masks an image, its first ones; 0 takes all.

    Raises:
        ValueError: if there is no store or ``limit`` is negative; when called, if the
            photo is not in the store, or the store is damaged.
    """

    version = 1

    path: str
    limit: int = 0

    def __post_init__(self) -> None:
        at_least("limit", self.limit, 0)
        _ = self.store

    @property
    def store(self) -> Store:
        """The store as it is now."""
        folder = Path(self.path)
        return _opened(folder, state(folder / STAMP), state(folder / INDEX))

    @property
    def ledger(self) -> Ledger:
        """The labels that the store's proposals consumed."""
        return self.store.about.ledger

    def origin(self, key: str) -> str:
        """Return a name of the store, wherever its folder, and of the photo's shard."""
        entry = self.store.entry(key)
        return digest(self.store.token, entry and entry.shard, self.limit)

    def __call__(self, image: Image) -> Proposals:
        """Return the image's proposals."""
        return self.get(photo_key(image), lambda: image)

    def get(self, key: str, load: Callable[[], Image]) -> Proposals:
        """Return the proposals of the photo whose ``photo_key`` is ``key``.

        The photo is loaded only where the store has none of it, for the message.
        """
        store = self.store
        if key not in store:
            why = store.absence(key)
            if why:
                raise StoreError(
                    f"the store {self.path} has lost the proposals of this photo "
                    f"(digest {key}): {why}; wsis proposals make or import adds them"
                )
            height, width = load().shape[:2]
            raise StoreError(
                f"the store {self.path} has no proposals of this photo ({height} x "
                f"{width} pixels, digest {key}) among its {len(store)}; a photo that "
                "was resized or saved again counts as a new one: add it with wsis "
                "proposals make or import"
            )
        proposals = store.get(key)
        if not self.limit or len(proposals) <= self.limit:
            return proposals
        return compact(select(proposals, torch.arange(self.limit)))


@lru_cache(maxsize=8)
def _opened(folder: Path, stamp: tuple[int, ...], index: tuple[int, ...]) -> Store:
    """Read a store once for every state of its files."""
    del stamp, index
    return Store.open(folder)
