"""``wsis predict``: finds instances on photos."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsis._support.checks import few, many
from wsis.cli import _options as options
from wsis.cli._errors import UsageError, message
from wsis.cli._files import refuse_existing, refuse_home
from wsis.cli._next import then

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wsis.geometry.predictions import Predictions
    from wsis.runs import Run
    from wsis.runs.predicting import Task
    from wsis.runs.refine import Refined

app = options.command_group()


@options.command(app.command)
def predict(
    *,
    photos: Annotated[list[Path], typer.Argument(metavar="IMAGE...")],
    run: options.Run,
    out: Path,
    every: Annotated[float | None, typer.Option(min=0, metavar="SECONDS")] = None,
    min_score: options.MinScore = 0.0,
    classes: options.Chosen = None,
    trust_tags: Annotated[bool, typer.Option("--trust-tags/--no-trust-tags")] = True,
    tags: Path | None = None,
    single: Annotated[bool, typer.Option("--single")] = False,
    jobs: options.Jobs = 1,
    cluster: options.Cluster = None,
    place: options.Place,
    overwrite: options.Overwrite = False,
) -> None:
    """Find instances on photos with a trained run.

    A PNG of every photo shows its likeliest instances: at most five, with scores
    near the photo's best. predictions.json has all instances, as a COCO data set of
    images, annotations with scores, and categories. results.json is COCO's list of
    results, with the names of photo and class; its numbers are not those of your
    data set. A photo that cannot be read is reported and left out. One whose longer
    side has more than 1,280 pixels is worked on and drawn at that length; its masks
    have the photo's own size.

    Frames of a video are kept in frames/ and named by their number, from 0: frame 48
    of clip.mp4 is clip-000048.jpg.

    Known tags are trusted, unless --no-trust-tags is given. To measure a run, use
    wsis evaluate --run, which ignores tags. review.csv lists the photos by doubt.

    Args:
        photos: Photos, videos, folders of photos, or patterns such as 'photos/*.jpg'.
        out: New folder: overlays, predictions.json, results.json, review.csv.
        every: Seconds between the frames taken from a video; by default 1, and 0 takes
            all.
        trust_tags: Leave out instances of classes that a tagged photo does not have.
        tags: Tags of the photos: a CSV (file,tags; dog:2 keeps two dogs), a json in
            COCO's format, or a tagged folder. Without it, tags.csv and folders named as
            classes.
        single: Photos have one object of each tag.

    Examples:
        wsis predict photo.jpg --run run --out found
        wsis predict holiday/ 'more/*.jpg' --run run --out found --min-score 0.1
        wsis predict clip.mp4 --every 2 --run run --out found
    """
    refuse_existing(out, overwrite=overwrite)
    if tags is not None and not trust_tags:
        raise UsageError("expected --tags or --no-trust-tags, got both")
    if single and not trust_tags:
        raise UsageError("expected --single or --no-trust-tags, got both")
    from functools import partial

    from wsis._support.files import PREDICTIONS, content, write_json
    from wsis._support.folders import new_folder, unique, way
    from wsis.data import known_tags
    from wsis.data.annotations import classes_in
    from wsis.data.images import images_in, is_video, tell_unread
    from wsis.data.videos import check_installed
    from wsis.evaluation import TRUSTED, coco_data_set, results_of
    from wsis.geometry.drawing import SHOWN, legible
    from wsis.geometry.predictions import Predictions
    from wsis.report import REVIEW, review, unplaced, write_review
    from wsis.runs import load
    from wsis.runs.advice import of_masks
    from wsis.runs.predicting import Task

    paths = images_in(photos)
    refuse_home(out, paths)
    if any(map(is_video, paths)):
        check_installed()
    elif every is not None:
        raise UsageError("expected a video for --every, got photos alone")
    if cluster is not None and jobs != 1:
        raise UsageError("expected --jobs or --cluster, got both")
    # Workers elsewhere have another current folder.
    cache = None if place.cache is None else place.cache.absolute()
    loading = partial(load, run.absolute(), device=place.device, cache=cache)
    trained = load(run, device=place.device, cache=cache)
    wanted = None if classes is None else classes_in(classes, trained.classes)
    tagged: dict[Path, dict[str, int] | None] = dict.fromkeys(paths)
    if trust_tags:
        known = known_tags(paths, photos, trained.classes, tags, single=single)
        tagged = {
            path: some if some is None else dict.fromkeys(some, 0) | counts
            for path, some, counts in zip(paths, known.of, known.counts, strict=True)
            if path not in known.again
        }
        if known.again:
            copies = [f"{one} is {first}" for one, first in known.again.items()]
            typer.echo(
                "copies of a photo in the folders of tags are left out "
                f"({len(copies)}): {few(copies)}"
            )
        typer.echo(_told(list(tagged.values()), known.places))
        if counted := sum(any(one.values()) for one in tagged.values() if one):
            typer.echo(f"counts: on {counted} photos; further instances are left out")
    with new_folder(out, overwrite=overwrite) as folder:
        seconds = 1.0 if every is None else every
        pictures = _pictures(list(tagged), folder / "frames", seconds)
        broken = [path for path, own in pictures.items() if not own]
        tagged = {one: tagged[path] for path, own in pictures.items() for one in own}
        names = unique([path.stem for path in tagged])
        tasks = [
            Task(path=path, picture=folder / f"{name}.png", number=number, tags=tags)
            for number, (name, (path, tags)) in enumerate(
                zip(names, tagged.items(), strict=True), 1
            )
        ]
        keep = partial(Predictions.filter, min_score=min_score, classes=wanted)
        found = _predicted(trained, loading, tasks, keep, jobs, cluster)
        # Frames lie where they will in the end.
        frames = [one for one in tagged if folder in one.parents]
        digests = [content(path) for path in found]
        places = {one: out / one.relative_to(folder) for one in frames}
        tagged = {places.get(one, one): some for one, some in tagged.items()}
        found = {places.get(one, one): some for one, some in found.items()}
        tell_unread([*tagged, *broken], list(found))
        card = trained.card
        coco = coco_data_set(
            _names(list(found)),
            list(found.values()),
            card.classes,
            card.category_ids,
            {
                "supervision": list(card.supervision),
                "versions": card.versions,
                "run": way(run, out),
                TRUSTED: sum(one is not None for one in tagged.values()),
            },
            [way(path, out) for path in found],
            digests,
        )
        write_json(folder / PREDICTIONS, coco)
        results = results_of(coco)
        write_json(folder / "results.json", results)
        chosen = [
            None if tags is None else frozenset(tags).intersection(wanted or tags)
            for tags in map(tagged.__getitem__, found)
        ]
        doubts = review(list(found.values()), chosen)
        write_review(folder / REVIEW, [str(path) for path in found], doubts)
        everywhere = unplaced(list(found.values()), chosen)
    skipped = len(tagged) + len(broken) - len(found)
    note = f" ({skipped} skipped)" if skipped else ""
    told = f"{many(len(results), 'instance')} on {many(len(found), 'photo')}{note}"
    typer.echo(f"{told}: {out}")
    likely = sum(map(legible, found.values()))
    typer.echo(
        f"likely ones: {likely}; these are drawn, at most {SHOWN} a photo, with scores "
        f"near its best; scores only rank instances, so start with {REVIEW}"
    )
    for one in of_masks(everywhere):
        typer.echo(f"{one}")
    then("report", out, what="a page of the masks, the most doubtful ones first")


def _predicted(
    run: "Run | Refined",
    load: "Callable[[], Run | Refined]",
    tasks: "Sequence[Task]",
    keep: "Callable[[Predictions], Predictions]",
    jobs: int,
    cluster: str | None,
) -> "dict[Path, Predictions]":
    """Return the predictions of every readable photo; report the others."""
    from contextlib import closing

    from wsis.cli._show import Bars
    from wsis.geometry.predictions import Predictions
    from wsis.runs.predicting import predict_files

    found: dict[Path, Predictions] = {}
    with Bars() as bars:
        # Reading the photo is one more part.
        step, tick = bars.parted("predict", len(tasks), run.parts + 1)
        work = predict_files(run, load, tasks, keep, jobs, tick, cluster)
        with closing(work) as outcomes:
            for task, outcome in zip(tasks, outcomes, strict=True):
                if isinstance(outcome, Predictions):
                    found[task.path] = outcome
                else:
                    bars.say(f"skipped: {message(outcome)}")
                step(task.path.name)
    return found


def _pictures(
    paths: "Sequence[Path]", folder: Path, every: float
) -> dict[Path, list[Path]]:
    """Return the pictures of each path: itself, or the frames of a video, written.

    A video that cannot be read is reported and has none.
    """
    from wsis._support.folders import unique
    from wsis.data.images import is_video
    from wsis.data.videos import write_frames

    names = iter(unique([path.stem for path in paths if is_video(path)]))
    found = {}
    for path in paths:
        own = [path]
        if is_video(path):
            taken = f"a frame every {every:g} s" if every else "all frames"
            typer.echo(f"video: {path}, {taken}")
            try:
                own = write_frames(path, folder, next(names), every)
            except ValueError as error:
                own = []
                typer.echo(f"skipped: {message(error)}")
        found[path] = own
    return found


def _told(tagged: "Sequence[dict[str, int] | None]", places: "Sequence[str]") -> str:
    """Say how many photos have tags, and where these are from."""
    count = sum(one is not None for one in tagged)
    if not count:
        return "tags: none known; every class is allowed on every photo"
    return (
        f"tags: known for {count} of {len(tagged)} photos, from {few(list(places))}; "
        "these get masks of their own tags only (--no-trust-tags allows every class)"
    )


def _names(paths: list[Path]) -> list[str]:
    """Return the photos' names, or their paths where two have the same name."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]
