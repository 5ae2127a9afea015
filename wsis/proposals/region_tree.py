"""Proposals from trees of regions: no learning, no labels."""

from dataclasses import dataclass

import higra as hg
import numpy as np
import torch
from skimage.transform import resize

from wsis.contracts import Image, Ledger, Proposals
from wsis.masks import compact
from wsis.proposals.contours import lab_gradient


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionTree:
    """Nodes of a hierarchical segmentation, and pairs of neighbouring nodes.

    Args:
        nodes: most nodes kept.
        pairs: most pairs kept.
        side: the image is worked on with this longer side, in pixels.
        sigma: of the contours, in pixels of the worked-on image.
    """

    nodes: int = 600
    pairs: int = 400
    side: int = 400
    sigma: float = 1.0

    def __post_init__(self) -> None:
        if self.nodes < 1 or self.pairs < 0 or self.side < 16 or self.sigma <= 0:
            raise ValueError(f"got {self}")

    @property
    def ledger(self) -> Ledger:
        """Empty: nobody labelled anything."""
        return frozenset()

    def __call__(self, image: Image) -> Proposals:
        """The image's proposals."""
        height, width = image.shape[:2]
        ratio = min(1.0, self.side / max(height, width))
        size = max(1, round(height * ratio)), max(1, round(width * ratio))
        small = resize(image, size, anti_aliasing=True, preserve_range=True)
        graph = hg.get_4_adjacency_graph(size)
        contour = lab_gradient(small.round().astype(np.uint8), self.sigma)
        weights = hg.weight_graph(graph, contour, hg.WeightFunction.mean)
        tree, altitude = hg.mean_pb_hierarchy(graph, weights, size)
        rag = hg.CptHierarchy.get_leaf_graph(tree)
        superpixels = hg.CptRegionAdjacencyGraph.get_vertex_map(rag).reshape(size)
        leaves = tree.num_leaves()
        members = np.zeros((tree.num_vertices(), leaves), bool)
        members[np.arange(leaves), np.arange(leaves)] = True
        parents = tree.parents()
        for node in range(len(parents) - 1):
            members[parents[node]] |= members[node]
        strength = altitude[parents] - altitude
        strength[-1] = 0
        order = (-strength).argsort(kind="stable")[: self.nodes + self.pairs]
        rows = np.arange(height) * size[0] // height
        columns = np.arange(width) * size[1] // width
        return compact(
            Proposals(
                regions=torch.from_numpy(superpixels[rows][:, columns].astype(np.int64)),
                members=torch.from_numpy(members[order]),
                objectness=torch.from_numpy(strength[order]).float(),
                source="region_tree",
            )
        )
