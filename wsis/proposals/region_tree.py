"""Proposals from trees of few, large superpixels: no learning, no labels."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float

from wsis._support.checks import positive
from wsis._support.memory import uncollected
from wsis.contracts import Contours, Image, Proposals
from wsis.geometry.masks import compact, together
from wsis.proposals._choosing import distinct, neighbour_pairs
from wsis.proposals._growing import ByHistograms, membership, merges
from wsis.proposals._superpixels import Chosen, Superpixels, propose
from wsis.proposals.contours import Contoured, contours_of
from wsis.proposals.grouping import Grouping, check_settings

_TREES = (
    partial(ByHistograms, colour=1.0, texture=1.0, contour=0.5),
    partial(ByHistograms, colour=1.0),
    ByHistograms,
)
"""Three notions of belonging together; what one misses another often has. Equal weights
are those of Selective Search; the share of contours was not measured alone."""

_NEAR_COPIES = 0.9
"""Most overlap among the fine proposals; measured with them (docs/findings.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionTree(Contoured):
    """Nodes of three hierarchical segmentations, and pairs of neighbouring nodes.

    Superpixels of the colour gradient's ultrametric contour map are merged by colour,
    texture, contours, size and fill, as in Selective Search (Uijlings et al., IJCV
    2013); large nodes are candidates before small ones; near copies are dropped; and
    neighbours among the first are joined, as in MCG (Pont-Tuset et al., "Multiscale
    Combinatorial Grouping", PAMI 2017, section 6).

    ``Grouping`` (the sources ``lab`` and ``hed``) covers more objects with as many
    masks. This source is kept because recipes and published figures were made with it,
    and because it leaves near copies, which the anti-noise branch needs in training.

    Args:
        nodes: most nodes kept.
        pairs: most pairs kept.
        side: longer side in pixels at which the work is done; at least 32; a smaller
            image stays as it is.
        superpixels: most superpixels.
        contours: find them: a part of the kind ``contours``, by name, such as ``hed``,
            or as an object.
        sigma: smoothing of the gradient of ``lab``, in pixels at work.
        min_area: smaller ones are dropped; share of the image.
        max_overlap: a candidate with an IoU above this with a kept one is dropped.
        neighbours: the first nodes, among which pairs are sought.
        fine: most proposals of ``Grouping`` that are added, near copies among them:
            its superpixels are smaller. They help where masks are chosen
            (docs/findings.md), and take several times as long to make.

    Raises:
        ValueError: if a setting is out of range.
        UnknownPartError: if there are no such contours.
    """

    version = 1

    nodes: int = 600
    pairs: int = 400
    side: int = 400
    superpixels: int = 800
    contours: Contours | str = "lab"
    sigma: float = 1.5
    min_area: float = 0.0002
    max_overlap: float = 0.9
    neighbours: int = 100
    fine: int = 0

    def __post_init__(self) -> None:
        check_settings(self, nodes=1, pairs=0, neighbours=0, fine=0)
        positive("sigma", self.sigma)
        self._contours()

    def __call__(self, image: Image) -> Proposals:
        """Return the image's proposals; any first part is a good set by itself."""
        found = propose(
            image,
            self._choose,
            contours=self._contours(),
            count=self.superpixels,
            side=self.side,
            source="region_tree",
        )
        return self.extended(found, image)

    @property
    def base(self) -> "RegionTree":
        """The source that has all but the fine proposals."""
        return replace(self, fine=0)

    def extended(self, found: Proposals, image: Image) -> Proposals:
        """Return the proposals of ``base``, and the fine ones behind them."""
        if not self.fine:
            return found
        fine = Grouping(
            contours=self.contours, count=self.fine, max_overlap=_NEAR_COPIES
        )
        return compact(together(found, fine(image)))

    def _contours(self) -> Contours:
        given = {"sigma": self.sigma} if self.contours == "lab" else {}
        return contours_of(self.contours, given)

    def _choose(self, base: Superpixels) -> Chosen:
        limits = base.area, self.max_overlap
        nodes = distinct(self._candidates(base), *limits, count=self.nodes)
        pairs = neighbour_pairs(nodes[: self.neighbours], base.edges)
        pairs = distinct(pairs, *limits, count=self.pairs, beside=nodes)
        # Pairs stand between the nodes in proportion.
        place = np.concatenate([_even(len(nodes)), _even(len(pairs))])
        order = place.argsort(kind="stable")
        members = np.concatenate([nodes, pairs])[order]
        return members, torch.from_numpy(1 - place[order]).float()

    def _candidates(self, base: Superpixels) -> Bool[np.ndarray, "K R"]:
        """Return the nodes of all trees, those merged last first."""
        with uncollected():
            trees = [membership(merges(base, measure))[::-1] for measure in _TREES]
        candidates = np.stack(trees, 1).reshape(-1, len(base))
        large = candidates @ base.area >= self.min_area * base.area.sum()
        found: Bool[np.ndarray, "K R"] = candidates[large]
        return found


def _even(count: int) -> Float[np.ndarray, " K"]:
    """Return the centres of ``count`` equal parts of the unit interval."""
    return (np.arange(count) + 0.5) / max(count, 1)
