"""``wsis start``: looks at a folder of photos and writes ``wsis.toml``."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsis._support.checks import few, many
from wsis.cli import _options as options
from wsis.cli._errors import UsageError, printable
from wsis.cli._files import write_tags
from wsis.cli._next import then

if TYPE_CHECKING:
    from wsis.contracts import Tagged
    from wsis.data.exports import ExportedTags
    from wsis.projects import Project

app = options.command_group()

FILE, TAGS = Path("wsis.toml"), Path("wsis-tags.csv")


@options.command(app.command)
def start(
    *,
    photos: Annotated[Path, typer.Argument(metavar="PHOTOS")],
    force: Annotated[bool, typer.Option("--force")] = False,
    place: Annotated[options.Setup, options.without("settings")],
) -> None:
    """Look at a folder of tagged photos and write wsis.toml for wsis run.

    Tags come from tags.csv (file,tags), from a subfolder per tag, or from an export in
    the folder: COCO, PASCAL VOC, YOLO, Label Studio, or a table. Training sees tags
    only: the classes of boxes and outlines become tags, and wsis-tags.csv lists them.

    Prints what there is, what to mend, and how long a run takes, by a trial on two
    photos.

    Args:
        photos: Folder of photos with tags.
        force: Replace wsis.toml and wsis-tags.csv.

    Examples:
        wsis start photos
        wsis start photos --force
    """
    from wsis.data.images import check_folder

    check_folder(photos)
    for path in (FILE, TAGS):
        if path.exists() and not force:
            raise UsageError(f"{path} exists; --force replaces it")
    if photos.resolve() in (Path.cwd(), *Path.cwd().parents):
        raise UsageError(
            f"expected a current folder outside of the photos, as results go there; "
            f"type: cd {photos.resolve().parent} && wsis start {photos.resolve().name}"
        )
    from wsis._support.files import write_text
    from wsis.cli._show import Bars, tell_problems
    from wsis.data.exports import exported_tags
    from wsis.projects import Project, project_text, unread
    from wsis.runs.advice import by_effect, of_tags
    from wsis.runs.recipes import PHOTOS

    recipe = place.recipe or PHOTOS
    told = exported_tags(photos)
    tags = None if told.rows is None else TAGS
    with _table(told):
        project = Project.parse(project_text(photos, tags, recipe), Path())
        tagged = project.source().train()
        _tell_tags(photos, told, tagged)
        with Bars() as bars:
            broken = unread(tagged, bars)
        advice = by_effect(of_tags(tagged, told.unused))
        tell_problems([*broken, *map(str, advice)])
        if not broken:
            _tell_cost(project, tagged, place)
        write_text(FILE, project_text(photos, tags, recipe))
    written = f"{FILE} and {TAGS}" if tags else f"{FILE}"
    typer.echo(f"written: {written}; look at it, and change what you like")
    then("run", what="once these photos are mended" if broken else "")


@contextmanager
def _table(told: "ExportedTags") -> Iterator[None]:
    """Write the tags that a table has to list; if the block fails, all is as before."""
    from wsis._support.files import write_text

    if told.rows is None:
        yield
        return
    before = TAGS.read_text("utf-8") if TAGS.exists() else None
    write_tags(TAGS, told.rows)
    try:
        yield
    except BaseException:
        if before is None:
            TAGS.unlink()
        else:
            write_text(TAGS, before)
        raise


def _tell_tags(photos: Path, told: "ExportedTags", tagged: "Tagged") -> None:
    from wsis.data.halves import photos_of_each

    counts = photos_of_each(tagged)
    none = sum(not bool(one.tags.any()) for one in tagged.images) - tagged.background
    typer.echo(printable(f"photos: {len(tagged.images)} in {photos}"))
    places = few([str(one) for one in told.places])
    typer.echo(printable(f"tags: {told.kind}" + (f" ({places})" if places else "")))
    if told.places:
        typer.echo("  classes become tags; places of objects are not read")
    rows = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    others = ("(background)", tagged.background), ("(no tag)", none)
    rows += [(name, count) for name, count in others if count]
    width = max(len(name) for name, _ in rows)
    for name, count in rows:
        typer.echo(printable(f"  {name:<{width}}  {many(count, 'photo', 6)}"))


def _tell_cost(project: "Project", tagged: "Tagged", place: options.Setup) -> None:
    from wsis.cli._show import in_time
    from wsis.projects import cost

    found = cost(project, tagged, device=place.device, cache=place.cache)
    size, time = found.size, in_time(sum(found.seconds.values()))
    free = shutil.disk_usage(os.curdir).free
    typer.echo(
        f"wsis run takes about {time} on this machine ({found.device}), by a trial on "
        "two photos, longer beside other programs, and "
        f"{size / 2**20:,.0f} MiB of disk"
    )
    if size > free:
        typer.echo(f"warning: only {free / 2**20:,.0f} MiB of disk are free", err=True)
