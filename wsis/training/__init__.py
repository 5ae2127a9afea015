"""The network, what supervises it, the loop, and inference."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.training.checkpoints import Progress
    from wsis.training.class_map import ClassMap
    from wsis.training.inference import predict
    from wsis.training.loop import fit
    from wsis.training.losses import (
        bag_loss,
        classification_loss,
        cluster_loss,
        integrity_loss,
        mil_loss,
        pcl_loss,
        refinement_losses,
    )
    from wsis.training.network import Model, Scores
    from wsis.training.proposal_free import ProposalFree
    from wsis.training.ranks import Ranks, joined
    from wsis.training.schedule import Schedule
    from wsis.training.selection import Selection
    from wsis.training.supervision import Strategy, supervise
    from wsis.training.trackers import (
        MLflowTracker,
        TensorBoardTracker,
        Tracker,
        Training,
    )

__all__ = [
    "ClassMap",
    "MLflowTracker",
    "Model",
    "Progress",
    "ProposalFree",
    "Ranks",
    "Schedule",
    "Scores",
    "Selection",
    "Strategy",
    "TensorBoardTracker",
    "Tracker",
    "Training",
    "bag_loss",
    "classification_loss",
    "cluster_loss",
    "fit",
    "integrity_loss",
    "joined",
    "mil_loss",
    "pcl_loss",
    "predict",
    "refinement_losses",
    "supervise",
]

__getattr__ = exports(__name__)
