"""Superpixels: small regions of one colour, how they look and which of them touch."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import higra as hg
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from scipy.sparse import csr_array
from skimage.color import rgb2lab

from wsis._support.memory import give_back
from wsis.contracts import Contours, Image, Proposals
from wsis.geometry.frame import sampled, shrunk
from wsis.geometry.masks import compact
from wsis.proposals.contours import channels_first, derivative, lab_gradient, seen

_COLOURS, _SLOPES = 25, 10
"""Bins of a colour channel and of an orientation, as in Selective Search (IJCV 2013,
section 3.2)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Superpixels:
    """An over-segmentation of an image in CIE Lab.

    Superpixels are numbered from small to large. Of those that touch, each pair once
    and in order, are known the length of their border in pixels and the contour summed
    along it.
    """

    labels: Int[np.ndarray, "H W"]
    lab: Float[np.ndarray, "H W 3"]
    edges: Int[np.ndarray, "E 2"]
    length: Float[np.ndarray, " E"]
    contour: Float[np.ndarray, " E"]

    @classmethod
    def of(
        cls,
        labels: Int[np.ndarray, "H W"],
        lab: Float[np.ndarray, "H W 3"],
        contour: Float[np.ndarray, "H W"],
    ) -> "Superpixels":
        """Return numbered regions of an image with what its contours say of them."""
        number = int(labels.max()) + 1
        keys, heights = [], []
        for a, b in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
            border = labels[a] != labels[b]
            one, two = labels[a][border], labels[b][border]
            keys.append(np.minimum(one, two) * number + np.maximum(one, two))
            heights.append((contour[a][border] + contour[b][border]) / 2)
        height = np.concatenate(heights)
        key, edge = np.unique(np.concatenate(keys), return_inverse=True)
        return cls(
            labels=labels,
            lab=lab,
            edges=np.stack([key // number, key % number], 1),
            length=np.bincount(edge, minlength=len(key)).astype(float),
            contour=np.bincount(edge, height, minlength=len(key)).astype(float),
        )

    def __len__(self) -> int:
        return len(self.area)

    @cached_property
    def area(self) -> Float[np.ndarray, " R"]:
        """Pixels."""
        return np.bincount(self.labels.ravel()).astype(float)

    @cached_property
    def boxes(self) -> Float[np.ndarray, "R 4"]:
        """Boxes as xyxy, right and bottom exclusive."""
        slices = ndimage.find_objects(self.labels + 1)
        return np.array([(x.start, y.start, x.stop, y.stop) for y, x in slices], float)

    @cached_property
    def frame(self) -> Float[np.ndarray, " R"]:
        """Pixels on the image's own border; a corner counts twice."""
        a = self.labels
        sides = np.concatenate([a[0], a[-1], a[:, 0], a[:, -1]])
        return np.bincount(sides, minlength=len(self)).astype(float)

    @cached_property
    def touching(self) -> csr_array:
        """A sparse matrix (R, R) with 1 where two touch."""
        first, second = self.edges.T
        ends = np.concatenate([first, second]), np.concatenate([second, first])
        ones = np.ones(len(ends[0]), dtype=np.float32)
        return csr_array((ones, ends), shape=(len(self), len(self)))

    @cached_property
    def colour(self) -> Float[np.ndarray, "R 3"]:
        """Mean colours."""
        flat = self.labels.ravel()
        channels = [self.lab[..., i].ravel() for i in range(3)]
        return np.stack([np.bincount(flat, c) / self.area for c in channels], 1)

    @cached_property
    def colours(self) -> Float[np.ndarray, "R bins"]:
        """Histograms of the channels; each row sums to 1."""
        return _histograms(channels_first(self.lab), self.labels, _COLOURS)

    @cached_property
    def slopes(self) -> Float[np.ndarray, "R bins"]:
        """Histograms of the slopes in eight directions; each row sums to 1."""
        channels = channels_first(self.lab)
        dy, dx = (derivative(channels, axis, 1.0) for axis in (0, 1))
        turns = np.arange(8) * np.pi / 4
        slopes = (
            np.maximum(np.cos(t) * x + np.sin(t) * y, 0)
            for t in turns
            for x, y in zip(dx, dy, strict=True)
        )
        return _histograms(slopes, self.labels, _SLOPES)


Chosen = tuple[Bool[np.ndarray, "N R"], Float[torch.Tensor, " N"]]
"""Proposals as sets of superpixels, and their objectness."""


def propose(
    image: Image,
    choose: Callable[[Superpixels], Chosen],
    *,
    contours: Contours,
    count: int,
    side: int,
    source: str,
    detail: float = 0.0,
) -> Proposals:
    """Return proposals that are chosen among groups of superpixels of the image.

    The work is done at a longer side of at most ``side`` pixels, on at most ``count``
    superpixels; ``detail`` is the share of the colour gradient that is added to learned
    contours.
    """
    small = shrunk(image, side)
    lab = rgb2lab(small)
    contour = seen(contours, small, lab)
    if detail and contours.ledger:
        contour = contour + detail * lab_gradient(lab, 1.0)
    base = Superpixels.of(cut(contour, count), lab, contour)
    members, objectness = choose(base)
    # Photos of many sizes would leave holes of many sizes.
    give_back()
    return compact(
        Proposals(
            regions=torch.from_numpy(sampled(base.labels, image.shape[:2])),
            members=torch.from_numpy(members),
            objectness=objectness,
            source=source,
            ledger=contours.ledger,
        )
    )


def cut(contour: Float[np.ndarray, "H W"], count: int) -> Int[np.ndarray, "H W"]:
    """Return the ``count`` most separate regions of the ultrametric contour map.

    They are numbered from small to large. The map is that of Arbeláez et al., "Contour
    Detection and Hierarchical Image Segmentation", PAMI 2011, section 4.
    """
    if contour.size == 1:
        # Higra refuses a graph without edges.
        return np.zeros(contour.shape, dtype=np.int64)
    graph = hg.get_4_adjacency_graph(contour.shape)
    weights = hg.weight_graph(graph, contour, hg.WeightFunction.mean)
    tree, altitudes = hg.mean_pb_hierarchy(graph, weights, contour.shape)
    # Means of the same numbers in another order may be smaller by a rounding error.
    altitudes = hg.tree_monotonic_regression(tree, altitudes, "max")
    count = min(count, tree.num_leaves())
    cut = hg.labelisation_horizontal_cut_from_num_regions(tree, altitudes, count)
    size = np.bincount(cut.ravel())
    found = np.flatnonzero(size)
    rank = np.zeros(len(size), dtype=np.int64)
    rank[found[size[found].argsort(kind="stable")]] = np.arange(len(found))
    return np.asarray(rank[cut].reshape(contour.shape))


def _histograms(
    channels: Iterable[Float[np.ndarray, "H W"]],
    labels: Int[np.ndarray, "H W"],
    bins: int,
) -> Float[np.ndarray, "R B"]:
    """Return each region's histograms of all channels, which sum to 1."""
    number = int(labels.max()) + 1
    first = labels.ravel() * bins
    counts = []
    # One channel at a time stays in the processor's cache.
    for channel in channels:
        # A few extreme pixels must not empty the other bins.
        pixels = channel.ravel()
        low, high = np.quantile(pixels[::7], [0.001, 0.999])
        share = (pixels - low) / np.maximum(high - low, 1e-6)
        bin = (share * bins).clip(0, bins - 1).astype(np.int64)
        count = np.bincount(first + bin, minlength=number * bins)
        counts.append(count.reshape(number, bins))
    table = np.concatenate(counts, 1)
    return np.asarray(table / table.sum(1, keepdims=True))
