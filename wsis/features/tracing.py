"""Traces a cell of the feature map back to the pixels that it saw."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import get_same_padding
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_input

from wsis.contracts import Backbone, TaggedImage, Trace
from wsis.features.scale import Scale
from wsis.features.views import pixels

_EPS = 1e-10


def trace(backbone: Backbone, scale: Scale) -> Trace:
    """Return the way back through ``backbone`` from maps of photos at one scale.

    Zhou et al., https://arxiv.org/abs/1804.00880, section 3.2: the chance to have
    caused a cell is handed down layer by layer. A convolution's inputs share what an
    output has in proportion to (input − lowest input) × positive weight; layers that
    act on each cell by itself hand it through. Where paths join, chances add up; the
    result is scaled to sum to 1. One forward pass a photo, one backward pass a
    gradient.

    Raises:
        ValueError: when called, if the backbone has convolutions that are not plain
            ``nn.Conv2d``.
    """

    def back(
        image: TaggedImage, gradients: Float[Tensor, "P D h w"]
    ) -> Float[Tensor, "P H W"]:
        network: Any = backbone
        device = next(network.parameters()).device
        seen = pixels(image.load(), scale, backbone).to(device)
        seen.requires_grad_()
        maps = []
        with torch.enable_grad(), _handing_down(network):
            out = backbone(seen)
            for gradient in gradients:
                [found] = torch.autograd.grad(
                    out, seen, gradient[None].to(out), retain_graph=True
                )
                chance = found[0].sum(0).clamp_min(0)
                maps.append(chance / chance.sum().clamp_min(_EPS))
        return torch.stack(maps).cpu()

    return back


def _apply(function: Any, given: Any, x: Tensor) -> Tensor:
    found: Tensor = function.apply(x, given)
    return found


@contextmanager
def _handing_down(network: nn.Module) -> Iterator[None]:
    """Exchange gradients for chances, until the block ends."""
    changed: dict[Any, Callable[[Tensor], Tensor]] = {}
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            changed[module] = partial(_apply, _Elementwise, module.forward)
        elif isinstance(module, nn.Conv2d):
            plain = type(module) in (nn.Conv2d, Conv2dSame)
            if not plain or not isinstance(module.padding, tuple):
                raise ValueError(
                    "expected a backbone of plain nn.Conv2d to trace through, got "
                    f"{type(module).__name__}"
                )
            changed[module] = partial(_apply, _Convolution, module)
    try:
        for module, forward in changed.items():
            module.forward = forward
        yield
    finally:
        for module in changed:
            # What stood there before was the class's own.
            module.__dict__.pop("forward", None)


class _Convolution(torch.autograd.Function):
    """A convolution whose inputs share an output's chance."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, module: nn.Conv2d) -> Tensor:
        ctx.save_for_backward(given)
        ctx.module = module
        given = functional.pad(given, _edges(given, module))
        return functional.conv2d(given, module.weight, module.bias, *_how(module))

    @staticmethod
    def backward(ctx: Any, chance: Tensor) -> tuple[Tensor, None]:
        [given] = ctx.saved_tensors
        how, edges = _how(ctx.module), _edges(given, ctx.module)
        base, positive = given - given.min(), ctx.module.weight.clamp_min(0)
        base = functional.pad(base, edges)
        total = functional.conv2d(base, positive, None, *how)
        share = (chance / total).where(total > _EPS, 0)
        found = base * conv2d_input(base.shape, positive, share, *how)
        return functional.pad(found, [-edge for edge in edges]), None


class _Elementwise(torch.autograd.Function):
    """A layer on each cell by itself, which hands chances through."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, forward: Callable[[Tensor], Tensor]) -> Tensor:
        del ctx
        return forward(given)

    @staticmethod
    def backward(ctx: Any, chance: Tensor) -> tuple[Tensor, None]:
        del ctx
        return chance, None


def _edges(given: Tensor, module: nn.Conv2d) -> list[int]:
    """Return the cells that a layer adds on the left, right, top and bottom itself."""
    if not isinstance(module, Conv2dSame):
        return [0, 0, 0, 0]
    sizes = zip(
        given.shape[-2:],
        module.kernel_size,
        module.stride,
        module.dilation,
        strict=True,
    )
    down, across = (get_same_padding(*one) for one in sizes)
    return [across // 2, across - across // 2, down // 2, down - down // 2]


def _how(module: nn.Conv2d) -> tuple[Any, Any, Any, int]:
    return module.stride, module.padding, module.dilation, module.groups
