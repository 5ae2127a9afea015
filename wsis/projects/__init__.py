"""One's own photos: ``wsis.toml``, and the road from tagged photos to masks."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.projects.costs import Cost, cost
    from wsis.projects.predicting import Found, predict
    from wsis.projects.project import Project, project_text
    from wsis.projects.road import Made, Plan, Step, plan, run, unread

__all__ = [
    "Cost",
    "Found",
    "Made",
    "Plan",
    "Project",
    "Step",
    "cost",
    "plan",
    "predict",
    "project_text",
    "run",
    "unread",
]

__getattr__ = exports(__name__)
