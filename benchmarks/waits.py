"""Counts where a computation makes the host wait for its device.

On CUDA, PyTorch tells (``torch.cuda.set_sync_debug_mode``). Elsewhere ``Card`` stands
in: a second device, called ``meta``, that computes on the CPU. It counts what would
wait on CUDA and, as CUDA does, refuses operations on tensors of both devices and
generators of the other one.
"""

import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

ROOT = Path(__file__).resolve().parent.parent
CARD = torch.device("meta")
"""The device that stands in for CUDA."""

_OWN = Path(__file__).resolve()
_INSTALLED = Path(sys.prefix).resolve()
"""An environment, which may lie within the repository; its code is others'."""

_aten = torch.ops.aten
_WAITING = {
    *(_aten._local_scalar_dense, _aten.equal, _aten.is_nonzero, _aten.nonzero),
    *(_aten.masked_select, _aten.bincount, _aten._unique, _aten._unique2),
    *(_aten.unique_dim, _aten.unique_consecutive, _aten.unique_dim_consecutive),
}
"""Operations whose result, or the size of it, the host must know."""

_COPIES = {_aten._to_copy, _aten.copy_, _aten.copy}
_INDEXED = {
    *(_aten.index, _aten.index_put, _aten.index_put_, _aten._index_put_impl_),
    _aten._unsafe_index,
}


class DeviceError(RuntimeError):
    """Tensors of two devices meet in one operation."""


class _OnCard(Tensor):
    """A tensor of the card; ``data_`` has its numbers, on the CPU."""

    data_: Tensor

    @staticmethod
    def __new__(cls: Any, data: Tensor) -> "_OnCard":
        made: _OnCard = Tensor._make_wrapper_subclass(
            cls,
            data.shape,
            strides=data.stride(),
            storage_offset=data.storage_offset(),
            dtype=data.dtype,
            layout=data.layout,
            device=CARD,
            requires_grad=data.requires_grad,
        )
        made.data_ = data
        return made

    def __repr__(self) -> str:
        return f"on card: {self.data_!r}"

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        # Outside of the block, as when its results are looked at.
        return _Computing(Counter()).__torch_dispatch__(func, types, args, kwargs)


@contextmanager
def waits(device: torch.device) -> Iterator[Counter[str]]:
    """Count the waits of a block by place, as ``wsis/heads/mil.py:30``.

    For ``CARD``, the block runs on the stand-in.
    """
    places: Counter[str] = Counter()
    if device.type == "meta":
        with _Making(places), _Computing(places):
            yield places
        return

    def found(message: Any, *more: Any, **others: Any) -> None:
        if "called a synchronizing" in str(message):
            places[_place()] += 1

    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        warnings.showwarning = found
        try:
            yield places
        finally:
            torch.cuda.set_sync_debug_mode(before)


class _Making(TorchFunctionMode):
    """Makes tensors of the card from numbers of the host."""

    def __init__(self, places: Counter[str]) -> None:
        super().__init__()
        self.places = places

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is Tensor.new_tensor and args[0].device == CARD:
            given: Tensor = args[0]
            kwargs = {"dtype": given.dtype, **kwargs, "device": CARD}
            func, args = torch.tensor, args[1:]
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device"):
            device = torch.device(kwargs.pop("device"))
            return func(*args, **kwargs).to(device)
        if func in (Tensor.tolist, Tensor.numpy) and isinstance(args[0], _OnCard):
            self.places[_place()] += 1
            return func(args[0].data_, *args[1:], **kwargs)
        return func(*args, **kwargs)


class _Computing(TorchDispatchMode):
    """Computes on the CPU what is asked of the card."""

    def __init__(self, places: Counter[str]) -> None:
        super().__init__()
        self.places = places

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        packet, device = func.overloadpacket, kwargs.get("device")
        flat = tree_flatten((args, kwargs))[0]
        card = any(isinstance(one, _OnCard) for one in flat)
        if packet in _COPIES:
            card = self._copied(packet, args, kwargs)
        elif card:
            self._checked(packet, func, args, flat)
        if device is not None:
            card = torch.device(device) == CARD
            kwargs["device"] = torch.device("cpu")
        result = func(*tree_map(_data, args), **tree_map(_data, kwargs))
        if args and isinstance(args[0], _OnCard) and result is args[0].data_:
            if result.shape != args[0].shape:
                raise NotImplementedError(f"{func} changes a shape in place")
            return args[0]
        return tree_map(_on_card, result) if card else result

    def _copied(self, packet: Any, args: Any, kwargs: dict[str, Any]) -> bool:
        """Count a copy between the devices; tell whether it ends on the card."""
        source = args[0] if packet is _aten._to_copy else args[1]
        was = isinstance(source, _OnCard)
        aim = isinstance(args[0], _OnCard)
        if kwargs.get("device") is not None:
            aim = torch.device(kwargs["device"]) == CARD
        freely = kwargs.get("non_blocking", False) or (len(args) > 2 and args[2])
        if was and not aim and freely:
            raise DeviceError("a copy to the host that nobody waits for is not whole")
        if was != aim and not freely:
            self.places[_place()] += 1
        return aim

    def _checked(self, packet: Any, func: Any, args: Any, flat: list[Any]) -> None:
        given, masks = [one for one in flat if isinstance(one, Tensor)], 0
        if packet in _INDEXED:
            indices = [one for one in args[1] if one is not None]
            masks = sum(one.dtype in (torch.bool, torch.uint8) for one in indices)
            # One number is written by a mask without looking for its places.
            if packet is not _aten.index and args[2].dim() == 0 and masks:
                masks = 0
            # Indices of the host travel, and are waited for.
            masks += sum(not isinstance(one, _OnCard) for one in indices)
            given = [one for one in given if all(one is not i for i in indices)]
        waits = packet in _WAITING or (
            packet is _aten.repeat_interleave and "output_size" not in str(args)
        )
        if masks or waits:
            self.places[_place()] += max(masks, 1)
        strange = [one for one in given if not isinstance(one, _OnCard) and one.dim()]
        if strange:
            shapes = [tuple(one.shape) for one in strange]
            raise DeviceError(f"{func} of the card is given {shapes} of the host")
        if any(isinstance(one, torch.Generator) for one in flat):
            raise DeviceError(f"{func} of the card is given a generator of the host")


def _data(one: Any) -> Any:
    return one.data_ if isinstance(one, _OnCard) else one


def _on_card(one: Any) -> Any:
    return _OnCard(one) if isinstance(one, Tensor) else one


def _place() -> str:
    """Return file:line of the innermost frame of ours, as ``wsis/heads/mil.py:30``."""
    frame = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path != _OWN and ROOT in path.parents and _INSTALLED not in path.parents:
            return f"{path.relative_to(ROOT)}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return "elsewhere"
