"""Backbones, views of images, and features kept on disk."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.features.backbones import (
        efficientnet_lite0,
        efficientnet_lite2,
        hrnet_w48,
        resnet50,
        vgg16,
    )
    from wsis.features.frozen import FrozenFeatures, LiveFeatures
    from wsis.features.scale import Scale

__all__ = [
    "FrozenFeatures",
    "LiveFeatures",
    "Scale",
    "efficientnet_lite0",
    "efficientnet_lite2",
    "hrnet_w48",
    "resnet50",
    "vgg16",
]

__getattr__ = exports(__name__)
