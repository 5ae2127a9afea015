"""Checks that every part keeps to, and drawn problems to try one on."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.testing._drawn import drawn, random_masks, random_proposals, strips
    from wsis.testing.mining import check_assigner, check_miner, check_sampler
    from wsis.testing.networks import check_backbone, check_cues, check_head
    from wsis.testing.pixels import check_contours, check_dataset, check_source

__all__ = [
    "check_assigner",
    "check_backbone",
    "check_contours",
    "check_cues",
    "check_dataset",
    "check_head",
    "check_miner",
    "check_sampler",
    "check_source",
    "drawn",
    "random_masks",
    "random_proposals",
    "strips",
]

__getattr__ = exports(__name__)
