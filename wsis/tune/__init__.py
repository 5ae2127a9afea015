"""Sets thresholds from tags alone, and tells how far that can be trusted."""

from wsis.tune.axis import Axis
from wsis.tune.choice import Choice
from wsis.tune.criteria import CRITERIA, Criterion
from wsis.tune.judging import judge
from wsis.tune.results import COMBINED, Tuning, to_csv
from wsis.tune.running import tune
from wsis.tune.space import Space
from wsis.tune.trial import Trial

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
