"""Ground truth that is made when asked for."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pycocotools import mask as rle

from wsis.contracts import GroundTruth, Rle


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


def of_objects(
    image_id: int,
    size: tuple[int, int],
    objects: Iterable[tuple[int, Rle, bool, int | float | None]],
) -> GroundTruth:
    """Return an image's truth from label, mask, ignored or not, and area of each.

    Without an area it is the mask's.
    """
    rows = list(objects)
    areas = [
        float(rle.area(mask) if area is None else area) for _, mask, _, area in rows
    ]
    return GroundTruth(
        image_id=image_id,
        size=size,
        label=torch.tensor([label for label, *_ in rows], dtype=torch.long),
        masks=[mask for _, mask, _, _ in rows],
        ignore=torch.tensor([ignore for _, _, ignore, _ in rows], dtype=torch.bool),
        area=torch.tensor(areas, dtype=torch.float32),
    )
