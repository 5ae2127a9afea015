"""Miners: from a branch's scores to the proposals trusted as instances."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.mining.apart import ApartMiner
    from wsis.mining.cim import CIMMiner
    from wsis.mining.mist import MISTMiner
    from wsis.mining.oicr import OICRMiner
    from wsis.mining.pcl import PCLMiner

__all__ = [
    "ApartMiner",
    "CIMMiner",
    "MISTMiner",
    "OICRMiner",
    "PCLMiner",
]

__getattr__ = exports(__name__)
