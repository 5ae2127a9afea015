"""Instance masks from image-level tags: weakly supervised instance segmentation."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.contracts import (
        BranchScores,
        Overlaps,
        Predictions,
        Proposals,
        PseudoInstances,
        Targets,
    )
    from wsis.data.coco import CocoData
    from wsis.data.scenes.drawn import Scenes
    from wsis.evaluation import evaluate
    from wsis.experiments import compare
    from wsis.runs.pipeline import Pipeline
    from wsis.runs.settings import Part, Settings

__version__ = "0.1.0"

__all__ = [
    "BranchScores",
    "CocoData",
    "Overlaps",
    "Part",
    "Pipeline",
    "Predictions",
    "Proposals",
    "PseudoInstances",
    "Scenes",
    "Settings",
    "Targets",
    "compare",
    "evaluate",
]

__getattr__ = exports(__name__)
