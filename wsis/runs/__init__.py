"""Settings, recipes, pipelines, and runs kept in folders."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.runs.pipeline import Pipeline
    from wsis.runs.recipes import Recipe
    from wsis.runs.settings import Part, Settings, SettingsError

__all__ = [
    "Part",
    "Pipeline",
    "Recipe",
    "Settings",
    "SettingsError",
]

__getattr__ = exports(__name__)
