"""Sets thresholds from tags alone, and tells how far that can be trusted."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.experiments.tuning.criteria import CRITERIA, Criterion
    from wsis.experiments.tuning.folder import Choice
    from wsis.experiments.tuning.judging import judge
    from wsis.experiments.tuning.results import COMBINED, Tuning, to_csv
    from wsis.experiments.tuning.running import tune
    from wsis.experiments.tuning.space import Axis, Space
    from wsis.experiments.tuning.trial import Trial

__all__ = [
    "COMBINED",
    "CRITERIA",
    "Axis",
    "Choice",
    "Criterion",
    "Space",
    "Trial",
    "Tuning",
    "judge",
    "to_csv",
    "tune",
]

__getattr__ = exports(__name__)
