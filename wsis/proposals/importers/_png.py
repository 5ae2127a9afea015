"""Masks as PNGs, one file a mask."""

import re
from collections import defaultdict
from collections.abc import Container, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool

from wsis._support.checks import few, warn
from wsis.contracts import Proposals
from wsis.data.images import opened
from wsis.proposals.importers._found import (
    Found,
    files_of,
    gathered,
    hard,
    refuse_pickles,
)
from wsis.proposals.making import check_size

_NUMBERED = re.compile(r"(.+)[_-]\d+")


def png(path: Path, stems: Container[str]) -> Sequence[Found]:
    """Read a folder ``PHOTO/`` of PNGs for each photo, or PNGs ``PHOTO_NUMBER.png``.

    Numbers sort the masks, best first. A mask has two values, 0 outside; a palette
    counts by its index, and transparency does not count.
    """
    if not path.exists():
        raise FileNotFoundError(f"expected a folder of masks, there is no {path}")
    if not path.is_dir():
        refuse_pickles([path])
        raise ValueError(f"expected a folder of masks, {path} is a file")
    inside = sorted(path.iterdir())
    masks = {
        one.name: sorted(filter(_is_png, one.iterdir()), key=_by_number)
        for one in inside
        if one.is_dir()
    }
    masks = {photo: files for photo, files in masks.items() if files}
    if masks and (loose := [one.name for one in inside if _is_png(one)]):
        warn(
            f"{path}: {len(loose)} PNGs beside the photos' folders are left out: "
            f"{few(loose)}"
        )
    if not masks:
        masks = defaultdict(list)
        files, either = sorted(files_of(path, ".png"), key=_by_number), []
        for file in files:
            numbered = _NUMBERED.fullmatch(file.stem)
            # The photo is what the mask's name begins with.
            whole = file.stem in stems
            masks[file.stem if whole or not numbered else numbered[1]].append(file)
            if file.stem in stems and numbered and numbered[1] in stems:
                either.append(file.name)
        if either:
            warn(
                f"{len(either)} masks have the name of one photo and may belong to "
                f"another ({few(either)}); each counts as the mask of the photo that "
                "has its name; a folder of masks for each photo leaves no doubt"
            )
    return [
        Found(photo=photo, read=partial(_read, tuple(files)))
        for photo, files in sorted(masks.items())
    ]


def _is_png(path: Path) -> bool:
    return path.suffix.lower() == ".png" and path.is_file()


def _by_number(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", path.stem)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _read(files: Sequence[Path], size: tuple[int, int]) -> Proposals:
    masks = np.zeros((len(files), *size), dtype=bool)
    for mask, file in zip(masks, files, strict=True):
        inside = _inside(file)
        check_size("a mask", inside.shape, size, f"{file}: ")
        mask[:] = inside
    return gathered(torch.from_numpy(masks), None, size)


def _inside(file: Path) -> Bool[np.ndarray, "H W"]:
    try:
        with opened(file) as picture:
            pixels = np.asarray(picture)
            opaque = {"LA": 1, "RGBA": 3}.get(picture.mode)
    except (OSError, ValueError, SyntaxError) as error:
        raise ValueError(f"{file}: not a PNG, or damaged: {error}") from error
    channels = pixels.reshape(*pixels.shape[:2], -1)
    colours = channels[..., :opaque]
    if opaque and not np.ptp(colours, (0, 1)).any() and np.ptp(channels[..., opaque]):
        raise ValueError(f"{file}: the mask is in its transparency; save it as grey")
    if (colours == colours[..., :1]).all():
        return hard(colours[..., 0], "a mask", f"{file}: ")
    several = len(np.unique(colours.reshape(-1, colours.shape[-1]), axis=0))
    inside = np.asarray((colours != 0).any(2))
    if several != 2 or inside.all():
        raise ValueError(
            f"{file}: expected a mask of two colours, black and another, got "
            f"{several}: several objects? give each a mask of its own"
        )
    return inside
