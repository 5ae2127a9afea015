"""``wsis predict``: finds instances on photos."""

from pathlib import Path
from typing import Annotated

import typer

from wsis.cli import _options as options
from wsis.cli._errors import UsageError, printable
from wsis.cli._files import refuse_existing
from wsis.cli._next import then

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
    from wsis.cli._show import Bars
    from wsis.projects import predict

    with Bars(say=typer.echo) as bars:
        found = predict(
            run,
            photos,
            out,
            every=every,
            min_score=min_score,
            classes=classes,
            trust_tags=trust_tags,
            tags=tags,
            single=single,
            jobs=jobs,
            cluster=cluster,
            device=place.device,
            cache=place.cache,
            overwrite=overwrite,
            monitor=bars,
        )
    for line in found.said:
        typer.echo(printable(line))
    then("report", out, what="a page of the masks, the most doubtful ones first")
