"""Heads: pooled features of proposals to vectors, and vectors to scores."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.heads.mask_fuse import MaskFuse
    from wsis.heads.mask_pool import MaskPool
    from wsis.heads.mil import MILHead
    from wsis.heads.refinement import RefinementHead

__all__ = [
    "MILHead",
    "MaskFuse",
    "MaskPool",
    "RefinementHead",
]

__getattr__ = exports(__name__)
