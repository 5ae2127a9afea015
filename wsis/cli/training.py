"""``wsis train``: teaches one model and keeps it."""

from pathlib import Path

import typer

from wsis.bags import Bag
from wsis.cli.building import miner_list, named, pipeline, recipe
from wsis.cli.display import Bars
from wsis.cli.errors import UsageError
from wsis.cli.folders import refuse_existing
from wsis.cli.options import Data, Setup
from wsis.cli.sources import category_ids, data_source
from wsis.cues.balance import ENOUGH, foreground_share
from wsis.cues.kept import Cues
from wsis.runs import CHECKPOINT, Card, begin, begun, save_run


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
        if parts.settings.anti_noise and (hint := _unbalanced(cues, bags)):
            bars.say(hint)
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


def _unbalanced(cues: Cues, bags: list[Bag]) -> str:
    """What to do if the cues leave the foreground too little weight; else nothing."""
    some = [bag for bag in bags if bag.tags.any()][:: max(1, len(bags) // 50)]
    share = foreground_share(cues(bag) for bag in some if len(bag.proposals))
    if share is None or share >= ENOUGH:
        return ""
    return (
        f"hint: cues mark {share:.1%} of the proposals as foreground, and with less "
        f"than {ENOUGH:.0%} the anti-noise branch hardly learns; keep near copies "
        "(source.max_overlap=0.9) or do without it (anti_noise=false)"
    )
