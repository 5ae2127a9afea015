"""Predictions measured against ground truth: VOC's mAP, COCO's AP and their bounds."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.evaluation.anatomy import Anatomy, average, dissect
    from wsis.evaluation.bounds import Detect, oracle, random_scores
    from wsis.evaluation.ceiling import MaskTeacher, best_proposals
    from wsis.evaluation.kinds import Kind, Rules
    from wsis.evaluation.precision import (
        Evaluation,
        average_precision,
        coco_ap,
        evaluate,
        voc_ap,
    )
    from wsis.evaluation.results import (
        TRUSTED,
        Predicted,
        coco_data_set,
        from_coco,
        matched,
        of_data_set,
        results_of,
        to_coco,
    )
    from wsis.evaluation.trace import Trace, training_truths

__all__ = [
    "TRUSTED",
    "Anatomy",
    "Detect",
    "Evaluation",
    "Kind",
    "MaskTeacher",
    "Predicted",
    "Rules",
    "Trace",
    "average",
    "average_precision",
    "best_proposals",
    "coco_ap",
    "coco_data_set",
    "dissect",
    "evaluate",
    "from_coco",
    "matched",
    "of_data_set",
    "oracle",
    "random_scores",
    "results_of",
    "to_coco",
    "training_truths",
    "voc_ap",
]

__getattr__ = exports(__name__)
