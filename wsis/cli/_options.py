"""Options that several commands share: a signature names a group of them once."""

import copy
import functools
import inspect
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    get_args,
    get_origin,
    get_type_hints,
)

import typer

from wsis.cli._errors import UsageError, warnings_shown
from wsis.cli._files import predictions_of

if TYPE_CHECKING:
    from wsis.contracts import Annotated as Measured
    from wsis.contracts import DataSource
    from wsis.runs import Part, Pipeline, Recipe

Device = Literal["auto", "cpu", "cuda", "mps"]
JOBS = min(2, os.cpu_count() or 1)


def command_group(**given: Any) -> typer.Typer:
    """Return what a command's file registers its command, or its group, with."""
    return typer.Typer(add_completion=False, rich_markup_mode="markdown", **given)


def without(*names: str) -> frozenset[str]:
    """Leave these options out of a group, within ``Annotated``."""
    return frozenset(names)


Strict = Annotated[
    bool, typer.Option("--strict", help="Stop at the first warning about an input.")
]


def command(
    register: Callable[..., Any], *, strict: bool = True, **given: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command with what its docstring says.

    Its ``Args`` are the help of its options, its ``Examples`` the end of its help. It
    gets an option for every field of the dataclasses in its signature: Typer sees
    ``--root``, ``--images`` and so on where the command takes one ``data: Data``.

    Args:
        register: the method ``command`` or ``callback`` of a Typer.
        strict: the command takes ``--strict``, too.
        given: goes to ``register``.
    """

    def registered(command: Callable[..., None]) -> Callable[..., None]:
        text, helps, examples = _sections(command)
        # Typer joins lines and keeps paragraphs apart.
        epilog = "\n\n".join(("Examples:", *examples)) if examples else None
        run = _grouped(command, helps, strict=strict)
        register(help=text, epilog=epilog, **given)(run)
        return command

    return registered


def _sections(described: Any) -> tuple[str, dict[str, str], list[str]]:
    """Return a docstring's text, the help of each argument, and the examples."""
    text = inspect.cleandoc(described.__doc__ or "")  # none with python -OO
    text, _, examples = text.partition("\n\nExamples:\n")
    text, _, helps = text.partition("\n\nArgs:\n")
    pairs = (one.partition(": ") for one in _items(helps))
    return text, {name: told for name, _, told in pairs}, _items(examples)


def _items(section: str) -> list[str]:
    """Return the entries of a section; lines that are indented further continue one."""
    return [" ".join(one.split()) for one in re.split(r"\n(?= {4}\S)", section) if one]


def _told(annotation: Any, text: str | None) -> Any:
    """Return the annotation of an option with its help."""
    if text is None:
        return annotation
    kind, option = annotation, typer.Option()
    if get_origin(annotation) is Annotated:
        kind, option = annotation.__origin__, copy.copy(annotation.__metadata__[0])
    option.help = text
    return Annotated[kind, option]


def _grouped(
    command: Callable[..., None], helps: dict[str, str], *, strict: bool
) -> Callable[..., None]:
    """Return the command with options in place of dataclasses."""
    signature = inspect.signature(command, eval_str=True)
    shown: list[inspect.Parameter] = []
    groups: dict[str, tuple[Any, list[str]]] = {}

    def show(name: str, default: Any, annotation: Any, helps: dict[str, str]) -> None:
        told = _told(annotation, helps.get(name))
        only = inspect.Parameter.KEYWORD_ONLY
        shown.append(inspect.Parameter(name, only, default=default, annotation=told))

    for one in signature.parameters.values():
        annotated = get_origin(one.annotation) is Annotated
        kind, *notes = get_args(one.annotation) if annotated else (one.annotation,)
        if not is_dataclass(kind):
            show(one.name, one.default, one.annotation, helps)
            continue
        left = frozenset[str]().union(*notes)
        hints = get_type_hints(kind, include_extras=True)
        own = [field for field in fields(kind) if field.name not in left]
        groups[one.name] = kind, [field.name for field in own]
        for field in own:
            show(field.name, field.default, hints[field.name], _sections(kind)[1])
    if strict:
        show("strict", False, Strict, {})

    @functools.wraps(command)
    def run(**given: Any) -> None:
        with warnings_shown(strict=given.pop("strict", False)):
            for name, (kind, names) in groups.items():
                given[name] = kind(**{field: given.pop(field) for field in names})
            command(**given)

    changed: Any = run
    changed.__signature__ = signature.replace(parameters=shown)
    changed.__annotations__ = {one.name: one.annotation for one in shown}
    return run


_data = functools.partial(typer.Option, rich_help_panel="Data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """The data set that the options name; None leaves a setting at its default.

    Args:
        name: Data set: scenes (drawn), voc, coco, folder, or another installed one,
            with its settings: scenes:train_images=100:seed=3; coco:points=FILE.csv adds
            points. The recipe's, or scenes, if not given.
        root: Folder of the whole data set: VOCdevkit for voc, the unpacked COCO for
            coco, tagged photos for folder.
        images: Folder of the photos.
        train: COCO JSON of the training photos; only tags are read.
        val: COCO JSON of the validation photos.
        val_images: Folder of the validation photos, unless it is --images.
        classes: all, voc (the 20 of PASCAL VOC), or comma-separated names.
        single: Photos of a folder have one object of each tag.
    """

    name: Annotated[str | None, _data("--data")] = None
    root: Annotated[Path | None, _data()] = None
    images: Annotated[Path | None, _data()] = None
    train: Annotated[Path | None, _data()] = None
    val: Annotated[Path | None, _data()] = None
    val_images: Annotated[Path | None, _data()] = None
    classes: Annotated[str | None, _data()] = None
    single: Annotated[bool, _data("--single")] = False

    def words(self) -> list[str]:
        """Return the options as they are typed."""
        words = []
        for field in fields(self):
            flag = "data" if field.name == "name" else field.name.replace("_", "-")
            if value := getattr(self, field.name):
                words += [f"--{flag}", *([] if value is True else [str(value)])]
        return words

    def source(self, default: str = "scenes", *, train: bool = False) -> "DataSource":
        """Build the data set; every one takes ``points=FILE``, training photos' points.

        Args:
            default: name of the data set where the options give none.
            train: the training photos will be asked for.

        Raises:
            LookupError: if there is no such data set.
            ValueError: if it lacks a setting or does not have one that was given.
            UsageError: if no data set is named and the default has no such settings, or
                the annotations of the training photos are missing.
        """
        from wsis import plugins
        from wsis.data.points import Pointed
        from wsis.runs.settings import Part

        part = Part.parse(self.name or default)
        settings = dict(part.settings)
        own = "points" in plugins.settings("datasets", part.name)
        points = None if own else settings.pop("points", None)
        renamed = {"train": "train_json", "val": "val_json"}
        given = {
            renamed.get(field.name, field.name): value
            for field in fields(self)
            if field.name != "name"
            and (value := getattr(self, field.name)) not in (None, False)
        }
        if self.name is None and not given.keys() <= {
            *plugins.settings("datasets", part.name)
        }:
            flags = " ".join(self.words())
            raise UsageError(
                f"expected --data with {flags}, which the default, {default}, does not "
                "take: folder for tagged photos, or coco, or voc"
            )
        source: DataSource = plugins.create("datasets", part.name, settings | given)
        if train and not has_train(source):
            raise UsageError("expected --train: the annotations of these photos")
        return source if points is None else Pointed(source=source, file=Path(points))


def has_train(source: "DataSource") -> bool:
    """Tell whether there are training photos: files of COCO's may come without."""
    from wsis.data.coco import CocoData

    return not isinstance(source, CocoData) or source.train_json is not None


def masks_of(source: "DataSource") -> "Measured":
    """Return the validation photos and their masks.

    Raises:
        UsageError: if there are none.
    """
    val = source.val()
    if val is None:
        raise UsageError(
            "expected --val, the annotations of validation photos: this data set has "
            "tags and no masks, so there is nothing to measure by"
        )
    return val


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The parts of a run and the place where it runs.

    Args:
        recipe: The name or TOML file of a recipe, which --set can change. By default
            photos-small for photos, scenes-small for drawn scenes. See: wsis recipe
            list.
        settings: A setting, such as schedule.epochs=3 or source.nodes=300; repeatable.
        device: Where models run; auto takes the fastest.
        cache: Folder that keeps proposals and frozen features between commands.
    """

    recipe: Annotated[str | None, typer.Option(metavar="NAME")] = None
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE")
    ] = None
    device: Device = "auto"
    cache: Annotated[Path | None, typer.Option(envvar="WSIS_CACHE")] = None

    def words(self) -> list[str]:
        """Return recipe and settings as they are typed."""
        sets = [word for one in self.settings or () for word in ("--set", one)]
        recipe = [] if self.recipe is None else ["--recipe", self.recipe]
        return [*recipe, *sets]

    def pipeline(self, data: "DataSource") -> "Pipeline":
        """Return the parts that the options name, ready to run; say a recipe chosen."""
        from wsis.runs.pipeline import Pipeline
        from wsis.runs.recipes import PHOTOS

        pipeline = Pipeline.of(
            recipe=self.recipe,
            settings=self.settings or (),
            device=self.device,
            cache=self.cache,
            data=data,
        )
        if self.recipe is None:
            name = self.chosen(data).name
            of = "photos" if name == PHOTOS else "drawn scenes"
            typer.echo(f"recipe: {name} (the default for {of}; see wsis recipe)")
        return pipeline

    def chosen(self, data: "DataSource | None" = None) -> "Recipe":
        """Return the recipe; without one, what suits the data."""
        from wsis.runs.recipes import Recipe, suited

        return suited(data) if self.recipe is None else Recipe.read(self.recipe)


def miners_of(text: str) -> "list[Part]":
    """Read ``cim,mist:reading=box``, and build every miner, so that it fails here.

    Raises:
        LookupError: if a miner is not installed.
        ValueError: if a setting is unknown or out of range, or nothing is named.
    """
    from wsis.runs.settings import Part

    miners = Part.several(text)
    for miner in miners:
        miner.build("miners")
    return miners


def miner_of(text: str) -> "Part":
    """Read one miner; the rest as in ``miners_of``."""
    miners = miners_of(text)
    if len(miners) != 1:
        raise UsageError(f"expected one miner, got {text}")
    return miners[0]


Place = Annotated[Setup, without("recipe", "settings")]

Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace files of the same name in --out.")
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Resume from the last finished epoch.")
]
Track = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME[:PLACE]",
        help="Draw curves of losses and rates: tensorboard[:FOLDER], by default into "
        "tensorboard beside the results, or mlflow[:URI]; repeatable.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all randomness.")]
Jobs = Annotated[
    int, typer.Option(min=1, help="Processes; if several, each has a single thread.")
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Dask scheduler whose workers do the work instead, such as "
        "tcp://10.0.0.1:8786; they see the same files.",
    ),
]
Figures = Annotated[
    Path | None, typer.Option("--json", help="Write all figures to this file.")
]
MinScore = Annotated[
    float, typer.Option(min=0, max=1, help="Leave out instances below this score.")
]
Chosen = Annotated[
    str | None,
    typer.Option("--classes", help="Keep these classes only: comma-separated names."),
]
Run = Annotated[Path, typer.Option(help="Folder of a trained run.")]
Found = Annotated[
    Path,
    typer.Argument(
        metavar="FOUND",
        help="Folder that wsis predict wrote, or its json; or the run's.",
        callback=predictions_of,
    ),
]
Moved = Annotated[
    Path | None,
    typer.Option("--images", help="Folder of the photos, if they have moved since."),
]
