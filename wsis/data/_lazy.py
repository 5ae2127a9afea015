"""Ground truth that is made when asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import overload

from wsis.contracts import GroundTruth


@dataclass(frozen=True, slots=True, eq=False)
class LazyTruths(Sequence[GroundTruth]):
    """The truth of every image, made by its function at each access and not kept."""

    makers: Sequence[Callable[[], GroundTruth]]

    def __len__(self) -> int:
        return len(self.makers)

    @overload
    def __getitem__(self, index: int) -> GroundTruth: ...
    @overload
    def __getitem__(self, index: slice) -> list[GroundTruth]: ...
    def __getitem__(self, index: int | slice) -> GroundTruth | list[GroundTruth]:
        if isinstance(index, slice):
            return [make() for make in self.makers[index]]
        return self.makers[index]()
