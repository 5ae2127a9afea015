"""Proposals found in files of another kind, and the checks that importers share."""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from pycocotools import mask as coco
from torch import Tensor

from wsis._support.checks import warn
from wsis.contracts import Ledger, Proposals, Rle
from wsis.geometry.masks import compact, empty, from_masks
from wsis.proposals.making import check_size

PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One photo's proposals in files of another kind.

    Args:
        photo: its name there: a file name, a stem, or a number.
        read: gives the proposals of an image of (H, W) pixels, or raises
            ``ValueError``; can be pickled.
        numbered: whether ``photo`` can be nothing but a number.
        sha256: of the photo's file then, where it is known.
    """

    photo: str
    read: Callable[[tuple[int, int]], Proposals]
    numbered: bool = False
    sha256: object = None


Importer = Callable[[Path, Container[str]], Sequence[Found]]
"""Finds proposals in a file or a folder; they are read later, one photo at a time.

It gets the photos' names without suffix, too, for formats whose file names do not tell
where the photo's name ends. Where nothing of the format is, it raises ``ValueError``.
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
    scores: Shaped[np.ndarray, "..."] | None,
    size: tuple[int, int],
) -> Proposals:
    """Return masks of an image of ``size`` as proposals, but for empty ones.

    Scores, which must be finite, sort them, best first; without them the order stays.
    """
    if isinstance(masks, Tensor):
        check_size("masks", masks.shape[1:], size)
        kept = masks.flatten(1).any(1).nonzero().flatten().tolist()
    else:
        for one in masks:
            check_size("masks", one["size"], size)
        kept = [i for i, one in enumerate(masks) if coco.area(one)]
    objectness = _checked_scores(scores, len(masks))
    _tell_of_empty(len(masks) - len(kept))
    if not kept:
        return empty(size)
    return from_masks(
        masks[kept] if isinstance(masks, Tensor) else [masks[i] for i in kept],
        objectness=None if objectness is None else objectness[kept],
    )


def combined(
    regions: np.ndarray,
    members: Bool[np.ndarray, "N R"],
    scores: Shaped[np.ndarray, "..."] | None,
) -> Proposals:
    """Return unions of regions as proposals, but for empty ones; as ``gathered``."""
    objectness = _checked_scores(scores, len(members))
    if objectness is None:
        objectness = torch.zeros(len(members))
    present = members[:, np.unique(regions)].any(1)
    kept = torch.from_numpy(np.flatnonzero(present))
    _tell_of_empty(len(members) - len(kept))
    kept = kept[objectness[kept].argsort(descending=True, stable=True)]
    if not len(kept):
        height, width = regions.shape
        return empty((height, width))
    return compact(
        Proposals(
            regions=torch.from_numpy(regions.astype(np.int64)),
            members=torch.from_numpy(members)[kept],
            objectness=objectness[kept],
            source="combined",
        )
    )


def hard(values: Any, what: str, where: str = "") -> Bool[np.ndarray, "..."]:
    """Return a mask of numbers as bool: of two values, one is 0.

    A mask that is all of the photo is 1 or 255; ``where`` begins the message.

    Raises:
        ValueError: if the values are others; says what they may be.
    """
    found = np.asarray(values)
    if found.dtype.kind not in "biuf":
        raise ValueError(f"{where}expected {what} of numbers, got {found.dtype}")
    inside: Bool[np.ndarray, ...] = found != 0
    if found.dtype == bool or not found.size:
        return inside
    low, high = found.min(), found.max()
    if low == high and high in (0, 1, 255):
        return inside
    if low == 0 and high < np.inf and (found[inside] == high).all():
        return inside
    raise ValueError(
        f"{where}expected {what} of two values, 0 and another, got {_described(found)}"
    )


def _described(values: np.ndarray) -> str:
    if not np.isfinite(values).all():
        return "values that are not finite"
    several = np.unique(values)
    low, high = several[0], several[-1]
    came = f"values from {low:.3g} to {high:.3g}"
    if low < 0:
        return f"{came}: logits? threshold them first"
    if (several % 1 != 0).any():
        return f"{came}: probabilities? threshold them first"
    if len(several) <= 4:
        came = f"the values {', '.join(f'{value:g}' for value in several)}"
    return (
        f"{came}: numbers of objects, or grey levels? give every object a mask of its "
        "own, or threshold the levels first"
    )


def _tell_of_empty(count: int) -> None:
    if count:
        warn("masks without a pixel are left out")


def _checked_scores(
    scores: Shaped[np.ndarray, "..."] | None, count: int
) -> Float[Tensor, " _"] | None:
    """Return ``count`` finite scores; None where there are none."""
    if scores is None:
        return None
    if (kind := np.asarray(scores).dtype).kind not in "biuf":
        raise ValueError(f"expected numbers as scores, got {kind}")
    flat = np.asarray(scores, dtype=np.float32).reshape(-1)
    if len(flat) != count:
        raise ValueError(f"expected a score for each of {count} masks, got {len(flat)}")
    if not np.isfinite(flat).all():
        raise ValueError("expected finite scores")
    return torch.from_numpy(flat)


def files_of(path: Path, suffix: str) -> list[Path]:
    """Return the file at ``path``, or a folder's files with ``suffix``, by name."""
    if not path.exists():
        raise FileNotFoundError(f"expected files of proposals, there is no {path}")
    inside = sorted(path.iterdir()) if path.is_dir() else [path]
    found = [one for one in inside if one.suffix.lower() == suffix and one.is_file()]
    if found:
        return found
    refuse_pickles(inside)
    raise ValueError(f"expected {suffix} files at {path}, found none")


def refuse_pickles(paths: Sequence[Path]) -> None:
    """Refuse files that Python's pickle wrote."""
    for path in paths:
        if path.suffix.lower() in PICKLES:
            raise ValueError(
                f"{path} is a pickle: reading one runs whatever code it holds, so "
                "wsis does not. If you trust it, load it in Python yourself and save "
                "masks (N, H, W) and scores (N) of each photo with "
                "numpy.savez_compressed('PHOTO.npz', masks=..., scores=...)"
            )
