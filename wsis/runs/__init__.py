"""Settings, recipes, pipelines, and trained models kept in folders."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.runs._card import RunError
    from wsis.runs.branches import Branch
    from wsis.runs.pipeline import Pipeline
    from wsis.runs.recipes import Recipe
    from wsis.runs.run import Card, Run, load, train
    from wsis.runs.settings import Part, Settings, SettingsError

__all__ = [
    "Branch",
    "Card",
    "Part",
    "Pipeline",
    "Recipe",
    "Run",
    "RunError",
    "Settings",
    "SettingsError",
    "load",
    "train",
]

__getattr__ = exports(__name__)
