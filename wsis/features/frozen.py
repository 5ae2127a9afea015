"""Pooled features of proposals: kept on disk when the backbone is frozen, or live."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from wsis import plugins
from wsis._support.files import Cache, digest
from wsis._support.places import moved
from wsis._support.provenance import machine
from wsis._support.weights import named_arrays
from wsis.contracts import (
    Backbone,
    Describing,
    Image,
    ProposalHead,
    Proposals,
    Recomputing,
    View,
)
from wsis.features.scale import Scale
from wsis.features.views import pixels, view
from wsis.proposals.bags import Bag

Features = Callable[[Bag, Scale], Tensor | View]
"""Gives a bag's pooled features at a scale, (N, …), or the view to be pooled."""


SAMPLE = 50
"""Images that statistics of features are taken from; they hold thousands of cells."""

_Item = TypeVar("_Item")


def sample(items: Sequence[_Item]) -> Sequence[_Item]:
    """Return about ``SAMPLE`` of many items, evenly spread; all of fewer."""
    return items[:: max(1, len(items) // SAMPLE)]


def lay(
    feature_map: Float[Tensor, "D h w"],
    load: Callable[[], Image],
    proposals: Proposals,
    scale: Scale,
    head: Any,
) -> View:
    """Lay proposals over a photo's map, with the evidence that the head reads."""
    laid = view(feature_map, proposals, scale)
    describe = head.evidence if isinstance(head, Describing) else None
    if describe is None:
        return laid
    evidence = moved(describe(load(), proposals), feature_map.device)
    return replace(laid, evidence=evidence)


@dataclass(frozen=True, slots=True, eq=False)
class LiveFeatures:
    """Runs the backbone at every call, so that it can be trained.

    Args:
        backbone: makes the maps, on its own device.
        head: pools them; None where maps alone are asked for.
    """

    backbone: Backbone
    head: ProposalHead | None

    @property
    def device(self) -> torch.device:
        """The device of the backbone."""
        network: Any = self.backbone
        device: torch.device = next(network.parameters()).device
        return device

    def __call__(self, bag: Bag, scale: Scale) -> Float[Tensor, "N ..."] | View:
        """Return pooled features with their gradient, on the backbone's device.

        For a head that pools by itself, return the view that it pools.
        """
        laid = self.lay(self.map(bag, scale), bag, scale)
        return laid if isinstance(self.head, Recomputing) else self.pool(laid)

    def lay(self, feature_map: Float[Tensor, "D h w"], bag: Bag, scale: Scale) -> View:
        """Lay a bag's proposals over its map, with the evidence that the head reads."""
        return lay(feature_map, lambda: bag.pixels, bag.proposals, scale, self.head)

    def pool(self, laid: View) -> Float[Tensor, "N ..."]:
        """Return pooled features of the proposals of a view.

        Raises:
            ValueError: if there is no head.
        """
        if self.head is None:
            raise ValueError("expected a head that pools, got maps alone")
        return self.head.pool(laid)

    def map(self, bag: Bag, scale: Scale) -> Float[Tensor, "D h w"]:
        """Return the backbone's feature map of the photo."""
        shown = moved(pixels(bag.pixels, scale, self.backbone), self.device)
        return self.backbone(shown)[0]


@dataclass(frozen=True, slots=True, eq=False)
class FrozenFeatures:
    """Runs the backbone once per photo and scale, and keeps its output on disk.

    Maps and pooled features are kept in half precision, by the photo's content: ten
    strategies compared pay for the backbone once.

    Args:
        live: makes them.
        maps: keeps the maps.
        pooled: keeps the pooled features.
    """

    live: LiveFeatures
    maps: Cache
    pooled: Cache

    @classmethod
    def under(
        cls, root: Path, live: LiveFeatures, head: Any, settings: Mapping[str, Any]
    ) -> "FrozenFeatures":
        """Keep features in folders of ``root`` of their own.

        Args:
            root: the folder.
            live: makes them.
            head: pools them, if anything does.
            settings: of ``backbone``, ``head`` and ``source``.
        """
        network: Any = live.backbone
        made_by = {
            "backbone": plugins.identity(network),
            "weights": digest(*named_arrays(network)),
            "frame": [network.mean, network.std, network.stride],
            "machine": machine(live.device),
        }
        maps = {"backbone": settings["backbone"]}
        return cls(
            live,
            maps=Cache.keyed(root / "maps", maps, made_by),
            pooled=Cache.keyed(
                root / "pooled",
                settings,
                {**made_by, "head": plugins.identity(head)},
            ),
        )

    @property
    def made_by(self) -> Mapping[str, Any]:
        """All that maps depend on besides settings: weights, versions, machine."""
        found: Mapping[str, Any] = self.maps.settings["made_by"]
        return found

    @torch.no_grad()
    def __call__(self, bag: Bag, scale: Scale) -> Float[Tensor, "N ..."]:
        """Return pooled features in half precision, on the CPU."""

        def pool() -> dict[str, Tensor]:
            there = moved(self.map(bag, scale), self.live.device)
            laid = self.live.lay(there, bag, scale)
            return {"pooled": _half(self.live.pool(laid), bag)}

        key = f"{_key(bag, scale)}-{bag.origin}"
        return self.pooled.get(key, pool)["pooled"]

    @torch.no_grad()
    def map(self, bag: Bag, scale: Scale) -> Float[Tensor, "D h w"]:
        """Return the backbone's feature map of the photo, on the CPU."""

        def run() -> dict[str, Tensor]:
            return {"map": _half(self.live.map(bag, scale), bag)}

        return self.maps.get(_key(bag, scale), run)["map"].float()


def _key(bag: Bag, scale: Scale) -> str:
    return f"{bag.key}-{scale.name}"


def _half(tensor: Tensor, bag: Bag) -> Tensor:
    if not tensor.isfinite().all():
        raise ValueError(
            f"{bag.image.name}: expected finite features, got NaN or infinity; look at "
            "the weights of backbone and head"
        )
    limit = torch.finfo(torch.float16).max
    return tensor.clamp(-limit, limit).half().cpu()
