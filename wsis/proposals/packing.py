"""Proposals as few bytes: bits of the members, runs of the regions."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor

from wsis.contracts import Ledger, Proposals

PARTS = ("labels", "lengths", "members", "count", "size", "objectness")
"""Names of the arrays that proposals are packed into."""

_MOST = np.iinfo(np.int16).max


def pack(proposals: Proposals) -> dict[str, np.ndarray]:
    """The arrays that ``unpack`` takes; their regions as runs in reading order."""
    flat = proposals.regions.flatten().cpu().numpy()
    starts = np.append(0, np.flatnonzero(np.diff(flat)) + 1)
    return {
        "labels": _small(flat[starts]),
        "lengths": _small(np.diff(np.append(starts, len(flat)))),
        "members": pack_bits(proposals.members),
        "count": np.array([proposals.members.shape[1]]),
        "size": np.array(proposals.size),
        "objectness": proposals.objectness.cpu().numpy(),
    }


def unpack(kept: Mapping[str, np.ndarray], source: str, ledger: Ledger) -> Proposals:
    """The same proposals as were packed, to the last bit."""
    height, width = kept["size"].tolist()
    flat = np.repeat(kept["labels"].astype(np.int64), kept["lengths"])
    return Proposals(
        regions=torch.from_numpy(flat.reshape(height, width)),
        members=unpack_bits(kept["members"], int(kept["count"][0])),
        objectness=torch.tensor(kept["objectness"]),
        source=source,
        ledger=ledger,
    )


def pack_bits(members: Bool[Tensor, "N R"]) -> UInt8[np.ndarray, "N bytes"]:
    """Eight columns a byte, the first in its highest bit."""
    return np.packbits(members.cpu().numpy(), axis=1)


def unpack_bits(
    packed: UInt8[np.ndarray, "N bytes"], count: int
) -> Bool[Tensor, "N R"]:
    """The ``count`` columns that were packed."""
    bits = np.unpackbits(packed, axis=1, count=count)
    return torch.from_numpy(bits.view(bool))


def _small(values: Int[np.ndarray, " K"]) -> Int[np.ndarray, " K"]:
    return values.astype(np.int16 if values.max() <= _MOST else np.int32)
