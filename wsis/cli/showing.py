"""``wsis proposals show``: draws the proposals of photos."""

import time
from pathlib import Path

import numpy as np
import torch
import typer
from jaxtyping import UInt8
from PIL import Image as Pillow

from wsis.cli.errors import message
from wsis.cli.folders import new_folder, refuse_home, unique
from wsis.contracts import Image, Proposals, ProposalSource
from wsis.data.images import images_in, read_image
from wsis.geometry import masks
from wsis.geometry.drawing import boundaries, overlay, resized, sheet
from wsis.runs.settings import Part

SIDE = 320


def show(
    photos: list[Path], out: Path, source: str, *, limit: int, overwrite: bool
) -> None:
    """Writes one PNG a photo into ``out``; prints counts and seconds."""
    make: ProposalSource = Part.parse(source).build("sources")
    paths = images_in(photos)
    refuse_home(out, paths)
    drawn = 0
    with new_folder(out, overwrite=overwrite) as folder:
        for path, name in zip(paths, unique([p.stem for p in paths]), strict=True):
            try:
                image = read_image(path)
            except (ValueError, OSError) as error:
                typer.echo(f"skipped: {message(error)}", err=True)
                continue
            began = time.perf_counter()
            proposals = make(image)
            seconds = time.perf_counter() - began
            typer.echo(f"{path}: {len(proposals)} proposals, {seconds:.2f} s")
            page = _page(image, proposals, limit)
            Pillow.fromarray(page).save(folder / f"{name}.png")
            drawn += 1
        if not drawn:
            raise ValueError(f"none of {len(paths)} photos could be read")
    typer.echo(f"drawn: {out}")


def _page(image: Image, proposals: Proposals, limit: int) -> UInt8[np.ndarray, "h w 3"]:
    """The regions' boundaries, then one picture for each of the first proposals."""
    first = torch.arange(min(limit, len(proposals)))
    tiles = [resized(boundaries(image, proposals.regions.cpu().numpy()), SIDE)]
    for i, mask in enumerate(masks.rles(proposals, first)):
        caption = f"{i + 1}: {float(proposals.objectness[i]):.3g}"
        tiles.append(overlay(image, [mask], [caption], side=SIDE))
    return sheet(tiles, columns=4)
