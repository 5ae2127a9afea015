"""Boxes, areas, crops, encoded and dense masks of proposals, made on demand."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt64
from pycocotools import mask as coco
from torch import Tensor
from torch.nn import functional

from wsis.contracts import Ledger, Proposals, Rle

_ODD = np.uint64(0x9E3779B97F4A7C15)
"""Multiplier of Fibonacci hashing: 2⁶⁴ divided by the golden ratio."""

_TOGETHER = 64
"""Masks decoded at once."""

_ENTRIES = 2**22
"""Entries of a temporary matrix: bounds the memory of work that goes row by row."""


def areas(proposals: Proposals) -> Float[Tensor, " N"]:
    """Return the pixels of each proposal."""
    size = region_areas(proposals.regions)
    rows = [torch.where(block, size, 0).sum(1) for block in _rows(proposals.members)]
    return torch.cat(rows or [size[:0]]).float()


def boxes(proposals: Proposals) -> Float[Tensor, "N 4"]:
    """Return the smallest xyxy box around each proposal, right and bottom exclusive."""
    regions, members = proposals.regions, proposals.members
    # Of a row's pixels of one region, the first and the last ones tell.
    change = regions[:, 1:] != regions[:, :-1]
    y, x = functional.pad(change, (1, 0), value=True).nonzero().int().unbind(1)
    last = functional.pad(change, (0, 1), value=True).nonzero()[:, 1].int()
    label, far = regions[y, x].long(), sum(proposals.size)
    sides = []
    # Right and bottom are the lowest negated coordinates.
    for coordinate in (x, y, -last - 1, -y - 1):
        low = coordinate.new_full(members.shape[1:], far)
        low.scatter_reduce_(0, label, coordinate, "amin")
        rows = [torch.where(block, low, far).amin(1) for block in _rows(members)]
        sides.append(torch.cat(rows or [low[:0]]))
    x0, y0, x1, y1 = sides
    return torch.stack([x0, y0, -x1, -y1], 1).float()


def crops(
    proposals: Proposals, size: int = 7, within: Float[Tensor, "N 4"] | None = None
) -> Float[Tensor, "N P P"]:
    """Return each mask (0 or 1), cropped to its box and resized to ``size``.

    A cell takes the value of the pixel under its centre. ``within`` are the boxes,
    where they are known.
    """
    if size < 1:
        raise ValueError(f"size must be at least 1, got {size}")
    within = boxes(proposals) if within is None else within
    x0, y0, x1, y1 = within.long().unsqueeze(-1).unbind(1)  # (N, 1) each
    # The centre of cell k is (2k + 1) / (2 size) of the way: exact in integers.
    step = 2 * torch.arange(size, device=x0.device) + 1
    x = x0 + (x1 - x0) * step // (2 * size)
    y = y0 + (y1 - y0) * step // (2 * size)
    label = proposals.regions[y[:, :, None], x[:, None, :]].long()  # (N, P, P)
    inside = proposals.members.gather(1, label.flatten(1))
    return inside.view(-1, size, size).float()


def dense(proposals: Proposals, index: Int[Tensor, " M"]) -> Bool[Tensor, "M H W"]:
    """Return the masks of some proposals; they take one byte a pixel."""
    masks = proposals.members[index].index_select(1, proposals.regions.flatten())
    return masks.view(-1, *proposals.size)


def to_dense(masks: Bool[Tensor, "M H W"] | Sequence[Rle]) -> Bool[Tensor, "M H W"]:
    """Return masks as they are, or decoded from COCO's encoding."""
    if isinstance(masks, Tensor):
        return masks
    return torch.from_numpy(coco.decode(list(masks)).astype(bool)).permute(2, 0, 1)


def rles(proposals: Proposals, index: Int[Tensor, " M"]) -> list[Rle]:
    """Return COCO's encoding of some proposals, in the order of ``index``."""
    flat = proposals.regions.T.flatten().cpu().numpy()  # COCO's order is by column
    starts = np.append(0, np.flatnonzero(flat[1:] != flat[:-1]) + 1)
    region = flat[starts]
    rows = (row[region] for row in proposals.members[index].cpu().numpy())
    changes = (np.flatnonzero(np.diff(row, prepend=False)) for row in rows)
    return [encode_runs(starts[change], proposals.size) for change in changes]


def encode_runs(ends: Int[np.ndarray, " _"], size: tuple[int, int]) -> Rle:
    """Return COCO's encoding of a mask by the pixels at which its runs begin and end.

    Args:
        ends: places in column order, rising: a begin, an end, and so on.
        size: (H, W) of the mask.
    """
    counts = np.diff(ends, prepend=0, append=size[0] * size[1])
    if counts[-1] == 0:
        counts = counts[:-1]
    plain = {"size": list(size), "counts": counts.tolist()}
    found: Rle = coco.frPyObjects(plain, *size)
    return found


def run_ends(mask: Rle) -> Int[np.ndarray, " _"]:
    """Return the pixels at which the runs of an encoded mask begin and end."""
    text = mask["counts"]
    text = text.encode() if isinstance(text, str) else text
    ends = run_lengths(np.frombuffer(text, np.uint8).astype(np.int64) - 48).cumsum()
    # The last run ends the picture, unless it is one of the mask's.
    return ends if len(ends) % 2 == 0 else ends[:-1]


def run_lengths(digits: Int[np.ndarray, " _"]) -> Int[np.ndarray, " _"]:
    """Return the lengths of a mask's runs from the digits of COCO's text.

    COCO writes each length in digits of five bits, lowest first, the sixth telling that
    more follow; from the fourth on, less the length of the one before the last.
    """
    last = np.flatnonzero(digits & 32 == 0)
    first = np.append(0, last[:-1] + 1)
    place = np.arange(len(digits)) - np.repeat(first, last - first + 1)
    counts = np.add.reduceat((digits & 31) << (5 * place), first)
    counts -= np.where(digits[last] & 16, 1 << (5 * (last - first + 1)), 0)
    for chain in (counts[1::2], counts[2::2]):
        chain[:] = chain.cumsum()
    return counts


def encode(masks: Bool[Tensor, "M H W"]) -> list[Rle]:
    """Return COCO's encoding of dense masks."""
    columns = masks.cpu().numpy().view(np.uint8).transpose(1, 2, 0)
    encoded: list[Rle] = coco.encode(np.asfortranarray(columns))
    return encoded


def fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return the (H, W) of an image whose longer side becomes ``side`` pixels long."""
    ratio = side / max(size)
    return max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))


def select(proposals: Proposals, index: Int[Tensor, " M"]) -> Proposals:
    """Return some proposals, in the order of ``index``; regions stay as they are."""
    return replace(
        proposals,
        members=proposals.members[index],
        objectness=proposals.objectness[index],
    )


def flip(proposals: Proposals) -> Proposals:
    """Return the proposals of the image mirrored left to right."""
    return replace(proposals, regions=proposals.regions.flip(-1))


def region_areas(regions: Int[Tensor, "H W"]) -> Int[Tensor, " R"]:
    """Return the pixels of each region."""
    return torch.bincount(regions.flatten())


def from_masks(
    masks: Bool[Tensor, "N H W"] | Sequence[Rle],
    *,
    objectness: Float[Tensor, " N"] | None = None,
    source: str = "masks",
    ledger: Ledger = frozenset(),
) -> Proposals:
    """Return any masks as proposals; pixels that the same masks cover become a region.

    Regions are numbered by their first pixel in reading order; pixels that no mask
    covers are a region that belongs to no proposal.

    Args:
        masks: at least one, of one size; dense or in COCO's encoding.
        objectness: sorts the proposals, best first, ties as they came; without it they
            stay in order and all have 0.
        source: the part that made the masks.
        ledger: the labels consumed in making them.

    Raises:
        ValueError: if there is no mask, sizes differ, or a mask is empty (the message
            has its index).
    """
    if len(masks) == 0:
        raise ValueError("expected at least one mask, got none")
    size = _size(masks)
    device = masks.device if isinstance(masks, Tensor) else torch.device("cpu")
    bits = _pack(_checked(masks), len(masks), size[0] * size[1])
    group, distinct = _distinct(bits)
    proposals = Proposals(
        regions=torch.from_numpy(group.reshape(size)).to(device),
        members=_members(distinct, len(masks)).to(device),
        objectness=torch.zeros(len(masks), device=device),
        source=source,
        ledger=ledger,
    )
    if objectness is not None:
        proposals = replace(proposals, objectness=objectness.to(device))
        order = proposals.objectness.argsort(descending=True, stable=True)
        proposals = select(proposals, order)
    return proposals


def empty(
    size: tuple[int, int], *, source: str = "none", ledger: Ledger = frozenset()
) -> Proposals:
    """Return no proposals of an image of ``size`` (H, W), which is one region."""
    return Proposals(
        regions=torch.zeros(size, dtype=torch.long),
        members=torch.zeros(0, 1, dtype=torch.bool),
        objectness=torch.zeros(0),
        source=source,
        ledger=ledger,
    )


def compact(proposals: Proposals) -> Proposals:
    """Return the same masks on the fewest regions, numbered as ``from_masks`` does."""
    regions = proposals.regions.cpu().numpy()
    first = np.full(proposals.members.shape[1], regions.size)
    # Backwards, so that of a region's pixels the first one's number stays.
    first[regions.ravel()[::-1]] = np.arange(regions.size)[::-1]
    present = first.argsort(kind="stable")[: (first < regions.size).sum()]
    columns = proposals.members.cpu().numpy()[:, present]
    group, distinct = _distinct(_pack(columns, *columns.shape))
    renumbered = np.zeros(proposals.members.shape[1], dtype=np.int64)
    renumbered[present] = group
    device = proposals.members.device
    return replace(
        proposals,
        regions=torch.from_numpy(renumbered[regions]).to(device),
        members=_members(distinct, len(proposals)).to(device),
    )


def together(first: Proposals, second: Proposals) -> Proposals:
    """Return the proposals of two sources of one image as one set, best first.

    Ties: those of ``first`` first. Source and order of preference are of ``first``, so
    both need objectness of one scale.

    Raises:
        ValueError: if they are of images of different sizes.
    """
    if first.size != second.size:
        raise ValueError(
            f"expected proposals of one image, got sizes {first.size} and {second.size}"
        )
    number = second.members.shape[1]
    key, regions = torch.unique(
        first.regions.long() * number + second.regions.long(), return_inverse=True
    )
    members = torch.cat(
        [first.members[:, key // number], second.members[:, key % number]]
    )
    objectness = torch.cat([first.objectness, second.objectness])
    order = objectness.argsort(descending=True, stable=True)
    return Proposals(
        regions=regions,
        members=members[order],
        objectness=objectness[order],
        source=first.source,
        ledger=first.ledger | second.ledger,
    )


def _size(masks: Bool[Tensor, "N H W"] | Sequence[Rle]) -> tuple[int, int]:
    if isinstance(masks, Tensor):
        return masks.shape[1], masks.shape[2]
    sizes = {(int(mask["size"][0]), int(mask["size"][1])) for mask in masks}
    if len(sizes) > 1:
        raise ValueError(f"expected masks of one size, got {sorted(sizes)}")
    return sizes.pop()


def _rows(members: Bool[Tensor, "N R"]) -> Iterator[Bool[Tensor, "_ R"]]:
    step = max(1, _ENTRIES // max(1, members.shape[1]))
    return iter(members.split(step))


def _checked(
    masks: Bool[Tensor, "N H W"] | Sequence[Rle],
) -> Iterator[Bool[np.ndarray, " P"]]:
    """Yield each mask in reading order; refuse empty ones."""
    for start in range(0, len(masks), _TOGETHER):
        for i, mask in enumerate(to_dense(masks[start : start + _TOGETHER]), start):
            pixels = mask.flatten().cpu().numpy()
            if not pixels.any():
                raise ValueError(f"expected masks with pixels, mask {i} has none")
            yield pixels


def _pack(
    rows: Iterable[Bool[np.ndarray, " K"]], count: int, length: int
) -> UInt64[np.ndarray, "words K"]:
    """Return one bit a row: those of column k tell which rows have k."""
    octets = np.zeros((-(-count // 64), 8, length), dtype=np.uint8)
    for i, row in enumerate(rows):
        octets[i // 64, i % 64 // 8] |= row.view(np.uint8) << i % 8
    return np.ascontiguousarray(octets.transpose(0, 2, 1)).view(np.uint64)[..., 0]


def _members(bits: UInt64[np.ndarray, "words R"], count: int) -> Bool[Tensor, "N R"]:
    """Return the membership matrix that was packed into ``bits``."""
    octets = np.ascontiguousarray(bits.T).view(np.uint8)
    rows = np.unpackbits(octets, axis=1, count=count, bitorder="little")
    return torch.from_numpy(rows.view(bool)).T.contiguous()


def _distinct(
    bits: UInt64[np.ndarray, "words K"],
) -> tuple[Int[np.ndarray, " K"], UInt64[np.ndarray, "words R"]]:
    """Return each column's number among the distinct ones, and these, as they come."""
    key = np.zeros(bits.shape[1], dtype=np.uint64)
    for word in bits:
        # Unsigned products wrap around; the shift brings their high bits down again.
        key = (key ^ word) * _ODD
        key ^= key >> 32
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    if not all(np.array_equal(word[first][group], word) for word in bits):
        # Different columns met in the hash; comparing them whole is slow, and exact.
        _, first, group = np.unique(
            bits, axis=1, return_index=True, return_inverse=True
        )
    order = first.argsort()
    return order.argsort()[group], bits[:, first[order]]
