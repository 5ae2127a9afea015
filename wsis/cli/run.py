"""``wsis run``: from tagged photos to masks, as ``wsis.toml`` says."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wsis.cli import _options as options
from wsis.cli._errors import printable
from wsis.cli._next import command, then

if TYPE_CHECKING:
    from wsis.projects import Plan

app = options.command_group()


@options.command(app.command)
def run(
    *,
    file: Annotated[Path, typer.Argument(metavar="[WSIS.TOML]")] = Path("wsis.toml"),
    dry_run: Annotated[bool, typer.Option("--dry-run")] = False,
    jobs: Annotated[int | None, typer.Option(min=1)] = None,
    track: options.Track = None,
    place: options.Place,
) -> None:
    """Train on your photos, find masks on all of them, and export them.

    wsis run prints the command of each step. After an interruption, type it again to
    resume. It reuses finished steps. Those whose settings or photos have changed are
    repeated, into another folder.

    Args:
        file: File that wsis start wrote.
        dry_run: Print the steps and their commands only.
        jobs: Processes that predict, of one thread each; if not given, as many as
            cores, memory and photos allow. Results do not depend on it.

    Examples:
        wsis run
        wsis run --dry-run
        wsis run dogs.toml
    """
    from wsis import projects
    from wsis.cli._show import Bars

    where: dict[str, Any] = {"device": place.device, "cache": place.cache, "jobs": jobs}
    if dry_run:
        plan = projects.plan(file, tracker=track or (), **where)
        broken = _tell(plan, where)
        named = () if file == Path("wsis.toml") else (file,)
        then("run", *named, what="once these photos are mended" if broken else "")
        return
    with Bars(say=typer.echo) as bars:
        made = projects.run(file, tracker=track or (), monitor=bars, **where)
    look = command(["show", str(made.found)])
    typer.echo(printable(f"to look at, in {made.found}: report.html, or type: {look}"))
    if made.exports:
        typer.echo(printable(f"masks: {', '.join(map(str, made.exports.values()))}"))
    words = ("predict", "NEW_PHOTOS", "--run", made.model, "--out", "found")
    then(*words, what="masks on other photos")


def _tell(plan: "Plan", where: dict[str, Any]) -> list[str]:
    """Print the photos and the steps of a plan; return what is wrong with photos."""
    from wsis.cli._show import Bars, in_time, tell_problems
    from wsis.data.halves import summary
    from wsis.projects import cost, unread

    with Bars() as bars:
        broken = unread(plan.tagged, bars)
    typer.echo(summary(plan.tagged))
    if broken:
        tell_problems(broken)
    seconds = {}
    if any(one.state != "reused" for one in plan.steps):
        seconds = cost(plan.project, plan.tagged, **where).seconds
    for one in plan.steps:
        if one.state == "reused":
            typer.echo(printable(f"{one.name}: reused, {one.result}"))
            continue
        if one.changes:
            typer.echo(printable(f"{one.name}: made anew, as {one.changes}"))
        time = f", about {in_time(seconds[one.name])}" if one.name in seconds else ""
        typer.echo(f"{one.name}: {one.state}{time}")
        typer.echo(printable(f"  {one.command}"))
    return broken
