"""Proposals from a store, as a source like any other."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from wsis._support.checks import at_least
from wsis._support.files import digest
from wsis.contracts import Image, Ledger, Proposals
from wsis.geometry.masks import compact, select
from wsis.proposals.shard_index import INDEX, STAMP, StoreError
from wsis.proposals.shards import Store


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

    path: str
    limit: int = 0

    def __post_init__(self) -> None:
        at_least("limit", self.limit, 0)
        _ = self.store

    @property
    def store(self) -> Store:
        """The store as it is now."""
        folder = Path(self.path)
        return _opened(folder, _state(folder / STAMP), _state(folder / INDEX))

    @property
    def ledger(self) -> Ledger:
        """The labels that the store's proposals consumed."""
        return self.store.about.ledger

    @property
    def origin(self) -> str:
        """Which store it is, wherever its folder: another one has other proposals."""
        return self.store.token

    def __call__(self, image: Image) -> Proposals:
        """The image's proposals."""
        return self.get(digest(image), lambda: image)

    def get(self, key: str, load: Callable[[], Image]) -> Proposals:
        """The proposals of the photo whose ``digest`` is ``key``.

        The photo is loaded only where the store has none of it, for the message.
        """
        store = self.store
        if key not in store:
            height, width = load().shape[:2]
            raise StoreError(
                f"the store {self.path} has no proposals of this photo ({height} x "
                f"{width} pixels, digest {key}) among its {len(store)}; a photo that "
                "was resized or saved again is another one: add it with wsis proposals "
                "make or import"
            )
        proposals = store.get(key)
        if not self.limit or len(proposals) <= self.limit:
            return proposals
        return compact(select(proposals, torch.arange(self.limit)))


@lru_cache(maxsize=8)
def _opened(folder: Path, stamp: tuple[int, int], index: tuple[int, int]) -> Store:
    """Read once for every state of its files."""
    del stamp, index
    return Store.open(folder)


def _state(path: Path) -> tuple[int, int]:
    if not path.exists():
        return 0, 0
    found = path.stat()
    return found.st_mtime_ns, found.st_size
