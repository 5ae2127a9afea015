"""The file ``wsis.toml``: one's own photos, and what is made of them."""

import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from wsis.contracts import DataSource
from wsis.data.folder import FolderData
from wsis.data.points import Pointed
from wsis.plugins import SettingError, UnknownPartError
from wsis.runs.recipes import PHOTOS, Recipe
from wsis.runs.refine import DETECTORS, RefineSettings
from wsis.runs.settings import Part, Settings, SettingsError, check_name, validated
from wsis.training.trackers import flat


class Project(BaseModel):
    """The content of ``wsis.toml``; paths are as the current folder sees them.

    Args:
        photos: folder of the photos.
        tags: a CSV (``file,tags``); None takes what ``FolderData`` finds in ``photos``.
        single: whether every photo has one object of each of its tags.
        points: a file of points on objects, which then become the cues.
        out: folder of all results.
        recipe: name or TOML file of the settings to begin with.
        miner: as ``--miner`` takes it; None takes the recipe's.
        settings: what differs from the recipe, as ``--set`` takes it.
        refine: whether a Mask R-CNN learns what the run finds, or its number of passes.
        export: formats that masks are written in.
        min_score: instances below are not exported.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    photos: Path
    tags: Path | None = None
    single: bool = False
    points: Path | None = None
    out: Path = Path("wsis-out")
    recipe: str = PHOTOS
    miner: str | None = None
    settings: dict[str, Any] = {}
    refine: bool | int = False
    export: tuple[str, ...] = ("coco",)
    min_score: float = Field(default=0.1, ge=0, le=1)

    @field_validator("refine", mode="before")
    @classmethod
    def _on_off_or_passes(cls, value: Any) -> Any:
        if not isinstance(value, int) or value < 0:
            raise ValueError(
                f"expected true, false, or a whole number of passes, got {value!r}"
            )
        return value

    @classmethod
    def read(cls, path: Path) -> "Project":
        """Read a file; its relative paths begin at its own folder.

        Raises:
            FileNotFoundError: if there is none.
            SettingsError: if it is no TOML, a field is unknown or not allowed, or a
                part is not installed.
            LookupError: if there is no such recipe.
        """
        if not path.is_file():
            raise FileNotFoundError(
                f"expected {path}, there is none; write it with: wsis start PHOTOS"
            )
        try:
            return cls.parse(path.read_text("utf-8-sig"), path.parent)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: expected TOML: {error}") from None
        except (SettingError, SettingsError, UnknownPartError) as error:
            raise SettingsError(f"{path}: {error}") from None

    @classmethod
    def parse(cls, text: str, folder: Path) -> "Project":
        """Return the project that a text describes, its paths from ``folder``."""
        content = tomllib.loads(text)
        for name in content:
            check_name(name, cls.model_fields)
        found = validated(cls, content)
        paths = {
            name: folder / path
            for name in ("photos", "tags", "points", "out")
            if (path := getattr(found, name)) is not None
        }
        if found.recipe.endswith(".toml"):
            paths["recipe"] = str(folder / found.recipe)
        found = found.model_copy(update=paths)
        photos, out = found.photos.resolve(), found.out.resolve()
        if out == photos or photos in out.parents or out in photos.parents:
            raise SettingsError(
                f"expected out apart from the photos, {found.out} and {found.photos} "
                "hold one another"
            )
        _ = found.chosen
        return found

    @property
    def passes(self) -> list[str]:
        """Return the option of ``wsis refine`` for passes, if their number is set."""
        return [] if isinstance(self.refine, bool) else ["--epochs", str(self.refine)]

    @property
    def refinement(self) -> RefineSettings:
        """Return the settings of the detector that ``refine`` asks for."""
        length = [f"schedule.epochs={number}" for number in self.passes[1:]]
        return RefineSettings.read(DETECTORS["small"], length)

    @property
    def overrides(self) -> list[str]:
        """Return the settings as ``key=value`` texts."""
        found = flat(self.settings, _written)
        if self.points is not None:
            found.setdefault("cues", "points")
        return [f"{key}={value}" for key, value in found.items()]

    @property
    def chosen(self) -> tuple[Part, Settings]:
        """Return the miner and all settings."""
        recipe = Recipe.read(self.recipe)
        miner = recipe.miner if self.miner is None else Part.parse(self.miner)
        miner.resolved("miners")
        return miner, Settings.read(self.overrides, recipe.settings)

    @property
    def data(self) -> Part:
        """Return the data set, as ``--data`` takes it; its root is ``photos``."""
        one = "true" if self.single else None
        given = {"tags": self.tags, "single": one, "points": self.points}
        settings = {key: str(one) for key, one in given.items() if one is not None}
        return Part(name="folder", settings=settings)

    def source(self) -> DataSource:
        """Return the photos and their tags."""
        folder = FolderData(root=self.photos, tags=self.tags, single=self.single)
        if self.points is None:
            return folder
        return Pointed(source=folder, file=self.points)


def _written(value: Any) -> str:
    """Return a setting as it is written on the command line."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def project_text(
    photos: str | Path, tags: str | Path | None = None, recipe: str = PHOTOS
) -> str:
    """Return a commented ``wsis.toml``.

    Args:
        photos: their folder, from that of the file.
        tags: the CSV of their tags, if they need one.
        recipe: name or TOML file of the settings to begin with.
    """
    return _TEXT.format(
        photos=_quoted(photos),
        tags=f"tags = {_quoted(tags)}" if tags else '# tags = "tags.csv"',
        recipe=_quoted(recipe),
    )


def _quoted(value: str | Path) -> str:
    text = value.as_posix() if isinstance(value, Path) else value
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


_TEXT = """\
# Change what you like, then type: wsis run
# Steps whose settings have changed are made anew, in other folders of `out`.

photos = {photos}
{tags}  # a line a photo: file,tags
single = false  # true if every photo has one object of each of its tags
out = "wsis-out"  # folder of all results

# Settings to begin with, by name or from a file; `wsis recipe list` shows others.
recipe = {recipe}
# miner = "cim"  # the paper's; the recipe's without this line; see `wsis parts miners`

# Does a second detector learn from the masks of the first? It takes longer than all
# else, and often finds more objects. `true` passes over the photos often enough; or
# give a number of passes.
refine = false

# Formats of the masks: coco, yolo, voc, labelstudio, cvat, overlays.
export = ["coco"]
# Leave out masks with a lower score; 0 keeps all, up to 100 a photo. What is a good
# score differs from run to run: look at the report, change it, and type wsis run again.
min_score = 0.1

# Points on objects, if you have some (file,x,y,class): better masks.
# points = "points.csv"

[settings]
# Whatever `--set` takes; `wsis recipe show NAME` lists those of a recipe.
# schedule.iterations = 3000  # train longer
# source = "hed:count=600:side=384:scales=1"  # better outlines, some seconds a photo
"""
