"""The 3×3 convolution of pooled 7×7 maps; on processors by products of frequencies."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d
from torch.nn.grad import conv2d_input, conv2d_weight

_SIDE, _PERIOD = 7, 8

Pool = Callable[[Tensor], Tensor]
"""Makes a few proposals' maps, (N, D, 7, 7), of what all of them share."""


def convolved(
    given: Tensor, pools: Sequence[Pool], weight: Float[Tensor, "out D 3 3"]
) -> Float[Tensor, "N out 7 7"]:
    """Return the convolution, padded by 1, of all maps that ``pools`` make of a tensor.

    The backward pass makes them again, so that no more than one pool's are ever held.
    """
    found: Tensor = _Convolved.apply(given, weight, pools)
    return found


class _Convolved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, given: Tensor, weight: Tensor, pools: Sequence[Pool]) -> Any:
        ctx.save_for_backward(given, weight)
        way = _way(weight)
        found = [way(pool(given)) for pool in pools]
        ctx.pools = [(pool, len(one)) for pool, one in zip(pools, found, strict=True)]
        return torch.cat(found)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        given, weight = ctx.saved_tensors
        way = _way(weight)
        trained = ctx.needs_input_grad[0]
        given = given.detach().requires_grad_(trained)
        pools, sizes = zip(*ctx.pools, strict=True)
        for pool, part in zip(pools, gradient.split(sizes), strict=True):
            with torch.enable_grad():
                maps = pool(given)
            way.learn(maps.detach(), part)
            if trained:
                maps.backward(way.back(part))
        return given.grad, way.gradient, None


def _way(weight: Tensor) -> "_Plain | _ByFrequency":
    return (_ByFrequency if weight.device.type == "cpu" else _Plain)(weight)


class _Plain:
    """torch's convolution; ``learn`` sums the gradient of its weight."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight
        self.gradient = torch.zeros_like(weight)

    def __call__(self, maps: Tensor) -> Tensor:
        found: Tensor = conv2d(maps, self.weight, padding=1)
        return found

    def learn(self, maps: Tensor, gradient: Tensor) -> None:
        shape = self.weight.shape
        self.gradient += conv2d_weight(maps, shape, gradient, padding=1)

    def back(self, gradient: Tensor) -> Tensor:
        shape = (len(gradient), self.weight.shape[1], _SIDE, _SIDE)
        found: Tensor = conv2d_input(shape, self.weight, gradient, padding=1)
        return found


class _ByFrequency:
    """The same in 94 products a map; the plain sum takes 441, less its border.

    Maps of 7×7 beside a row and a column of zeros are periods of 8×8, so that a product
    at every frequency of Fourier's is a convolution. In float32 it rounds about as
    much, in bfloat16 twice as much.
    """

    def __init__(self, weight: Tensor) -> None:
        self.weight = _spread(_WEIGHTS, weight.transpose(0, 1))  # (94, D, out)
        self.sum: Tensor | None = None

    def __call__(self, maps: Tensor) -> Tensor:
        return _gather(_RESULTS, _spread(_MAPS, maps).bmm(self.weight))

    def learn(self, maps: Tensor, gradient: Tensor) -> None:
        one = _spread(_MAPS, maps).mT, _spread(_RESULTS, gradient)
        # In place, as it takes 0.8 GB at full size.
        self.sum = torch.bmm(*one) if self.sum is None else self.sum.baddbmm_(*one)

    def back(self, gradient: Tensor) -> Tensor:
        return _gather(_MAPS, _spread(_RESULTS, gradient).bmm(self.weight.mT))

    @property
    def gradient(self) -> Tensor:
        assert self.sum is not None
        return _gather(_WEIGHTS, self.sum).transpose(0, 1)


def _spread(
    matrix: Float[Tensor, "frequencies pixels"], maps: Float[Tensor, "N D h w"]
) -> Tensor:
    found = matrix.to(maps) @ maps.flatten(2).flatten(0, 1).T
    return found.view(len(matrix), *maps.shape[:2])  # (frequencies, N, D)


def _gather(
    matrix: Float[Tensor, "frequencies pixels"],
    spread: Float[Tensor, "frequencies N D"],
) -> Tensor:
    found = spread.flatten(1).T @ matrix.to(spread)
    side = math.isqrt(matrix.shape[1])
    return found.view(*spread.shape[1:], side, side)  # (N, D, h, w)


def _matrices() -> tuple[Tensor, Tensor, Tensor]:
    """Return what spreads maps and weights, and what gathers their products.

    Of a frequency and its negative one is enough: 4 of them are real, 30 complex. A
    complex product takes three real ones, as Gauss found: (a + ib)(c + id) is made of
    (a + b)c, a(d - c) and b(c + d).
    """
    place = torch.arange(_SIDE, dtype=torch.float64)
    tap = torch.arange(3, dtype=torch.float64) - 1
    maps, weights, results = [], [], []
    for u in range(_PERIOD):
        for v in range(_PERIOD):
            negative = (-u % _PERIOD, -v % _PERIOD)
            if negative < (u, v):
                continue
            turn = 2 * math.pi / _PERIOD
            angle = turn * (u * place[:, None] + v * place).flatten()
            a, b = angle.cos(), -angle.sin()
            angle = turn * (u * tap[:, None] + v * tap).flatten()
            c, d = angle.cos(), angle.sin()
            if negative == (u, v):
                maps += [a]
                weights += [c]
                results += [a / _PERIOD**2]
            else:
                maps += [a + b, a, b]
                weights += [c, d - c, c + d]
                results += [2 * one / _PERIOD**2 for one in (a + b, b, -a)]
    return torch.stack(maps), torch.stack(weights), torch.stack(results)


_MAPS, _WEIGHTS, _RESULTS = _matrices()
