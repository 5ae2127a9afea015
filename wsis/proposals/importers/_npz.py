"""Masks in NumPy's .npz, one file a photo."""

import math
from collections.abc import Container, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wsis.contracts import Proposals
from wsis.proposals.importers._found import Found, combined, files_of, gathered, hard
from wsis.proposals.making import check_size


def npz(path: Path, stems: Container[str]) -> Sequence[Found]:
    """Read files ``PHOTO.npz``, or one of them.

    A file holds ``masks`` (N, H, W) of two values, 0 outside, or else ``regions``
    (H, W) and ``members`` (N, R), the regions of each mask; ``scores`` (N), or
    ``score``, are optional. Arrays of Python objects are pickles and refused.
    """
    del stems
    files = files_of(path, ".npz")
    return [Found(photo=file.stem, read=partial(_read, file)) for file in files]


def _read(path: Path, size: tuple[int, int]) -> Proposals:
    try:
        with np.load(path, allow_pickle=False) as file:
            # A small file can unfold to a huge array: its shape is looked at first.
            shapes = {name: _shape(file, name) for name in ("masks", "regions")}
            fit = not any(_huge(one, size) for one in shapes.values())
            content = {name: file[name] for name in file.files} if fit else {}
    except Exception as error:
        # NumPy passes on whatever a damaged file makes it stumble over.
        if "pickle" in str(error).lower():
            raise ValueError(
                f"{path} holds Python objects, which are pickles: reading one runs "
                "whatever code it holds. Save masks as one array (N, H, W) of numbers"
            ) from error
        raise ValueError(f"{path}: not an .npz file, or damaged: {error}") from error
    for name, shape in shapes.items():
        if _huge(shape, size):
            check_size(name, shape[-2:] if shape else (), size, f"{path}: ")
    scores = content.get("scores", content.get("score"))
    if "masks" in content:
        return gathered(_masks(path, content["masks"], size), scores, size)
    if {"regions", "members"} <= content.keys():
        regions, members = content["regions"], content["members"]
        whole = np.issubdtype(regions.dtype, np.integer)
        if not whole or regions.shape != size or members.ndim != 2:
            raise ValueError(
                f"{path}: expected whole numbers as regions {size} and members (N, R), "
                f"got {regions.dtype} {regions.shape} and {members.shape}"
            )
        if regions.min() < 0 or regions.max() >= members.shape[1]:
            raise ValueError(
                f"{path}: expected regions in 0…{members.shape[1] - 1}, the columns of "
                f"members, got {regions.min()}…{regions.max()}"
            )
        rows = [hard(row, "members", f"{path}: ") for row in members]
        return combined(regions, np.reshape(rows, members.shape), scores)
    raise ValueError(
        f"{path}: expected masks, or regions and members; it holds "
        f"{', '.join(content) or 'nothing'}"
    )


def _masks(path: Path, masks: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    if masks.ndim != 3:
        boxes = ": boxes? masks are wanted" if masks.shape[1:] == (4,) else ""
        raise ValueError(f"{path}: expected masks (N, H, W), got {masks.shape}{boxes}")
    if masks.shape[:2] == size != masks.shape[1:]:
        raise ValueError(
            f"{path}: expected masks (N, H, W), got {masks.shape}: numbered along the "
            "last axis? save masks.transpose(2, 0, 1)"
        )
    check_size("masks", masks.shape[1:], size, f"{path}: ")
    planes = [hard(one, "masks", f"{path}: ") for one in masks]
    return torch.from_numpy(np.reshape(planes, masks.shape).astype(bool))


def _shape(file: Any, name: str) -> tuple[int, ...] | None:
    """Return an array's shape from its header; None of no array, or of objects."""
    if name not in file.files:
        return None
    with file.zip.open(f"{name}.npy") as array:
        old = np.lib.format.read_magic(array) == (1, 0)
        header = np.lib.format
        read = header.read_array_header_1_0 if old else header.read_array_header_2_0
        shape, _, dtype = read(array)
    return None if dtype.hasobject else tuple(shape)


def _huge(shape: tuple[int, ...] | None, size: tuple[int, int]) -> bool:
    """Tell whether an array is large and of another size than the photo."""
    return shape is not None and shape[-2:] != size and math.prod(shape) > 2**28
