"""Mask proposals: sources that make them, caches and stores that keep them."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.proposals.bags import Bag
    from wsis.proposals.contours import LabContours, lab_gradient
    from wsis.proposals.evidence import PixelEvidence
    from wsis.proposals.exporting import export_coco
    from wsis.proposals.grouping import Grouping, HedGrouping
    from wsis.proposals.hed import HedContours
    from wsis.proposals.region_tree import RegionTree
    from wsis.proposals.sam import Sam
    from wsis.proposals.shards import About, Store, StoreError, Writer
    from wsis.proposals.store import CachedSource, KeptSource, StoredProposals

__all__ = [
    "About",
    "Bag",
    "CachedSource",
    "Grouping",
    "HedContours",
    "HedGrouping",
    "KeptSource",
    "LabContours",
    "PixelEvidence",
    "RegionTree",
    "Sam",
    "Store",
    "StoreError",
    "StoredProposals",
    "Writer",
    "export_coco",
    "lab_gradient",
]

__getattr__ = exports(__name__)
