"""Mask proposals: what makes them and what keeps them."""

from wsis.proposals.contours import lab_gradient
from wsis.proposals.region_tree import RegionTree
from wsis.proposals.store import CachedSource

__all__ = ["CachedSource", "RegionTree", "lab_gradient"]
