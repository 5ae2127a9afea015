"""Small regions of one colour, what they look like and which of them touch."""

from dataclasses import dataclass

import higra as hg
import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage

from wsis.proposals.contours import derivative

_COLOURS, _SLOPES = 25, 10
"""Bins of a colour channel and of an orientation, as in Selective Search."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Superpixels:
    """An over-segmentation; superpixels are numbered from small to large.

    Args:
        labels: each pixel's superpixel, 0…S−1, none empty.
        area: pixels.
        boxes: xyxy, right and bottom exclusive.
        colour: histograms of the Lab channels, each row sums to 1.
        texture: histograms of the slopes in eight directions, each row sums to 1.
        edges: touching superpixels, each pair once.
        length: of their common border, in pixels.
        contrast: contour strength summed along it, in means of all borders.
    """

    labels: Int[np.ndarray, "H W"]
    area: Float[np.ndarray, " S"]
    boxes: Float[np.ndarray, "S 4"]
    colour: Float[np.ndarray, "S colours"]
    texture: Float[np.ndarray, "S slopes"]
    edges: Int[np.ndarray, "E 2"]
    length: Float[np.ndarray, " E"]
    contrast: Float[np.ndarray, " E"]

    def __len__(self) -> int:
        return len(self.area)


def superpixels(
    lab: Float[np.ndarray, "H W 3"], contour: Float[np.ndarray, "H W"], count: int
) -> Superpixels:
    """The ``count`` most separate regions of an image's ultrametric contour map.

    The map is that of Arbeláez et al., "Contour Detection and Hierarchical Image
    Segmentation", PAMI 2011, section 4.

    Args:
        lab: the image in CIE Lab.
        contour: how strongly each pixel is on a contour.
        count: most superpixels.
    """
    labels = cut(contour, count)
    number = int(labels.max()) + 1
    area = np.bincount(labels.ravel(), minlength=number).astype(float)
    dy, dx = (derivative(lab, axis, 1.0) for axis in (0, 1))
    turns = np.arange(8) * np.pi / 4
    slopes = [np.maximum(np.cos(t) * dx + np.sin(t) * dy, 0) for t in turns]
    edges, length, contrast = borders(labels, contour)
    contrast /= max((contrast / length).mean(), 1e-6) if len(edges) else 1.0
    return Superpixels(
        labels=labels,
        area=area,
        boxes=bounds(labels),
        colour=_histograms(lab, labels, _COLOURS),
        texture=_histograms(np.concatenate(slopes, -1), labels, _SLOPES),
        edges=edges,
        length=length,
        contrast=contrast,
    )


def cut(contour: Float[np.ndarray, "H W"], count: int) -> Int[np.ndarray, "H W"]:
    """The ``count`` most separate regions, numbered from small to large."""
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
    found = np.asarray(cut).reshape(contour.shape)
    size = np.bincount(found.ravel())
    there = np.flatnonzero(size)
    rank = np.empty(len(size), dtype=np.int64)
    rank[there[size[there].argsort(kind="stable")]] = np.arange(len(there))
    labels: Int[np.ndarray, "H W"] = rank[found]
    return labels


def bounds(labels: Int[np.ndarray, "H W"]) -> Float[np.ndarray, "S 4"]:
    """Boxes of regions 0…S−1, none empty: xyxy, right and bottom exclusive."""
    slices = ndimage.find_objects(labels + 1)
    return np.array([(x.start, y.start, x.stop, y.stop) for y, x in slices], float)


def _histograms(
    image: Float[np.ndarray, "H W D"], labels: Int[np.ndarray, "H W"], bins: int
) -> Float[np.ndarray, "S B"]:
    number, channels = int(labels.max()) + 1, image.shape[-1]
    pixels = image.reshape(-1, channels)
    # A few extreme pixels shall not empty the other bins.
    low, high = np.quantile(pixels[::7], [0.001, 0.999], axis=0)
    share = (pixels - low) / np.maximum(high - low, 1e-6)
    bin = (share * bins).astype(np.int64).clip(0, bins - 1)
    place = labels.reshape(-1, 1) * bins + bin
    counts = [np.bincount(p, minlength=number * bins) for p in place.T]
    table = np.stack([c.reshape(number, bins) for c in counts], 1).reshape(number, -1)
    histograms: Float[np.ndarray, "S B"] = table / table.sum(1, keepdims=True)
    return histograms


def borders(
    labels: Int[np.ndarray, "H W"], contour: Float[np.ndarray, "H W"]
) -> tuple[Int[np.ndarray, "E 2"], Float[np.ndarray, " E"], Float[np.ndarray, " E"]]:
    """Touching regions, each pair once; their borders' lengths and summed contours."""
    beside = ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:]))
    pairs = [np.stack([labels[a], labels[b]], -1).reshape(-1, 2) for a, b in beside]
    heights = [((contour[a] + contour[b]) / 2).ravel() for a, b in beside]
    pair, height = np.sort(np.concatenate(pairs), 1), np.concatenate(heights)
    border = pair[:, 0] != pair[:, 1]
    pair, height = pair[border], height[border]
    number = int(labels.max()) + 1
    key, edge = np.unique(pair @ [number, 1], return_inverse=True)
    length = np.bincount(edge, minlength=len(key)).astype(float)
    total = np.bincount(edge, height, minlength=len(key)).astype(float)
    return np.stack([key // number, key % number], 1), length, total
