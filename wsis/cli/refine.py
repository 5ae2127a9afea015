"""``wsis refine``: teaches a Mask R-CNN what a run finds on its training photos."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from wsis.cli import _options as options
from wsis.cli._files import refuse_existing
from wsis.cli._next import then

if TYPE_CHECKING:
    from wsis.runs.refine import Coverage, RefineSettings

app = options.command_group()


@options.command(app.command)
def refine(
    *,
    run: options.Run,
    out: Path,
    detector: Literal["small", "r50"] = "small",
    min_score: Annotated[float, typer.Option(min=0, max=1)] = 0.3,
    top_per_tag: Annotated[int, typer.Option(min=0)] = 1,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    seed: options.Seed = 0,
    resume: options.Resume = False,
    track: options.Track = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE")
    ] = None,
    data: options.Data,
    place: options.Place,
) -> None:
    """Teach a Mask R-CNN what a run finds on its training photos (CIM+).

    Instances of the photo's tags with a high score, and the best of each tag, become
    pseudo labels; no mask of a training photo is read. The folder holds
    pseudo_labels.json (a COCO data set), refined.json and model.safetensors; predict
    and evaluate take it as they take a run. With validation photos it also holds
    results.json and figures.json, before and after.

    Args:
        out: New folder, unless --resume.
        detector: Mask R-CNN on EfficientNet-Lite0 for CPUs, or the paper's R50-FPN.
        min_score: Trust instances with this score.
        top_per_tag: Trust this many of each tag's best instances whatever their score.
        epochs: Passes over the labelled photos; by default 10, or more if there are few
            photos.
        settings: A setting of the detector, such as sides=320 or schedule.lr=1e-4;
            repeatable.

    Examples:
        wsis refine --run run --out refined
        wsis refine --run run --out refined --data coco --images photos
            --train tags.json --val val.json
        wsis refine --run run --out refined --detector r50 --set weights=resnet50.pth
    """
    from wsis._support.files import write_json
    from wsis.cli._show import Bars, print_evaluations
    from wsis.data.halves import for_classes
    from wsis.evaluation import coco_data_set, evaluate, results_of
    from wsis.report import METRICS
    from wsis.runs.refine import DETECTORS, RefineSettings, refine
    from wsis.runs.run import load_run

    trust = (f"trust.min_score={min_score}", f"trust.top_per_tag={top_per_tag}")
    length = () if epochs is None else (f"schedule.epochs={epochs}",)
    overrides = (*trust, *length, *(settings or ()))
    wanted = RefineSettings.read(DETECTORS[detector], overrides)
    refuse_existing(out, overwrite=resume, instead="--resume to resume it")
    source = data.source(train=True)
    trained = load_run(run, device=place.device, cache=place.cache)
    tagged, val = source.train(), source.val()
    val = None if val is None else for_classes(val, trained.classes, "the run")
    with Bars() as bars:
        refined = refine(
            trained,
            tagged,
            wanted,
            seed=seed,
            folder=out,
            val=None if val is None else val.tagged,
            resume=resume,
            monitor=bars,
            covered=lambda covered: bars.say(_text(covered, wanted)),
            tracker=track or (),
        )
    typer.echo(f"refined: {out} ({refined.card.said})")
    typer.echo(refined.card.agreement)
    if val is None:
        typer.echo("no --val, so nothing was measured; compare pictures of both")
        then("predict", "PHOTOS", "--run", out, "--out", "found-refined")
        return
    found = {}
    for one in (trained, refined):
        with Bars() as bars:
            predictions = one.predict_all(val, bars)
        found[one.name] = evaluate(predictions, val.truths, val.tagged.classes)
    names, card = [image.name for image in val.tagged.images], refined.card
    coco = coco_data_set(names, predictions, card.classes, card.category_ids, {})
    write_json(out / "results.json", results_of(coco))
    print_evaluations(found, METRICS, out / "figures.json")
    then("predict", "PHOTOS", "--run", out, "--out", "found-refined")


def _text(covered: "Coverage", settings: "RefineSettings") -> str:
    text = covered.said
    if settings.trust.top_per_tag or not covered.scarce:
        return text
    return (
        f"{text}\nwarning: fewer than one pseudo label a photo reaches --min-score "
        f"{settings.trust.min_score:g}; lower it, or keep the best instance of every "
        "tag with --top-per-tag 1"
    )
