"""A source: it makes mask proposals from pixels."""

from dataclasses import dataclass

import torch

from wsis.contracts import Image, Ledger, Proposals
from wsis.geometry import from_masks


@dataclass(frozen=True, kw_only=True)
class NewPart:
    """Proposes the cells of grids, from the whole image to cells of a small side.

    Args:
        finest: cells along a side in the finest grid, at least 1.

    Raises:
        ValueError: if ``finest`` is less than 1.
    """

    finest: int = 8

    def __post_init__(self) -> None:
        if self.finest < 1:
            raise ValueError(f"finest must be at least 1, got {self.finest}")

    @property
    def ledger(self) -> Ledger:
        """No labels consumed."""
        return frozenset()

    def __call__(self, image: Image) -> Proposals:
        """Return one proposal a cell, the largest first."""
        height, width = image.shape[:2]
        masks, cells = [], 1
        while cells <= min(self.finest, height, width):
            row = torch.arange(height) * cells // height
            column = torch.arange(width) * cells // width
            number = row[:, None] * cells + column
            masks += [number == i for i in range(cells * cells)]
            cells *= 2
        order = torch.linspace(1, 0, len(masks))
        return from_masks(torch.stack(masks), objectness=order, source="new_part")
