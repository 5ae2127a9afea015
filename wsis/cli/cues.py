"""``wsis cues show``: draws what a cue source says of training photos."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsis.cli import _options as options
from wsis.cli._errors import UsageError
from wsis.cli._files import refuse_existing

if TYPE_CHECKING:
    from wsis.proposals.bags import Bag

app = options.command_group(name="cues", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Look at cues."""


@options.command(app.command)
def show(
    *,
    out: Path,
    photos: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 12,
    seed: options.Seed = 0,
    data: Annotated[options.Data, options.without("val", "val_images")],
    setup: options.Setup,
    overwrite: options.Overwrite = False,
) -> None:
    """Draw the peaks and clusters that cues give to training photos.

    The cues first learn from the tags of all training photos. On the left are their
    peaks, if they have any, the most trusted with a light rim; on the right, the pixels
    that most proposals of each cluster share.

    Args:
        out: New folder for one PNG a photo.
        photos: Training photos, as the data set names them; some without.
        limit: How many photos, if none is named.

    Examples:
        wsis cues show --out looks --set cues=agpl
        wsis cues show one.jpg two.jpg --out looks --data coco --images photos
            --train tags.json --set cues=cam:prominence=0.35
    """
    refuse_existing(out, overwrite=overwrite)
    from PIL import Image

    from wsis._support.folders import new_folder, refuse_home, unique
    from wsis.cli._show import Bars
    from wsis.data.images import read_all
    from wsis.report.looks import cue_page

    source = data.source(setup.chosen().data.label, train=True)
    pipeline, tagged = setup.pipeline(source), source.train()
    bags = pipeline.bags(tagged.images)
    read_all([partial(getattr, bag, "key") for bag in bags])
    chosen = _chosen(bags, photos or [], limit)
    home = data.images or data.root
    if home is not None:
        refuse_home(out, [home / bag.image.name for bag in chosen])
    with new_folder(out, overwrite=overwrite) as folder, Bars() as bars:
        step = bars.start("proposals and features", len(bags))
        pipeline.prepare(bags, lambda bag: step(bag.image.name))
        cues = pipeline.cues(bags, seed)
        step = bars.start("cues", len(chosen))
        names = unique([Path(bag.image.name).stem for bag in chosen])
        for bag, name in zip(chosen, names, strict=True):
            page = cue_page(cues, bag, tagged.classes)
            Image.fromarray(page).save(folder / f"{name}.png")
            step(bag.image.name)
    typer.echo(f"drawn: {len(chosen)} photos in {out}")


def _chosen(bags: "list[Bag]", photos: list[str], limit: int) -> "list[Bag]":
    """Return the photos that are named, or else tagged ones evenly from all."""
    from wsis.plugins import nearest

    tagged = {bag.image.name: bag for bag in bags if bag.tags.any()}
    for name in photos:
        if name not in tagged:
            raise UsageError(
                f"the data set has no tagged training photo {name!r}"
                f"{nearest(name, list(tagged))}"
            )
    if photos:
        return [tagged[name] for name in photos]
    return list(tagged.values())[:: max(1, len(tagged) // limit)][:limit]
