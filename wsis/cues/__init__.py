"""Pre-computed labels of the anti-noise branch."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.cues._peaks import basins, local_maxima
    from wsis.cues.agpl import AgplCues
    from wsis.cues.cam import CamCues
    from wsis.cues.kept import Cues
    from wsis.cues.none import NoCues
    from wsis.cues.points import PointCues
    from wsis.cues.prm import PrmCues

__all__ = [
    "AgplCues",
    "CamCues",
    "Cues",
    "NoCues",
    "PointCues",
    "PrmCues",
    "basins",
    "local_maxima",
]

__getattr__ = exports(__name__)
