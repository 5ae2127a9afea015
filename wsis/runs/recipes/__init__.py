"""Recipes: settings of published runs as TOML files, by name or by path."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from wsis import plugins
from wsis._support.checks import UsageError
from wsis.runs.settings import PART_KINDS, Part, Settings, SettingsError, check_name

_KEYS = ("description", "data", "miner", "settings")
_FOLDER = files("wsis.runs.recipes")

PHOTOS = "photos-small"
"""The recipe of photos where none is named."""

SCENES = "scenes-small"
"""The recipe of drawn scenes where none is named."""


class UnknownRecipeError(UsageError, LookupError):
    """No recipe has that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The data set, miner and settings of one model.

    Args:
        name: of the file, without ``.toml``.
        description: one sentence, with the source.
        data: the data set it is meant for; where it lies is for the command to say.
        miner: that teaches.
        settings: everything else.
    """

    name: str
    description: str
    data: Part
    miner: Part
    settings: Settings

    @classmethod
    def read(cls, name: str) -> "Recipe":
        """The recipe of that name, or of the TOML file at that path.

        Raises:
            UnknownRecipeError: if there is none; says which is nearest, and lists all.
            SettingsError: if the file is not TOML, or lacks or has a wrong setting.
        """
        if name in names():
            return cls.parse(name, (_FOLDER / f"{name}.toml").read_text("utf-8"))
        path = Path(name)
        if path.suffix == ".toml" and path.is_file():
            try:
                return cls.parse(path.stem, path.read_text("utf-8-sig"))
            except ValueError as error:
                raise SettingsError(f"{path}: {error}") from None
        raise UnknownRecipeError(
            f"no recipe is called {name!r}{plugins.nearest(name, names())}, and no "
            f".toml file; the recipes are: {', '.join(names())}"
        )

    @classmethod
    def parse(cls, name: str, text: str) -> "Recipe":
        """The recipe that a TOML file's text describes.

        Raises:
            SettingsError: as ``read``.
            LookupError: if a part is not installed.
            ValueError: if a part's settings are out of range.
        """
        try:
            content = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"expected TOML: {error}") from None
        for key in content:
            check_name(key, _KEYS)
        for key, kind in (("description", str), ("settings", dict)):
            if not isinstance(content.get(key), kind):
                raise SettingsError(f"expected {key}, a {kind.__name__}")
        given = content["settings"]
        if not isinstance(given.get("schedule", {}), Mapping):
            raise SettingsError("expected schedule to be a table of settings")
        recipe = cls(
            name=name,
            description=content["description"],
            data=Part.parse(content.get("data", "scenes")),
            miner=Part.parse(content.get("miner", "cim")),
            settings=Settings.checked(given),
        )
        recipe.miner.resolved("miners")
        # Resolving looks every part up and reads its settings.
        recipe.settings.resolved()
        recipe.data.resolved("datasets")
        return recipe

    def values(self) -> dict[str, Any]:
        """All of it by dotted key, the parts' defaults included."""
        flat: dict[str, Any] = {"data": self.data.label}
        sampler = self.settings.sampler_of(self.miner)
        whole = self.settings.model_copy(update={"sampler": sampler})
        miner = {"name": self.miner.name, "settings": self.miner.resolved("miners")}
        for key, value in {"miner": miner, **whole.resolved()}.items():
            if key in (*PART_KINDS, "miner") and value is not None:
                flat[key], value = value["name"], value["settings"]
            if isinstance(value, Mapping):
                flat |= {f"{key}.{k}": v for k, v in value.items()}
            else:
                flat[key] = value
        return flat


def names() -> list[str]:
    """Names of the recipes that come with wsis, sorted."""
    found = (Path(file.name) for file in _FOLDER.iterdir())
    return sorted(path.stem for path in found if path.suffix == ".toml")


def described() -> dict[str, str]:
    """Return the descriptions of the recipes that come with wsis, by name."""
    texts = {name: (_FOLDER / f"{name}.toml").read_text("utf-8") for name in names()}
    return {name: tomllib.loads(text)["description"] for name, text in texts.items()}


def suited(data: object = None) -> Recipe:
    """Return the recipe that a data set is learned with where none is named.

    Photos of every data set take ``photos-small``; drawn scenes, also with points,
    take ``scenes-small``; what has no data set, None, the defaults of ``Settings``.
    """
    if data is None:
        return Recipe(
            name="defaults",
            description="Every setting as it is where nothing sets it.",
            data=Part(name="scenes"),
            miner=Part(name="cim"),
            settings=Settings(),
        )
    # Not before: ``wsis recipe`` starts without torch.
    from wsis.data import Pointed, Scenes

    while isinstance(data, Pointed):
        data = data.source
    return Recipe.read(SCENES if isinstance(data, Scenes) else PHOTOS)


def differences(one: Recipe, other: Recipe) -> list[tuple[str, Any, Any]]:
    """Key, value in one, value in the other, wherever they are not the same.

    A setting that only one of them has is None in the other.
    """
    ours, theirs = one.values(), other.values()
    keys = dict.fromkeys([*ours, *theirs])
    pairs = [(key, ours.get(key), theirs.get(key)) for key in keys]
    return [(key, a, b) for key, a, b in pairs if a != b]


__all__ = [
    "PHOTOS",
    "Recipe",
    "UnknownRecipeError",
    "described",
    "differences",
    "names",
    "suited",
]
