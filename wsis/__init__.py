"""Instance masks from image-level tags: weakly supervised instance segmentation."""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis._support.checks import InputWarning
    from wsis.contracts import (
        Annotated,
        BranchScores,
        DataSource,
        Miner,
        Overlaps,
        Proposals,
        PseudoInstances,
        Tagged,
        TaggedImage,
        Targets,
    )
    from wsis.data import CocoData, FolderData, Scenes, VocData
    from wsis.evaluation import Evaluation, evaluate
    from wsis.experiments import Comparison, compare
    from wsis.geometry.predictions import Predictions
    from wsis.mining import CIMMiner, MISTMiner, OICRMiner, PCLMiner
    from wsis.runs import Part, Pipeline, Run, Settings, load, train

try:
    __version__ = version("wsis")
except PackageNotFoundError:  # a tree that nobody has installed
    __version__ = "0+unknown"

__all__ = [
    "Annotated",
    "BranchScores",
    "CIMMiner",
    "CocoData",
    "Comparison",
    "DataSource",
    "Evaluation",
    "FolderData",
    "InputWarning",
    "MISTMiner",
    "Miner",
    "OICRMiner",
    "Overlaps",
    "PCLMiner",
    "Part",
    "Pipeline",
    "Predictions",
    "Proposals",
    "PseudoInstances",
    "Run",
    "Scenes",
    "Settings",
    "Tagged",
    "TaggedImage",
    "Targets",
    "VocData",
    "compare",
    "evaluate",
    "load",
    "train",
]

__getattr__ = exports(__name__)
