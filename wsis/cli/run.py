"""``wsis run``: from tagged photos to masks, as ``wsis.toml`` says."""

from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from wsis.cli import _options as options
from wsis.cli._errors import printable
from wsis.cli._next import command, then

app = options.command_group()


@options.command(app.command)
def run(
    *,
    file: Annotated[Path, typer.Argument(metavar="[WSIS.TOML]")] = Path("wsis.toml"),
    dry_run: Annotated[bool, typer.Option("--dry-run")] = False,
    track: options.Track = None,
    place: options.Place,
) -> None:
    """Train on your photos, find masks on all of them, and export them.

    wsis run prints the command of each step. After an interruption, type it again to
    resume. It reuses finished steps, and repeats those whose settings or photos have
    changed in another folder.

    Args:
        file: File that wsis start wrote.
        dry_run: Print the steps and their commands only.

    Examples:
        wsis run
        wsis run --dry-run
        wsis run dogs.toml
    """
    from wsis.cli._show import tell_problems
    from wsis.cli._steps import Steps, check_formats, costs, unread
    from wsis.data.halves import summary
    from wsis.runs.project import Journal, Project
    from wsis.training.trackers import trackers

    trackers(track or ())  # refuses wrong ones before any work
    project = Project.read(file)
    journal = Journal(project.out)
    tagged = project.source().train()
    check_formats(project, file, tagged.classes)
    broken = unread(tagged) if dry_run else []
    if dry_run:
        typer.echo(summary(tagged))
        if broken:
            tell_problems(broken)
    steps = Steps(
        project=project,
        place=place,
        dry=dry_run,
        seconds=cache(lambda: costs(project, tagged, place)[0]),
        journal=journal,
        track=track or (),
    )
    with nullcontext() if dry_run else journal.locked():
        model, found, masks = steps.all(tagged)
    if dry_run:
        named = () if file == Path("wsis.toml") else (file,)
        then("run", *named, what="once these photos are mended" if broken else "")
        return
    look = command(["show", str(found)])
    typer.echo(printable(f"to look at, in {found}: report.html, or type: {look}"))
    if masks:
        typer.echo(printable(f"masks: {', '.join(map(str, masks))}"))
    words = ("predict", "NEW_PHOTOS", "--run", model, "--out", "found")
    then(*words, what="masks on other photos")
