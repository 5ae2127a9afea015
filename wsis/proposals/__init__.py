"""Mask proposals: what makes them and what keeps them."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.proposals.contours import LabContours, lab_gradient
    from wsis.proposals.grouping import Grouping
    from wsis.proposals.hed import HedContours
    from wsis.proposals.region_tree import RegionTree
    from wsis.proposals.store import CachedSource

__all__ = [
    "CachedSource",
    "Grouping",
    "HedContours",
    "LabContours",
    "RegionTree",
    "lab_gradient",
]

__getattr__ = exports(__name__)
