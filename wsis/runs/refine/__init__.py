"""CIM+: a run's predictions on its training photos teach a Mask R-CNN."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.runs.refine.detector import mask_rcnn
    from wsis.runs.refine.labels import Coverage, Trust
    from wsis.runs.refine.refined import (
        PSEUDO_LABELS,
        REFINED,
        Refined,
        RefinedCard,
        load_refined,
        pseudo_labels,
        refine,
    )
    from wsis.runs.refine.settings import DETECTORS, RefineSettings
    from wsis.runs.refine.training import detect, fit_detector

__all__ = [
    "DETECTORS",
    "PSEUDO_LABELS",
    "REFINED",
    "Coverage",
    "RefineSettings",
    "Refined",
    "RefinedCard",
    "Trust",
    "detect",
    "fit_detector",
    "load_refined",
    "mask_rcnn",
    "pseudo_labels",
    "refine",
]

__getattr__ = exports(__name__)
