"""``wsis train``: teaches one model and keeps it."""

from pathlib import Path
from typing import Annotated

import typer

from wsis.cli import _options as options
from wsis.cli._files import refuse_existing
from wsis.cli._next import then

app = options.command_group()


@options.command(app.command)
def train(
    *,
    out: Path,
    miner: str | None = None,
    seed: options.Seed = 0,
    steps: Annotated[int | None, typer.Option(min=1)] = None,
    resume: options.Resume = False,
    track: options.Track = None,
    cluster: options.Cluster = None,
    data: Annotated[options.Data, options.without("val_images")],
    setup: options.Setup,
) -> None:
    """Train a model from tags alone; predict and evaluate take its folder.

    A checkpoint is written after every epoch, and when training stops; --resume
    continues from there, with the same result. The folder holds model.safetensors and
    run.json: settings, classes, labels consumed, versions, losses.

    Started by torchrun, several processes share the photos of each batch. With
    --cluster, workers make proposals, features and cues; the training itself stays
    here.

    Args:
        out: Folder of the run, new unless --resume.
        miner: A miner, with settings, such as cim:p_seed=0.2; by default the recipe's.
        steps: Stop after this many images in all, resumed ones included.

    Examples:
        wsis train --out run
        wsis train --out run --data coco --images photos --train tags.json --resume
        wsis train --out run --recipe photos-small --root photos
        wsis train --out run --recipe voc12-cim-r50 --root VOCdevkit
            --set backbone.weights=resnet50.pth
        torchrun --nproc-per-node 2 -m wsis train --out run --set schedule.batch=2
    """
    from wsis._support.places import torch_device
    from wsis.cli._show import Bars
    from wsis.runs import Card, train
    from wsis.training import joined

    with joined(torch_device(setup.device)) as ranks:
        if ranks.first and not resume and Card.begun(out):
            refuse_existing(out, instead="--resume to resume its run")
        source = data.source(setup.chosen().data.label, train=True)
        chosen = options.miner_of(miner or setup.chosen(source).miner.label)
        setup.pipeline(source).strategy(chosen)
        val = None if data.val is None else source.val()
        with Bars() as bars:
            run = train(
                source,
                chosen,
                val=None if val is None else val.tagged,
                recipe=setup.recipe,
                settings=setup.settings or (),
                seed=seed,
                device=setup.device,
                cache=setup.cache,
                folder=out,
                resume=resume,
                steps=steps,
                monitor=bars,
                ranks=ranks,
                tracker=track or (),
                cluster=cluster,
            )
    typer.echo(f"run: {out} ({run.card.said})")
    for reason, count in run.card.skipped.items():
        typer.echo(f"skipped: {count} images ({reason})")
    then("predict", "PHOTOS", "--run", out, "--out", "found")
