"""Proposals found in files of another kind, and the checks that importers share."""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float
from pycocotools import mask as coco
from torch import Tensor

from wsis.contracts import Ledger, Proposals, Rle
from wsis.geometry.masks import compact, empty, from_masks

PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One photo's proposals in files of another kind.

    Args:
        photo: its name there: a file name, a stem, or a number.
        read: gives the proposals of an image of (H, W) pixels, or raises
            ``ValueError``; can be pickled.
    """

    photo: str
    read: Callable[[tuple[int, int]], Proposals]


@runtime_checkable
class Importer(Protocol):
    """Finds proposals in files; they are read later, one photo at a time."""

    def __call__(self, path: Path, stems: Container[str]) -> Sequence[Found]:
        """Return what is found at ``path``.

        Args:
            path: a file or a folder.
            stems: the photos' names without suffix, for formats whose file names do
                not tell where the photo's name ends.

        Raises:
            ValueError: if nothing of the format is there.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format of proposals.

    Args:
        importer: reads it.
        ledger: the labels that all proposals of the format consumed; None if they
            differ.
        stated: reads the labels that a file itself states, or None.
    """

    importer: Importer
    ledger: Ledger | None = None
    stated: Callable[[Path], Ledger | None] = lambda path: None

    def consumed(self, path: Path, told: Ledger | None) -> Ledger:
        """Return the labels consumed in making the proposals at ``path``.

        Args:
            path: a file or a folder.
            told: by the user, who may add to what is known, not take away; None if the
                user states nothing.

        Raises:
            ValueError: if nobody states any, or the user states less than is known.
        """
        known = self.stated(path) if self.ledger is None else self.ledger
        if known is None and told is None:
            raise ValueError(
                "expected --supervision: what people had to label for these proposals "
                "to exist (none, boundaries, masks), as the format does not tell"
            )
        if known is not None and told is not None and not known <= told:
            raise ValueError(
                f"these proposals consumed {', '.join(sorted(known))}, got "
                f"--supervision {', '.join(sorted(told)) or 'none'}"
            )
        return (known or frozenset()) | (told or frozenset())


def gathered(
    masks: Bool[Tensor, "N H W"] | Sequence[Rle],
    scores: Float[np.ndarray, " K"] | None,
    size: tuple[int, int],
) -> Proposals:
    """Return masks as proposals, but for those without a pixel.

    Args:
        masks: of one image.
        scores: sort the proposals, best first; without them the order stays.
        size: (H, W) of the image, which the masks must have.

    Raises:
        ValueError: if sizes, or the counts of masks and scores, differ, or a score is
            not finite.
    """
    for one in masks[:1] if isinstance(masks, Tensor) else masks:
        found = tuple(one.shape if isinstance(one, Tensor) else one["size"])
        if found != size:
            raise ValueError(
                f"expected masks of {size[0]} x {size[1]} pixels (height x width) as "
                f"the photo has, got {found[0]} x {found[1]}"
            )
    objectness = checked_scores(scores, len(masks))
    if isinstance(masks, Tensor):
        kept = masks.flatten(1).any(1).nonzero().flatten().tolist()
        masks = masks[kept]
    else:
        kept = [i for i, one in enumerate(masks) if coco.area(one)]
        masks = [masks[i] for i in kept]
    if not kept:
        return empty(size)
    if objectness is not None:
        objectness = objectness[kept]
    return from_masks(masks, objectness=objectness)


def combined(
    regions: np.ndarray,
    members: Bool[np.ndarray, "N R"],
    scores: Float[np.ndarray, " K"] | None,
) -> Proposals:
    """Return unions of regions as proposals, but for those without a pixel.

    Args:
        regions: each pixel's column of ``members``.
        members: which regions make up each proposal.
        scores: as in ``gathered``.
    """
    objectness = checked_scores(scores, len(members))
    present = np.zeros(members.shape[1], dtype=bool)
    present[np.unique(regions)] = True
    kept = np.flatnonzero((members & present).any(1))
    if not len(kept):
        height, width = regions.shape
        return empty((height, width))
    if objectness is None:
        objectness = torch.zeros(len(members))
    index = torch.from_numpy(kept)
    index = index[objectness[index].argsort(descending=True, stable=True)]
    return compact(
        Proposals(
            regions=torch.from_numpy(regions.astype(np.int64)),
            members=torch.from_numpy(members)[index],
            objectness=objectness[index],
            source="combined",
        )
    )


def checked_scores(
    scores: Float[np.ndarray, " K"] | None, count: int
) -> Float[Tensor, " _"] | None:
    """Return a finite score for each proposal; None where there are none.

    Raises:
        ValueError: if there are not ``count``, or one is not finite.
    """
    if scores is None:
        return None
    flat = np.asarray(scores, dtype=np.float32).reshape(-1)
    if len(flat) != count:
        raise ValueError(f"expected a score for each of {count} masks, got {len(flat)}")
    if not np.isfinite(flat).all():
        raise ValueError("expected finite scores")
    return torch.from_numpy(flat)


def files_of(path: Path, suffix: str) -> list[Path]:
    """Return the file at ``path``, or a folder's files with ``suffix``, by name.

    Raises:
        FileNotFoundError: if there is nothing at ``path``.
        ValueError: if there is no such file, or only pickles.
    """
    if not path.exists():
        raise FileNotFoundError(f"expected files of proposals, there is no {path}")
    inside = sorted(path.iterdir()) if path.is_dir() else [path]
    found = [one for one in inside if one.suffix.lower() == suffix and one.is_file()]
    if found:
        return found
    refuse_pickles(inside)
    raise ValueError(f"expected {suffix} files at {path}, found none")


def refuse_pickles(paths: Sequence[Path]) -> None:
    """Refuse files that Python's pickle wrote.

    Raises:
        ValueError: if there are any among ``paths``.
    """
    unsafe = [path for path in paths if path.suffix.lower() in PICKLES]
    if unsafe:
        raise ValueError(
            f"{unsafe[0]} is a pickle: reading one runs whatever code it holds, so "
            "wsis does not. If you trust it, load it in Python yourself and save "
            "masks (N, H, W) and scores (N) of each photo with "
            "numpy.savez_compressed('PHOTO.npz', masks=..., scores=...)"
        )
