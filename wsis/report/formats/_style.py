"""The choices that formats leave to the user."""

from dataclasses import dataclass

from wsis._support.checks import at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """The way to write masks where a format leaves a choice.

    Args:
        polygons: COCO gets polygons instead of run lengths.
        tolerance: corners that change an outline by less than so many pixels are left
            out; 0 keeps masks exact.
    """

    polygons: bool = False
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        at_least("tolerance", self.tolerance, 0)
