"""``wsis refine``: teaches a Mask R-CNN what a run finds on its training photos."""

from pathlib import Path

import typer

from wsis._support.files import write_json
from wsis.cli.building import torch_device
from wsis.cli.display import Bars, print_rows
from wsis.cli.errors import UsageError
from wsis.cli.evaluating import predicted
from wsis.cli.options import Data, Setup
from wsis.cli.sources import data_source
from wsis.contracts import Annotated
from wsis.evaluation import evaluate, to_coco
from wsis.experiments import METRICS, Row
from wsis.runs.refine import (
    Coverage,
    Refined,
    RefinedCard,
    RefineSettings,
    fit_detector,
    load_refined,
    mask_rcnn,
    pseudo_labels,
)
from wsis.runs.run import CHECKPOINT, Run, load_run


def refine(
    run: Path,
    out: Path,
    data: Data,
    settings: RefineSettings,
    setup: Setup,
    *,
    seed: int,
    resume: bool,
) -> None:
    """Trains into ``out``; where there are masks to measure by, before and after."""
    source, device = data_source(data, "train"), torch_device(setup.device)
    trained = load_run(run, device=device, cache=setup.cache)
    tagged = source.train()
    # A data set of files may come without validation photos.
    val = None if getattr(source, "val_json", True) is None else source.val()
    if val is not None and val.tagged.classes != tagged.classes:
        raise UsageError(
            "expected the same classes in both halves, got "
            f"{', '.join(tagged.classes)} and {', '.join(val.tagged.classes)}"
        )
    card = RefinedCard.of(trained, settings, seed, tagged)
    model = mask_rcnn(settings, len(card.classes), seed).to(device)
    card.begin(out, resume=resume)
    with Bars() as bars:
        step = bars.start("pseudo labels", len(tagged.images))
        labels, covered = pseudo_labels(out, trained, tagged, card, step)
        bars.say(_covered(covered, settings))
        total = settings.paced.images(sum(len(one) > 0 for one in labels))
        reach = bars.track(f"{card.name}, seed {seed}: train", total)
        progress = fit_detector(
            model,
            tagged.images,
            labels,
            settings,
            seed=seed,
            checkpoint=out / CHECKPOINT,
            tick=lambda progress: reach(progress.step),
        )
    card.trained(progress, labels=covered).save(out, model)
    loss = progress.losses[-1]["total"]
    typer.echo(f"refined: {out} ({progress.step} images, loss {loss:.3f})")
    if val is None:
        typer.echo("no --val, so nothing was measured")
    else:
        _measure(trained, load_refined(out, device), val, out)


def _covered(covered: Coverage, settings: RefineSettings) -> str:
    text = (
        f"{covered.labels} pseudo labels on {covered.labelled} of {covered.photos} "
        f"tagged photos, for {covered.covered} of {covered.tags} tags; a tag's best "
        f"score is {covered.best:.2f} (median)"
    )
    if settings.trust.top_per_tag or not covered.scarce:
        return text
    return (
        f"{text}\nwarning: fewer than one pseudo label a photo reaches --min-score "
        f"{settings.trust.min_score:g}; lower it, or keep the best instance of every "
        "tag with --top-per-tag 1"
    )


def _measure(run: Run, refined: Refined, val: Annotated, out: Path) -> None:
    """Writes results and figures, and prints a row before and one after."""
    rows, figures = [], {}
    for name, one in ((run.card.miner.label, run), (refined.card.name, refined)):
        found = predicted(one, val)
        measured = evaluate(found, val.truths, val.tagged.classes)
        figures[name] = {"metrics": measured.metrics, "per_class": measured.per_class}
        rows.append(Row(name=name, seeds=1, mean=measured.metrics, deviation={}))
    write_json(out / "results.json", to_coco(found, refined.card.category_ids))
    write_json(out / "figures.json", figures)
    print_rows(rows, METRICS)
