"""Drawn scenes: a data set that needs no download."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.data.scenes.drawn import Scenes

__all__ = ["Scenes"]

__getattr__ = exports(__name__)
