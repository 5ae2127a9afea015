"""``wsis train``: teaches one model and keeps it."""

from pathlib import Path

import typer

from wsis.cli.building import miner_list, named, pipeline, recipe
from wsis.cli.display import Bars
from wsis.cli.errors import UsageError
from wsis.cli.folders import refuse_existing
from wsis.cli.options import Data, Setup
from wsis.cli.sources import category_ids, data_source
from wsis.cues.balance import hint
from wsis.runs.folder import CHECKPOINT, Card, begin, begun, save_run


def train(
    out: Path,
    miner: str | None,
    data: Data,
    setup: Setup,
    *,
    seed: int,
    steps: int | None,
    resume: bool,
) -> None:
    """Trains into the folder ``out``, or goes on with what it holds."""
    if not resume and begun(out):
        refuse_existing(out, instead="--resume to go on with its run")
    miner = miner or recipe(setup.recipe).miner.label
    chosen, parts = miner_list(miner), pipeline(setup)
    if len(chosen) != 1:
        raise UsageError(f"expected one miner, got {miner}")
    parts.strategy(chosen[0])
    source = data_source(named(data, setup), "train")
    tagged = source.train()
    numbers = category_ids(source, len(tagged.classes))
    card = Card.of(parts, chosen[0], seed, tagged, numbers)
    begin(out, card, resume=resume)
    with Bars() as bars:
        step = bars.start("proposals and features", len(tagged.images))
        bags = parts.bags(tagged.images)
        parts.prepare(bags, lambda bag: step(bag.image.name))
        cues = parts.cues(bags, seed)
        if parts.settings.anti_noise and (advice := hint(cues, bags)):
            bars.say(f"hint: {advice}")
        total = steps or parts.settings.schedule.images(len(tagged.images))
        reach = bars.track(f"{chosen[0].label}, seed {seed}: train", total)
        model, progress = parts.train(
            tagged,
            chosen[0],
            seed,
            cues=cues,
            checkpoint=out / CHECKPOINT,
            steps=steps,
            tick=lambda progress: reach(progress.step),
        )
    save_run(out, model, card, progress)
    loss = f", loss {progress.losses[-1]['total']:.3f}" if progress.losses else ""
    typer.echo(f"run: {out} ({progress.step} images{loss})")
    for reason, count in progress.skipped.items():
        typer.echo(f"skipped: {count} images ({reason})")
