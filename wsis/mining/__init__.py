"""Miners, from scores to the proposals trusted as instances; assigners, samplers."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.mining.apart import ApartMiner
    from wsis.mining.assignment import CascadeAssigner, OICRAssigner
    from wsis.mining.cim import CIMMiner
    from wsis.mining.mist import MISTMiner
    from wsis.mining.oicr import OICRMiner
    from wsis.mining.pcl import PCLMiner
    from wsis.mining.sampling import AntiNoiseSampler, KeepAll

__all__ = [
    "AntiNoiseSampler",
    "ApartMiner",
    "CIMMiner",
    "CascadeAssigner",
    "KeepAll",
    "MISTMiner",
    "OICRAssigner",
    "OICRMiner",
    "PCLMiner",
]

__getattr__ = exports(__name__)
