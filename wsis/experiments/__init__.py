"""Compares strategies under identical settings: variants × seeds × folds."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis._support.journal import JournalError
    from wsis._support.progress import Monitor, Silent
    from wsis.experiments.comparing import bounds, compare
    from wsis.experiments.folders import compare_folders
    from wsis.experiments.records import Comparison, RunRecord, Verdict
    from wsis.experiments.runner import Watch, Watcher
    from wsis.experiments.variants import Variant, ablation, variants_of, vary
    from wsis.report.tables import BOUNDS, METRICS, Row, table

__all__ = [
    "BOUNDS",
    "METRICS",
    "Comparison",
    "JournalError",
    "Monitor",
    "Row",
    "RunRecord",
    "Silent",
    "Variant",
    "Verdict",
    "Watch",
    "Watcher",
    "ablation",
    "bounds",
    "compare",
    "compare_folders",
    "table",
    "variants_of",
    "vary",
]

__getattr__ = exports(__name__)
