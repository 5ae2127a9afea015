"""The network, what supervises it, the loop, and inference."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.training.inference import predict
    from wsis.training.loop import Progress, fit
    from wsis.training.network import Model, Scores
    from wsis.training.schedule import Schedule
    from wsis.training.selection import Selection
    from wsis.training.supervision import Strategy, supervise

__all__ = [
    "Model",
    "Progress",
    "Schedule",
    "Scores",
    "Selection",
    "Strategy",
    "fit",
    "predict",
    "supervise",
]

__getattr__ = exports(__name__)
