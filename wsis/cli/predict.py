"""``wsis predict``: finds instances on photos."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsis._support.checks import few
from wsis.cli import _options as options
from wsis.cli._errors import UsageError, message
from wsis.cli._files import refuse_existing, refuse_home
from wsis.cli._next import then

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wsis.geometry.predictions import Predictions
    from wsis.runs import Run
    from wsis.runs.predicting import Kept, Task
    from wsis.runs.refine import Refined

app = options.command_group()


@app.command(
    epilog=options.examples(
        "wsis predict photo.jpg --run run --out found",
        "wsis predict holiday/ 'more/*.jpg' --run run --out found --min-score 0.1",
    )
)
@options.grouped
def predict(
    *,
    photos: options.Photos,
    run: options.Run,
    out: Annotated[
        Path,
        typer.Option(
            help="New folder: overlays, predictions.json, results.json, review.csv."
        ),
    ],
    min_score: options.MinScore = 0.0,
    classes: options.Chosen = None,
    trust_tags: Annotated[
        bool,
        typer.Option(
            "--trust-tags/--no-trust-tags",
            help="Leave out instances of classes that a tagged photo does not have.",
        ),
    ] = True,
    tags: Annotated[
        Path | None,
        typer.Option(
            help="Tags of the photos: a CSV (file,tags; dog:2 keeps two dogs), a json "
            "in COCO's format, or a tagged folder. Without it, tags.csv and folders "
            "named as classes."
        ),
    ] = None,
    single: Annotated[
        bool, typer.Option("--single", help="Photos have one object of each tag.")
    ] = False,
    jobs: options.Jobs = 1,
    place: options.Place,
    overwrite: options.Overwrite = False,
) -> None:
    """Find instances on photos with a trained run.

    For every photo there is a PNG with its likeliest instances drawn: at most five, of
    scores near the photo's best. predictions.json has all of them, as a COCO data set
    of images, annotations with scores, and categories; results.json is COCO's list of
    results, with the names of photo and class; its numbers are not those of your own
    data set. A photo that cannot be read is reported and left out. One whose longer
    side has more than 1,280 pixels is worked on and drawn at that length; its masks
    have the photo's own size.

    Tags that are known are trusted, unless --no-trust-tags is given. Measure a run with
    wsis evaluate --run, which looks at no tags. review.csv lists the photos by doubt.
    """
    refuse_existing(out, overwrite=overwrite)
    if tags is not None and not trust_tags:
        raise UsageError("expected --tags or --no-trust-tags, got both")
    if single and not trust_tags:
        raise UsageError("expected --single or --no-trust-tags, got both")
    from functools import partial

    from wsis._support.files import write_json
    from wsis._support.folders import new_folder, unique, way
    from wsis.data import known_tags
    from wsis.data.annotations import classes_in
    from wsis.data.images import images_in, tell_unread
    from wsis.evaluation import TRUSTED, coco_data_set, results_of
    from wsis.geometry.drawing import SHOWN, legible
    from wsis.report import REVIEW, review, write_review
    from wsis.runs import load
    from wsis.runs.predicting import Kept, Task

    paths = images_in(photos)
    refuse_home(out, paths)
    loading = partial(load, run, device=place.device, cache=place.cache)
    trained = loading()
    wanted = None if classes is None else classes_in(classes, trained.classes)
    allowed: list[frozenset[str] | None] = [None] * len(paths)
    tagged: list[dict[str, int] | None] = [None] * len(paths)
    if trust_tags:
        known = known_tags(paths, photos, trained.classes, tags, single=single)
        allowed = list(known.of)
        tagged = [
            some if some is None else dict.fromkeys(some, 0) | counts
            for some, counts in zip(known.of, known.counts, strict=True)
        ]
        typer.echo(_told(allowed, known.places))
        if counted := sum(bool(one) for one in known.counts):
            typer.echo(f"counts: on {counted} photos; further instances are left out")
    with new_folder(out, overwrite=overwrite) as folder:
        names = unique([path.stem for path in paths])
        tasks = [
            Task(path=path, picture=folder / f"{name}.png", number=number, tags=tags)
            for number, (path, name, tags) in enumerate(
                zip(paths, names, tagged, strict=True), 1
            )
        ]
        again = (lambda: trained) if jobs == 1 else loading
        kept = Kept(min_score=min_score, classes=wanted)
        found = _predicted(again, trained.parts, tasks, kept, jobs)
        tell_unread(paths, list(found))
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
                TRUSTED: sum(one is not None for one in allowed),
            },
            [way(path, out) for path in found],
        )
        write_json(folder / "predictions.json", coco)
        results = results_of(coco)
        write_json(folder / "results.json", results)
        kept_tags = [
            one for one, path in zip(allowed, paths, strict=True) if path in found
        ]
        chosen = [
            some if some is None or wanted is None else some.intersection(wanted)
            for some in kept_tags
        ]
        doubts = review(list(found.values()), chosen)
        write_review(folder / REVIEW, [str(path) for path in found], doubts)
    skipped = len(paths) - len(found)
    note = f" ({skipped} skipped)" if skipped else ""
    typer.echo(f"{len(results)} instances on {len(found)} photos{note}: {out}")
    likely = sum(map(legible, found.values()))
    typer.echo(
        f"likely ones: {likely}; these are drawn, at most {SHOWN} a photo, with scores "
        f"near its best; scores only rank instances, so start with {REVIEW}"
    )
    then("report", out, what="a page of the masks, the most doubtful ones first")


def _predicted(
    load: "Callable[[], Run | Refined]",
    parts: int,
    tasks: "Sequence[Task]",
    kept: "Kept",
    jobs: int,
) -> "dict[Path, Predictions]":
    """Return the predictions of every readable photo; report the others."""
    from contextlib import closing

    from wsis.cli._show import Bars
    from wsis.geometry.predictions import Predictions
    from wsis.runs.predicting import predict_files

    found: dict[Path, Predictions] = {}
    with Bars() as bars:
        # Reading the photo is one more part.
        step, tick = bars.parted("predict", len(tasks), parts + 1)
        with closing(predict_files(load, tasks, kept, jobs, tick)) as outcomes:
            for task, outcome in zip(tasks, outcomes, strict=True):
                if isinstance(outcome, Predictions):
                    found[task.path] = outcome
                else:
                    bars.say(f"skipped: {message(outcome)}")
                step(task.path.name)
    return found


def _told(allowed: "Sequence[frozenset[str] | None]", places: "Sequence[str]") -> str:
    """Say how many photos have tags, and where these are from."""
    count = sum(one is not None for one in allowed)
    if not count:
        return "tags: none known; every class is allowed on every photo"
    return (
        f"tags: known for {count} of {len(allowed)} photos, from {few(list(places))}; "
        "these get masks of their own tags only (--no-trust-tags allows every class)"
    )


def _names(paths: list[Path]) -> list[str]:
    """Return the photos' names, or their paths where two have the same name."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]
