"""Compares strategies under identical settings: variants × seeds × folds."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.experiments.bench import bounds, compare
    from wsis.experiments.comparing import compare_folders
    from wsis.experiments.design import Variant, ablation, of_miners, vary
    from wsis.experiments.journal import BenchError
    from wsis.experiments.monitor import Monitor, Silent, Watch, Watcher
    from wsis.experiments.records import BOUNDS, METRICS, Comparison, Run
    from wsis.experiments.tables import Row, table

__all__ = [
    "BOUNDS",
    "METRICS",
    "BenchError",
    "Comparison",
    "Monitor",
    "Row",
    "Run",
    "Silent",
    "Variant",
    "Watch",
    "Watcher",
    "ablation",
    "bounds",
    "compare",
    "compare_folders",
    "of_miners",
    "table",
    "vary",
]

__getattr__ = exports(__name__)
