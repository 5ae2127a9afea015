"""The scales at which images are shown to a backbone; importable without torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Resize = Literal["longer", "shorter"]
"""The side of an image that a scale gives the length of."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The size and orientation in which the backbone sees an image.

    Args:
        side: length of a side in pixels, rounded to the backbone's stride.
        flip: mirrored left to right.
        resize: the side that has that length.
        limit: most pixels of the longer side; 0 sets no limit.
    """

    side: int
    flip: bool = False
    resize: Resize = "longer"
    limit: int = 0

    def __post_init__(self) -> None:
        if self.side < 32:
            raise ValueError(f"side must be at least 32 pixels, got {self.side}")
        if self.limit and self.limit < self.side:
            raise ValueError(
                f"limit must be 0 or at least side, got {self.limit} and {self.side}"
            )

    @property
    def name(self) -> str:
        """The scale in a few characters, for file names."""
        short = "" if self.resize == "longer" else "-shorter"
        limit = f"-{self.limit}" if self.limit else ""
        return f"{self.side}{short}{limit}{'-flip' if self.flip else ''}"

    def ratio(self, height: int, width: int) -> float:
        """Return the factor by which an image of this size grows."""
        longer, shorter = max(height, width), min(height, width)
        ratio = self.side / (longer if self.resize == "longer" else shorter)
        return min(ratio, self.limit / longer) if self.limit else ratio


def scales(
    sides: Sequence[int], *, flips: bool, resize: Resize = "longer", limit: int = 0
) -> list[Scale]:
    """Return a scale for every side, and a mirrored one when ``flips``."""
    return [
        Scale(side, flip, resize, limit)
        for side in sides
        for flip in ((False, True) if flips else (False,))
    ]
