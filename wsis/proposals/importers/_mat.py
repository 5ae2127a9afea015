"""Matlab files of proposals, one a photo: as MCG and COB publish theirs."""

from collections.abc import Container, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wsis._support.matlab import BUDGET, read_mat
from wsis.contracts import Proposals
from wsis.proposals.importers._found import Found, combined, files_of, gathered, hard
from wsis.proposals.making import check_size

_HDF5 = b"\x89HDF\r\n\x1a\n"

Variables = Mapping[str, Any]
"""Arrays by name; a cell array is a list of arrays."""


def mat(path: Path, stems: Container[str]) -> Sequence[Found]:
    """Read files ``PHOTO.mat``, or one of them, of Matlab's version 5 or 7.3.

    A file holds ``superpixels`` (H, W), numbered from 1, and ``labels``, a cell array
    with the superpixels of each proposal; or else ``maskmat``, a cell array of masks or
    one array (H, W, N). ``scores`` (N) sort them; without scores their order stays.
    """
    del stems
    files = files_of(path, ".mat")
    return [Found(photo=file.stem, read=partial(_read, file)) for file in files]


def _read(path: Path, size: tuple[int, int]) -> Proposals:
    found = _variables(path, size)
    scores = found.get("scores", found.get("score"))
    try:
        if {"superpixels", "labels"} <= found.keys():
            regions, members = _partition(found["superpixels"], found["labels"], size)
            return combined(regions, members, scores)
        if "maskmat" in found:
            return gathered(_masks(found["maskmat"], size), scores, size)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    raise ValueError(
        f"{path}: expected superpixels and labels, or maskmat; it holds "
        f"{', '.join(found) or 'nothing'}"
    )


def _partition(
    superpixels: Any, labels: Any, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return regions, 0 for none, and the members of each proposal."""
    check_size("superpixels", np.shape(superpixels), size)
    regions = _whole(superpixels, "superpixels")
    count = int(regions.max())
    if regions.min() < 0 or not isinstance(labels, list):
        raise ValueError("expected superpixels from 1 and a cell array of labels")
    # Numbers may be huge, and superpixels without pixels do not matter.
    present, regions = np.unique(regions, return_inverse=True)
    members = np.zeros((len(labels), len(present)), dtype=bool)
    for i, row in enumerate(labels):
        chosen = _whole(row, "labels").reshape(-1)
        if len(chosen) and not 1 <= chosen.min() <= chosen.max() <= count:
            raise ValueError(
                f"expected labels in 1…{count}, proposal {i} has "
                f"{chosen.min()}…{chosen.max()}"
            )
        members[i] = np.isin(present, chosen)
    return regions.reshape(size), members


def _whole(values: Any, what: str) -> np.ndarray:
    found = np.asarray(values)
    if found.size and not (
        found.dtype.kind in "biuf"
        and np.isfinite(found).all()
        and (found % 1 == 0).all()
    ):
        raise ValueError(f"expected whole numbers as {what}, got {found.dtype}")
    return found.astype(np.int64)


def _masks(maskmat: Any, size: tuple[int, int]) -> torch.Tensor:
    if isinstance(maskmat, list):
        stack = np.zeros((len(maskmat), *size), dtype=bool)
        for mask, one in zip(stack, maskmat, strict=True):
            check_size("masks", np.shape(one), size)
            mask[:] = hard(one, "masks")
        return torch.from_numpy(stack)
    array = np.asarray(maskmat)
    if array.ndim == 2:
        # Matlab drops a third axis of length one.
        array = array[..., None]
    if array.ndim != 3:
        raise ValueError(f"expected masks (H, W, N), got {array.shape}")
    return _masks(list(array.transpose(2, 0, 1)), size)


def _variables(path: Path, size: tuple[int, int]) -> Variables:
    with path.open("rb") as file:
        head = file.read(520)
    try:
        # A user block of 512 bytes with Matlab's own header comes first.
        if _HDF5 in (head[:8], head[512:520]):
            return _hdf5(path, size)
    except (ValueError, ModuleNotFoundError):
        raise
    except Exception as error:
        # HDF5 stumbles over damaged files in many ways, and asks for any memory.
        raise ValueError(f"{path}: not a Matlab file, or damaged: {error}") from error
    return read_mat(path, size)


def _hdf5(path: Path, size: tuple[int, int]) -> Variables:
    try:
        import h5py
    except ModuleNotFoundError:
        raise ValueError(
            f"{path} is a Matlab file of version 7.3, which needs h5py: pip install "
            "'wsis[mat73]'; or save it with save(..., '-v7')"
        ) from None
    with h5py.File(path, "r") as file:
        return {
            str(name): _value(file, data, size)
            for name, data in file.items()
            if isinstance(data, h5py.Dataset)
        }


def _value(file: Any, data: Any, size: tuple[int, int]) -> Any:
    """Return a variable; Matlab reverses its axes and keeps cells as references."""
    if data.nbytes > BUDGET and data.shape[:-3:-1] != size:
        raise ValueError(
            f"{file.filename}: {data.name} unfolds to more than {BUDGET >> 20} MiB, "
            "and is no array of the photo's size"
        )
    if data.dtype == object:
        return [_value(file, file[one], size) for one in data[()].flat]
    if data.attrs.get("MATLAB_empty"):
        return np.zeros(0)
    return data[()].T
