"""``wsis export``: writes predictions for other programs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from wsis.cli import _options as options
from wsis.cli._errors import UsageError
from wsis.cli._files import refuse_existing

app = options.command_group()

Kind = Literal["coco", "yolo", "voc", "labelstudio", "cvat", "overlays"]


@options.command(app.command)
def export(
    *,
    found: options.Found,
    kind: Annotated[Kind, typer.Option("--format")],
    out: Path,
    images: options.Moved = None,
    min_score: options.MinScore = 0.0,
    classes: options.Chosen = None,
    exclusive: Annotated[bool, typer.Option("--exclusive")] = False,
    accepted: Annotated[bool, typer.Option("--accepted")] = False,
    polygons: Annotated[bool, typer.Option("--polygons")] = False,
    simplify: Annotated[float, typer.Option(min=0)] = 0.0,
) -> None:
    """Write predictions, with copies of the photos, in another program's format.

    coco: a data set with scores. yolo: YOLO's segmentation labels and data.yaml. voc:
    PASCAL VOC's pictures. labelstudio, cvat: tasks to correct. overlays: pictures of
    the likeliest instances.

    Copies get safe names, no two alike; photos.csv lists the original ones. Without
    --min-score or --accepted all instances are written, most of which are wrong.

    Args:
        kind: The program, or the kind of files.
        out: New folder of the export.
        exclusive: Leave every pixel to its best instance. Always in voc.
        accepted: Write only what was accepted with wsis show; coco and cvat then get no
            scores, which tells training and measuring that people checked it.
        polygons: Write coco with polygons instead of run lengths.
        simplify: Leave out corners that change a polygon by less than this many pixels;
            1 suits correcting by hand, 0 keeps masks exact.

    Examples:
        wsis export found --format labelstudio --min-score 0.1 --out to-correct
        wsis export found --format yolo --exclusive --out yolo
    """
    refuse_existing(out, instead="delete it first")
    if polygons and kind != "coco":
        raise UsageError(f"--polygons is for --format coco; {kind} has no choice")
    if simplify and (kind in ("voc", "overlays") or (kind == "coco" and not polygons)):
        hint = " without --polygons" if kind == "coco" else ""
        raise UsageError(f"--simplify is for polygons; {kind}{hint} has none")
    from wsis.report import Style
    from wsis.report import export as write

    done = write(
        found,
        out,
        kind,
        images=images,
        min_score=min_score,
        classes=classes,
        exclusive=exclusive,
        accepted=accepted,
        style=Style(polygons=polygons, tolerance=simplify),
    )
    typer.echo("\n".join(done.notes(out)))
