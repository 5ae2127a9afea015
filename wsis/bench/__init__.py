"""Compares strategies under identical settings: variants × seeds × folds."""

from wsis.bench.comparing import compare_folders
from wsis.bench.design import Variant, ablation, of_miners, vary
from wsis.bench.folder import BenchError
from wsis.bench.monitor import Monitor, Silent, Watch, Watcher
from wsis.bench.origin import commit, versions
from wsis.bench.records import BOUNDS, METRICS, Comparison, Run
from wsis.bench.running import bounds, compare
from wsis.bench.tables import Row, table

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
    "commit",
    "compare",
    "compare_folders",
    "of_miners",
    "table",
    "vary",
    "versions",
]
