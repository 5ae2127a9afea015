"""Given points as cues: they take the place of the peaks (CIM-p)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wsis._support.checks import inside
from wsis.contracts import Ledger, Overlaps, Points, Proposals, Supervision, TaggedImage
from wsis.cues.agpl import agpl


@dataclass(frozen=True, slots=True, kw_only=True)
class PointCues:
    """Labels what the proposals over each given point agree on; nothing is learned.

    Li et al., https://arxiv.org/abs/2402.07633 (CIM-p). The points are the images'
    (``TaggedImage.points``), in the order of their file: where two claim a proposal,
    the later one has it.

    Args:
        agreement: share of the proposals over a point that agree on a pixel, in (0, 1).
        near: IoU that joins a cluster, in (0, 1).
    """

    version = 1

    agreement: float = 0.7
    near: float = 0.5

    def __post_init__(self) -> None:
        inside("agreement", self.agreement)
        inside("near", self.near)

    @property
    def ledger(self) -> Ledger:
        """Points, and the tags that name their classes."""
        return frozenset({Supervision.TAGS, Supervision.POINTS})

    def fit(
        self,
        maps: Sequence[Float[Tensor, "D _ _"]],
        tags: Bool[Tensor, "B C"],
        generator: torch.Generator,
    ) -> "PointCues":
        """Return the cues themselves: there is nothing to learn."""
        del maps, tags, generator
        return self

    def peaks(
        self, image: TaggedImage, map: Float[Tensor, "D _ _"], size: tuple[int, int]
    ) -> Points:
        """Return the given points."""
        del map, size
        none = Points(xy=torch.zeros(0, 2), label=torch.zeros(0, dtype=torch.long))
        return none if image.points is None else image.points

    def __call__(
        self,
        image: TaggedImage,
        map: Float[Tensor, "D _ _"],
        proposals: Proposals,
        overlaps: Overlaps,
    ) -> Int[Tensor, "N C1"]:
        """Return one cluster a point, numbered from 1 in their order.

        An image that nobody pointed at is left without labels: its objects are unknown,
        not absent.

        Raises:
            ValueError: if a point lies outside the image; names it.
        """
        del map, overlaps
        classes = len(image.tags)
        if image.points is None or not len(image.points):
            return torch.zeros(len(proposals), classes + 1, dtype=torch.long)
        try:
            return agpl(
                image.points,
                proposals,
                classes,
                agreement=self.agreement,
                near=self.near,
            )
        except ValueError as error:
            raise ValueError(f"{image.name}: {error}") from None
