"""The form in which proposals are kept: bits of members, runs of regions."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Int

from wsis.contracts import Ledger, Proposals

PARTS = ("labels", "lengths", "members", "count", "size", "objectness")
"""Names of the arrays that proposals are packed into."""

_MOST = np.iinfo(np.int16).max


def pack(proposals: Proposals) -> dict[str, np.ndarray]:
    """Return the arrays that ``unpack`` takes; regions are runs in reading order."""
    flat = proposals.regions.flatten().cpu().numpy()
    starts = np.append(0, np.flatnonzero(np.diff(flat)) + 1)
    return {
        "labels": _small(flat[starts]),
        "lengths": _small(np.diff(np.append(starts, len(flat)))),
        # Eight columns a byte, the first in its highest bit.
        "members": np.packbits(proposals.members.cpu().numpy(), axis=1),
        "count": np.array([proposals.members.shape[1]]),
        "size": np.array(proposals.size),
        "objectness": proposals.objectness.cpu().numpy(),
    }


def unpack(kept: Mapping[str, np.ndarray], source: str, ledger: Ledger) -> Proposals:
    """Return the proposals that were packed, the same to the last bit."""
    if "regions" in kept:
        # Caches of wsis before November 2026 hold the label map itself.
        regions = kept["regions"].astype(np.int64)
    else:
        flat = np.repeat(kept["labels"].astype(np.int64), kept["lengths"])
        regions = flat.reshape(kept["size"].tolist())
    count = int(kept["count"].item())
    members = np.unpackbits(kept["members"], axis=1, count=count)
    return Proposals(
        regions=torch.from_numpy(regions),
        members=torch.from_numpy(members.view(bool)),
        objectness=torch.tensor(kept["objectness"]),
        source=source,
        ledger=ledger,
    )


def _small(values: Int[np.ndarray, " K"]) -> Int[np.ndarray, " K"]:
    return values.astype(np.int16 if values.max() <= _MOST else np.int32)
