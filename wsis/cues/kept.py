"""The cue cache: cluster labels of bags, made once and kept on disk or in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import overload

import torch
from jaxtyping import Int
from torch import Tensor

from wsis._support.files import Cache, digest
from wsis.contracts import CueLabeller, Tracing
from wsis.features.frozen import FrozenFeatures
from wsis.features.scale import Scale
from wsis.features.tracing import trace
from wsis.proposals.bags import Bag, SharedOf, counted


@dataclass(frozen=True, slots=True, eq=False)
class Cues:
    """Cluster labels of bags, computed once each.

    Args:
        labeller: makes them; None gives no cues. A ``Learned`` one is trained when
            labels are first missing.
        features: gives the maps.
        scale: of the images that the maps are of.
        cache: keeps the labels between runs; made for this labeller alone.
        shared: counts the pixels that proposals share.
        kept: the labels so far, where there is no cache.
    """

    labeller: "CueLabeller | Learned | None"
    features: FrozenFeatures
    scale: Scale
    cache: Cache | None = None
    shared: SharedOf = counted
    kept: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    def __call__(self, bag: Bag) -> Int[Tensor, "N C1"] | None:
        """Return the cluster labels of a bag's proposals."""
        if self.labeller is None:
            return None
        key = label_key(bag)

        def make() -> dict[str, Tensor]:
            labels = self._label(bag)
            return {} if labels is None else {"labels": labels.to(torch.int16)}

        if self.cache is not None:
            # Not in memory, too, which would grow with the number of photos.
            made = self.cache.get(key, make)
        else:
            made = self.kept[key] if key in self.kept else make()
            self.kept[key] = made
        return made["labels"].long() if "labels" in made else None

    def has(self, bag: Bag) -> bool:
        """Tell whether the cache keeps the labels of a bag."""
        return self.cache is not None and label_key(bag) in self.cache

    def learned(self) -> CueLabeller | None:
        """Return the labeller, trained now if it was not yet."""
        found = self.labeller
        return found.labeller if isinstance(found, Learned) else found

    def ready(self) -> CueLabeller | None:
        """Return the labeller, trained and shown the way through the backbone."""
        labeller = self.learned()
        if isinstance(labeller, Tracing):
            return labeller.through(trace(self.features.live.backbone, self.scale))
        return labeller

    def _label(self, bag: Bag) -> Int[Tensor, "N C1"] | None:
        labeller = self.ready()
        if labeller is None:
            return None
        proposals = bag.proposals
        found = labeller(
            bag.image_at(proposals.size),
            self.features.map(bag, self.scale),
            proposals,
            self.shared(bag).overlaps(),
        )
        shape = len(proposals), len(bag.tags) + 1
        if found.is_floating_point() or tuple(found.shape) != shape:
            raise ValueError(
                f"{bag.image.name}: expected whole numbers of shape {shape} from "
                f"{type(labeller).__name__}, got {found.dtype} of {tuple(found.shape)}"
            )
        return found


@dataclass(frozen=True, eq=False)
class Learned:
    """A labeller that is trained when it is first needed.

    Args:
        fit: trains it; the same every time it is called.
    """

    fit: Callable[[], CueLabeller | None]

    @cached_property
    def labeller(self) -> CueLabeller | None:
        """The labeller that ``fit`` returns, trained once."""
        return self.fit()


@dataclass(frozen=True, slots=True, eq=False)
class Maps(Sequence[Tensor]):
    """The feature maps of bags, each read from the cache whenever it is asked for.

    Args:
        features: gives them.
        bags: one a map.
        scale: of the images that the maps are of.
    """

    features: FrozenFeatures
    bags: Sequence[Bag]
    scale: Scale

    def __len__(self) -> int:
        return len(self.bags)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> "Maps": ...
    def __getitem__(self, index: int | slice) -> "Tensor | Maps":
        if isinstance(index, slice):
            return Maps(self.features, self.bags[index], self.scale)
        return self.features.map(self.bags[index], self.scale)


def label_key(bag: Bag) -> str:
    """Name in short what labels depend on: photo, tags, points and proposals."""
    return f"{bag.key}-{digest(bag.labels, bag.origin)}"
