"""The Semantic Boundaries Dataset: classes and objects of more VOC photos (.mat)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from jaxtyping import UInt8

from wsis.data.names import VOC_NAMES


@dataclass(frozen=True, slots=True)
class SBD:
    """The folder with ``cls/``, ``inst/``, ``train.txt`` and ``val.txt``.

    Hariharan et al., "Semantic Contours from Inverse Detectors", ICCV 2011.

    Args:
        folder: as it is unpacked, ``benchmark_RELEASE/dataset``.
    """

    folder: Path

    @classmethod
    def find(cls, *roots: Path) -> "SBD | None":
        """Return the one in or beside some folders, where archives usually put it."""
        inside = ("", "SBD", "sbd", "benchmark_RELEASE/dataset", "dataset")
        for folder in (root / name for root in roots for name in inside):
            if (folder / "inst").is_dir() and (folder / "cls").is_dir():
                return cls(folder)
        return None

    def names(self) -> list[str]:
        """Return the photos of both of its halves.

        Raises:
            FileNotFoundError: if a list is missing.
        """
        found: list[str] = []
        for path in (self.folder / "train.txt", self.folder / "val.txt"):
            if not path.is_file():
                raise FileNotFoundError(
                    f"expected the photos of SBD, there is no {path}"
                )
            found += path.read_text().split()
        return found

    def has(self, name: str) -> bool:
        """Return whether it annotates this photo."""
        return (self.folder / "cls" / f"{name}.mat").is_file()

    def tags(self, name: str) -> set[int]:
        """Return labels 1…20 of the classes on a photo; their places are not read.

        Raises:
            ValueError: if the file is damaged.
        """
        entry = _struct(self.folder / "cls" / f"{name}.mat", "GTcls")
        if "CategoriesPresent" in entry._fieldnames:
            found = np.atleast_1d(entry.CategoriesPresent)
        else:
            found = np.unique(entry.Segmentation)
        return {int(c) for c in found.ravel() if 1 <= c <= len(VOC_NAMES)}

    def objects(self, name: str) -> tuple[UInt8[np.ndarray, "H W"], dict[int, int]]:
        """Return each pixel's object (0 is none), and each object's label.

        Raises:
            ValueError: if the file is missing or damaged.
        """
        path = self.folder / "inst" / f"{name}.mat"
        entry = _struct(path, "GTinst")
        regions = np.asarray(entry.Segmentation, np.uint8)
        classes = np.atleast_1d(entry.Categories).ravel()
        found = {i: int(c) for i, c in enumerate(classes, 1) if (regions == i).any()}
        wrong = set(found.values()) - set(range(1, len(VOC_NAMES) + 1))
        if wrong or set(np.unique(regions)) - {0, 255} - set(found):
            raise ValueError(f"{path}: expected a class from 1 to 20 for every object")
        return regions, found


def _struct(path: Path, name: str) -> Any:
    if not path.is_file():
        raise ValueError(f"expected annotations of SBD, there is no {path}")
    try:
        content = scipy.io.loadmat(path, squeeze_me=True, struct_as_record=False)
        entry = content[name]
        _ = entry.Segmentation
    except Exception as error:
        # SciPy passes on whatever a damaged file makes it stumble over.
        raise ValueError(
            f"{path}: expected a MATLAB file with {name}: {error}"
        ) from None
    return entry
