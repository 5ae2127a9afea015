"""Instance masks from image-level tags: weakly supervised instance segmentation."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsis.bench import compare
    from wsis.config import Part, Settings
    from wsis.contracts import (
        BranchScores,
        Overlaps,
        Predictions,
        Proposals,
        PseudoInstances,
        Targets,
    )
    from wsis.data.coco import CocoData
    from wsis.data.scenes import Scenes
    from wsis.evaluation import evaluate
    from wsis.pipeline import Pipeline

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

# Imported when first used, so that a part alone does not bring all the others along.
_HOMES = {
    "CocoData": "wsis.data.coco",
    "Part": "wsis.config",
    "Pipeline": "wsis.pipeline",
    "Scenes": "wsis.data.scenes",
    "Settings": "wsis.config",
    "compare": "wsis.bench",
    "evaluate": "wsis.evaluation",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'wsis' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "wsis.contracts")), name)
