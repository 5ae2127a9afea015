"""Ground truth that is made when asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wsis.contracts import GroundTruth


@dataclass(frozen=True, slots=True, eq=False)
class LazyTruths(Sequence[GroundTruth]):
    """The truth of every image, made by its function at each access and not kept."""

    makers: Sequence[Callable[[], GroundTruth]]

    def __len__(self) -> int:
        return len(self.makers)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [make() for make in self.makers[index]]
        return self.makers[index]()
