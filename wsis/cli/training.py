"""``wsis train``: teaches one model and keeps it."""

from pathlib import Path
from typing import Annotated

import typer

from wsis.cli.display import Bars
from wsis.cli.errors import UsageError
from wsis.cli.folders import refuse_existing
from wsis.cli.options import (
    CacheOption,
    ClassesOption,
    DataOption,
    DeviceOption,
    ImagesOption,
    SetOption,
    TrainOption,
    ValOption,
    category_ids,
    data_source,
    miner_list,
    pipeline,
)


def train(
    out: Annotated[Path, typer.Option(help="Folder of the run, new unless --resume.")],
    miner: Annotated[
        str, typer.Option(help="A miner, with settings: cim:p_seed=0.2.")
    ] = "cim",
    data: DataOption = "scenes",
    images: ImagesOption = None,
    train: TrainOption = None,
    val: ValOption = None,
    classes: ClassesOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything drawn.")] = 0,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Stop after so many images in all, resumed included."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last finished epoch.")
    ] = False,
    settings: SetOption = None,
    device: DeviceOption = "auto",
    cache: CacheOption = None,
) -> None:
    """Train a model from tags alone; the folder is what predict and evaluate take.

    A checkpoint is written after every epoch. The folder holds model.safetensors and
    run.json: settings, classes, labels consumed, versions, losses.
    """
    refuse_existing(out, overwrite=resume)
    chosen = miner_list(miner)
    if len(chosen) != 1:
        raise UsageError(f"expected one miner, got {miner}")
    from wsis.runs import CHECKPOINT, Card, begin, save_run

    parts = pipeline(settings, cache, device)
    source = data_source(
        data, "train", images=images, train_json=train, val_json=val, classes=classes
    )
    tagged = source.train()
    card = Card.of(parts, chosen[0], seed, tagged, category_ids(source))
    begin(out, card, resume=resume)
    with Bars() as bars:
        step = bars.start("proposals and features", len(tagged.images))
        parts.prepare(parts.bags(tagged.images), lambda bag: step(bag.image.name))
        total = steps or parts.settings.schedule.epochs * len(tagged.images)
        reach = bars.track(f"{chosen[0].label}, seed {seed}: train", total)
        model, progress = parts.train(
            tagged,
            chosen[0],
            seed,
            checkpoint=out / CHECKPOINT,
            steps=steps,
            tick=lambda progress: reach(progress.step),
        )
    save_run(out, model, card, progress)
    losses = progress.losses[-1] if progress.losses else {}
    typer.echo(
        f"run: {out} ({progress.step} images, loss {losses.get('total', 0):.3f})"
    )
    for reason, count in progress.skipped.items():
        typer.echo(f"skipped: {count} images with {reason}")
