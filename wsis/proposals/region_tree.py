"""Proposals from trees of regions: no learning, no labels."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from skimage.color import rgb2lab

from wsis import plugins
from wsis._support.checks import at_least, fraction, proper
from wsis.contracts import Contours, Image, Ledger, Proposals
from wsis.geometry.masks import compact
from wsis.proposals.merging import Similarity, members
from wsis.proposals.pooling import distinct, neighbour_pairs
from wsis.proposals.scaling import enlarged, shrunk
from wsis.proposals.superpixels import Superpixels, superpixels

_TREES = (
    Similarity(colour=1.0, texture=1.0, contour=0.5),
    Similarity(colour=1.0),
    Similarity(),
)
"""Three notions of belonging together; what one misses another often has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionTree:
    """Nodes of three hierarchical segmentations, and pairs of neighbouring nodes.

    Superpixels of the colour gradient's ultrametric contour map are merged by colour,
    texture, contours, size and fill, as in Selective Search (Uijlings et al., IJCV
    2013); large nodes are candidates before small ones; near copies are dropped; and
    neighbours among the first are joined, as in MCG (Pont-Tuset et al., "Multiscale
    Combinatorial Grouping", PAMI 2017, section 6).

    Args:
        nodes: most nodes kept.
        pairs: most pairs kept.
        side: longer side in pixels at which the work is done; at least 32; a smaller
            image stays as it is.
        superpixels: most superpixels.
        contours: what finds them: a part of the kind ``contours``, such as ``hed``.
        sigma: smoothing of the gradient of ``lab``, in pixels at work.
        min_area: smaller ones are dropped; share of the image.
        max_overlap: a candidate with an IoU above this with a kept one is dropped.
        neighbours: the first nodes, among which pairs are sought.

    Raises:
        ValueError: if a setting is out of range.
        UnknownPartError: if there are no such contours.
    """

    nodes: int = 600
    pairs: int = 400
    side: int = 400
    superpixels: int = 800
    contours: str = "lab"
    sigma: float = 1.5
    min_area: float = 0.0002
    max_overlap: float = 0.9
    neighbours: int = 100

    def __post_init__(self) -> None:
        for name, least in (
            ("nodes", 1),
            ("pairs", 0),
            ("side", 32),
            ("superpixels", 1),
            ("neighbours", 0),
        ):
            at_least(name, getattr(self, name), least)
        if self.sigma <= 0:
            raise ValueError(f"sigma must be positive, got {self.sigma}")
        proper("min_area", self.min_area)
        fraction("max_overlap", self.max_overlap)
        self._contours()

    @property
    def ledger(self) -> Ledger:
        """That of the contours; empty for ``lab``: nobody labelled anything."""
        return self._contours().ledger

    def __call__(self, image: Image) -> Proposals:
        """The image's proposals; any first part of them is a good set by itself."""
        small = shrunk(image, self.side)
        contour = self._contours()(small)
        base = superpixels(rgb2lab(small), contour, self.superpixels)
        limits = base.area, self.max_overlap
        nodes = distinct(self._candidates(base), *limits, count=self.nodes)
        pairs = neighbour_pairs(nodes[: self.neighbours], base.edges)
        pairs = distinct(pairs, *limits, count=self.pairs, beside=nodes)
        # Pairs stand between the nodes in proportion.
        place = np.concatenate([_even(len(nodes)), _even(len(pairs))])
        order = place.argsort(kind="stable")
        return compact(
            Proposals(
                regions=torch.from_numpy(enlarged(base.labels, image.shape[:2])),
                members=torch.from_numpy(np.concatenate([nodes, pairs])[order]),
                objectness=torch.from_numpy(1 - place[order]).float(),
                source="region_tree",
                ledger=self.ledger,
            )
        )

    def _contours(self) -> Contours:
        given = {"sigma": self.sigma} if self.contours == "lab" else {}
        found: Contours = plugins.create("contours", self.contours, given)
        return found

    def _candidates(self, base: Superpixels) -> Bool[np.ndarray, "K S"]:
        """Nodes of all trees, those merged last first."""
        trees = [members(base, similarity) for similarity in _TREES]
        candidates = np.stack(trees, 1).reshape(-1, len(base))
        large = candidates @ base.area >= self.min_area * base.area.sum()
        found: Bool[np.ndarray, "K S"] = candidates[large]
        return found


def _even(count: int) -> Float[np.ndarray, " K"]:
    """Centres of ``count`` equal parts of the unit interval."""
    return (np.arange(count) + 0.5) / max(count, 1)
