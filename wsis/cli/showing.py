"""``wsis proposals show``: draws the proposals of photos."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsis.cli.errors import message
from wsis.cli.folders import new_folder, unique
from wsis.cli.options import OverwriteOption, PhotosArgument

if TYPE_CHECKING:
    import numpy as np

    from wsis.contracts import Image, Proposals


def show(
    photos: PhotosArgument,
    out: Annotated[Path, typer.Option(help="New folder for one PNG a photo.")],
    source: Annotated[
        str,
        typer.Option(help="A source, with settings. See: wsis parts sources."),
    ] = "region_tree",
    limit: Annotated[
        int, typer.Option(min=1, help="How many proposals are drawn.")
    ] = 11,
    overwrite: OverwriteOption = False,
) -> None:
    """Draw the regions of photos and their first proposals, best first.

    Prints how many proposals there are and how long they took.
    """
    with new_folder(out, overwrite=overwrite) as folder:
        from PIL import Image as Pillow

        from wsis.config import Part
        from wsis.contracts import ProposalSource
        from wsis.data.images import images_in, read_image

        make: ProposalSource = Part.parse(source).build("sources")
        paths = images_in(photos)
        drawn = 0
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
            picture = _picture(image, proposals, limit)
            Pillow.fromarray(picture).save(folder / f"{name}.png")
            drawn += 1
        if not drawn:
            typer.echo(f"wsis: none of {len(paths)} photos could be read", err=True)
            raise typer.Exit(1)
    typer.echo(f"drawn: {out}")


def _picture(image: "Image", proposals: "Proposals", limit: int) -> "np.ndarray":
    import torch

    from wsis import masks
    from wsis.drawing import boundaries, overlay, resized, sheet

    first = torch.arange(min(limit, len(proposals)))
    tiles = [resized(boundaries(image, proposals.regions.cpu().numpy()), 320)]
    for i, mask in enumerate(masks.rles(proposals, first)):
        caption = f"{i + 1}: {float(proposals.objectness[i]):.3g}"
        tiles.append(overlay(image, [mask], [caption], side=320))
    return sheet(tiles, columns=4)
