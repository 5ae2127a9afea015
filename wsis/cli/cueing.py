"""``wsis cues show``: draws what a cue source says of training photos."""

from pathlib import Path

import numpy as np
import torch
import typer
from jaxtyping import Int, UInt8
from PIL import Image as Pillow
from torch import Tensor

from wsis.cli.building import named, pipeline
from wsis.cli.display import Bars
from wsis.cli.errors import UsageError
from wsis.cli.folders import new_folder, refuse_home, unique
from wsis.cli.options import Data, Setup
from wsis.cli.sources import data_source
from wsis.contracts import Pointing, Proposals, Rle
from wsis.cues.kept import Cues
from wsis.geometry.drawing import overlay, pointed, sheet
from wsis.geometry.masks import from_masks, rles
from wsis.plugins import nearest
from wsis.proposals.bags import Bag

SIDE = 420


def show(
    photos: list[str],
    out: Path,
    data: Data,
    setup: Setup,
    *,
    limit: int,
    seed: int,
    overwrite: bool,
) -> None:
    """Writes one PNG a photo into ``out``: its peaks, then its clusters."""
    parts = pipeline(setup)
    tagged = data_source(named(data, setup), "train").train()
    bags = parts.bags(tagged.images)
    chosen = _chosen(bags, photos, limit)
    home = data.images or data.root
    if home is not None:
        refuse_home(out, [home / bag.image.name for bag in chosen])
    with new_folder(out, overwrite=overwrite) as folder, Bars() as bars:
        step = bars.start("proposals and features", len(bags))
        parts.prepare(bags, lambda bag: step(bag.image.name))
        cues = parts.cues(bags, seed)
        step = bars.start("cues", len(chosen))
        names = unique([Path(bag.image.name).stem for bag in chosen])
        for bag, name in zip(chosen, names, strict=True):
            page = _page(cues, bag, tagged.classes)
            Pillow.fromarray(page).save(folder / f"{name}.png")
            step(bag.image.name)
    typer.echo(f"drawn: {len(chosen)} photos in {out}")


def _chosen(bags: list[Bag], photos: list[str], limit: int) -> list[Bag]:
    """The photos that are named, or else some tagged ones evenly from all."""
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


def _page(cues: Cues, bag: Bag, classes: tuple[str, ...]) -> UInt8[np.ndarray, "h w 3"]:
    image, labels, labeller = bag.pixels, cues(bag), cues.ready()
    if labels is None:
        raise UsageError("expected cues that label, these label nothing")
    tiles = [overlay(image, [], side=SIDE)]
    if isinstance(labeller, Pointing):
        map = cues.features.map(bag, cues.scale)
        points = labeller.peaks(bag.image, map, bag.proposals.size)
        tiles = [pointed(image, points, side=SIDE)]
    masks, captions = _clusters(labels, bag.proposals, classes)
    tiles.append(overlay(image, masks, captions, side=SIDE))
    return sheet(tiles, columns=2)


def _clusters(
    labels: Int[Tensor, "N C1"], proposals: Proposals, classes: tuple[str, ...]
) -> tuple[list[Rle], list[str]]:
    """What most members of each cluster agree on; the most trusted cluster first."""
    masks: list[Rle] = []
    captions = []
    for number in labels[:, 1:].unique().flip(0).tolist():
        rows, columns = (labels[:, 1:] == number).nonzero(as_tuple=True)
        if not number or not len(rows):
            continue
        share = proposals.members[rows].float().mean(0)
        agreed = (share >= min(0.5, float(share.max())))[proposals.regions.long()]
        masks += rles(from_masks(agreed[None]), torch.tensor([0]))
        captions.append(f"{classes[int(columns[0])]}, {len(rows)} proposals")
    return masks, captions
