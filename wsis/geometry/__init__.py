"""Masks, how they overlap, and how they are drawn."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.geometry.drawing import overlay
    from wsis.geometry.masks import from_masks, to_dense
    from wsis.geometry.overlap import box_overlaps, cross_iou, overlaps
    from wsis.geometry.predictions import Predictions

__all__ = [
    "Predictions",
    "box_overlaps",
    "cross_iou",
    "from_masks",
    "overlaps",
    "overlay",
    "to_dense",
]

__getattr__ = exports(__name__)
