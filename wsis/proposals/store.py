"""Proposals kept on disk: made once per photo and settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from wsis._support.files import Cache, digest
from wsis.contracts import Image, Ledger, Proposals, ProposalSource
from wsis.proposals.packing import pack_bits, unpack_bits


@runtime_checkable
class KeptSource(Protocol):
    """A source whose proposals are on disk, found without reading the photo."""

    @property
    def ledger(self) -> Ledger:
        """The labels consumed in making the proposals."""

    @property
    def origin(self) -> str:
        """What proposals depend on besides settings and photo; empty if nothing."""

    def get(self, key: str, load: Callable[[], Image]) -> Proposals:
        """The proposals of the photo whose ``digest`` is ``key``."""


@dataclass(frozen=True, slots=True, eq=False)
class CachedSource:
    """A proposal source that looks into its cache first.

    What is kept is tensors, never pickles; a file that an interruption or a disk left
    damaged is made again.

    Args:
        source: makes proposals of photos that are new.
        cache: where they are kept, by the content of the photo.
    """

    source: ProposalSource
    cache: Cache

    @classmethod
    def at(cls, folder: Path, source: ProposalSource) -> "CachedSource":
        """Keeps the proposals of one source, a dataclass, in ``folder``.

        Raises:
            CacheMismatchError: if the folder holds those of other settings.
        """
        return cls(source, Cache(folder=folder, settings=_settings(source)))

    @classmethod
    def under(
        cls, root: Path, source: ProposalSource, settings: Mapping[str, Any]
    ) -> "CachedSource":
        """Keeps the proposals of ``settings`` in a folder of ``root`` of their own."""
        return cls(source, Cache.keyed(root, settings))

    @property
    def ledger(self) -> Ledger:
        """That of the source."""
        return self.source.ledger

    @property
    def origin(self) -> str:
        """Empty: settings and photo make the proposals."""
        return ""

    def __call__(self, image: Image) -> Proposals:
        """The image's proposals, from the cache or made."""
        return self.get(digest(image), lambda: image)

    def get(self, key: str, load: Callable[[], Image]) -> Proposals:
        """The proposals kept under ``key``; the image is loaded only if there are none.

        Args:
            key: ``digest`` of the image's pixels.
            load: reads the image.
        """
        kept = self.cache.get(key, lambda: _pack(self.source(load())))
        return _unpack(kept, self.ledger)


def _pack(proposals: Proposals) -> dict[str, Tensor]:
    count = proposals.members.shape[1]
    small = torch.int16 if count <= torch.iinfo(torch.int16).max else torch.int32
    return {
        "regions": proposals.regions.cpu().to(small),
        "members": torch.from_numpy(pack_bits(proposals.members)),
        "count": torch.tensor(count),
        "objectness": proposals.objectness.cpu(),
        "source": torch.tensor(list(proposals.source.encode()), dtype=torch.uint8),
    }


def _unpack(kept: Mapping[str, Tensor], ledger: Ledger) -> Proposals:
    return Proposals(
        regions=kept["regions"].long(),
        members=unpack_bits(kept["members"].numpy(), int(kept["count"])),
        objectness=kept["objectness"],
        source=bytes(kept["source"].tolist()).decode(),
        ledger=ledger,
    )


def _settings(source: ProposalSource) -> dict[str, Any]:
    if not is_dataclass(source):
        raise ValueError(
            f"expected a source that is a dataclass, got {type(source).__name__}; "
            "give its settings to CachedSource.under"
        )
    values = {field.name: getattr(source, field.name) for field in fields(source)}
    return {"source": type(source).__name__, **values}
