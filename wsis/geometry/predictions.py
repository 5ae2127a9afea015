"""The instances found on one image, as inference returns them."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image as Pillow
from pycocotools import mask as coco
from torch import Tensor

from wsis._support.checks import fraction
from wsis.contracts import Image, Ledger, Rle
from wsis.geometry.frame import Size, frame, sampled_mask

if TYPE_CHECKING:
    import supervision

_DENSE = 256
"""Most MiB of dense masks for a supervision that knows no others."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Predictions:
    """The instances found on one image, best first.

    Args:
        image_id: the image's number.
        size: (H, W) in pixels.
        index: the proposal that each instance is, or was before others voted on its
            regions; −1 where it is none.
        label: its class, 1…C.
        score: higher is better.
        boxes: of the masks, xyxy.
        masks: the instances' pixels.
        agreement: the share of branches whose best proposal of the same class overlaps
            the instance by an IoU of 0.5; None where there are no branches.
        ledger: the labels consumed in finding them.
        classes: names of labels 1…C, where they are known.
        load: reads the photo, or the frame of a large one, for pictures; None where it
            is not known.
    """

    image_id: int
    size: tuple[int, int]
    index: Int[Tensor, " M"]
    label: Int[Tensor, " M"]
    score: Float[Tensor, " M"]
    boxes: Float[Tensor, "M 4"]
    masks: Sequence[Rle]
    agreement: Float[Tensor, " M"] | None = None
    ledger: Ledger = frozenset()
    classes: tuple[str, ...] = ()
    load: Callable[[], Image] | None = None

    @classmethod
    def of_masks(
        cls,
        image_id: int,
        size: tuple[int, int],
        masks: Sequence[Rle],
        label: Int[Tensor, " M"],
        score: Float[Tensor, " M"],
        index: Int[Tensor, " M"] | None = None,
        ledger: Ledger = frozenset(),
    ) -> "Predictions":
        """Return the instances of masks alone: boxes are theirs, proposals unknown."""
        return cls(
            image_id=image_id,
            size=size,
            index=torch.full((len(masks),), -1) if index is None else index,
            label=label,
            score=score,
            boxes=torch.from_numpy(_boxes(masks)),
            masks=masks,
            ledger=ledger,
        )

    def __len__(self) -> int:
        return len(self.score)

    def __repr__(self) -> str:
        height, width = self.size
        found = ", ".join(self.captions()[:3]) + (", …" if len(self) > 3 else "")
        return f"Predictions({len(self)} on {width} x {height} pixels: {found})"

    def chosen(self, which: Tensor) -> "Predictions":
        """Return some of them: a mask, or places in their order."""
        places = torch.arange(len(self))[which.cpu()]
        agreement = None if self.agreement is None else self.agreement[places]
        return replace(
            self,
            index=self.index[places],
            label=self.label[places],
            score=self.score[places],
            boxes=self.boxes[places],
            masks=[self.masks[i] for i in places.tolist()],
            agreement=agreement,
        )

    def filter(
        self, *, min_score: float = 0.0, classes: Iterable[str | int] | None = None
    ) -> "Predictions":
        """Return those with a score of at least ``min_score``, of some classes.

        Args:
            min_score: lowest score that stays.
            classes: names, or labels 1…C; None takes all.

        Raises:
            ValueError: if a class is unknown, or ``min_score`` outside [0, 1].
        """
        fraction("min_score", min_score, zero=True)
        keep = self.score >= min_score
        if classes is not None:
            some = [classes] if isinstance(classes, str) else classes
            labels = torch.tensor([self._label(one) for one in some])
            keep &= torch.isin(self.label, labels)
        return self.chosen(keep)

    def at_most(self, counts: Mapping[str, int]) -> "Predictions":
        """Return as many instances of each class as were counted, the best.

        Args:
            counts: of objects by name of class; 0 leaves all, as no name does.

        Raises:
            ValueError: if a class is unknown, or a count is no whole number from 0 on.
        """
        if wrong := [
            f"{name} {n!r}"
            for name, n in counts.items()
            if not isinstance(n, Integral) or isinstance(n, bool) or n < 0
        ]:
            raise ValueError(
                f"expected whole counts of at least 0, got {', '.join(wrong)}"
            )
        keep = torch.ones(len(self), dtype=torch.bool)
        order = self.score.argsort(descending=True, stable=True)
        for name, count in counts.items():
            if count:
                own = order[self.label[order] == self._label(name)]
                keep[own[count:]] = False
        return self.chosen(keep)

    def exclusive(self) -> "Predictions":
        """Return the instances without the pixels of better ones.

        Those that have no pixel left are left out.
        """
        order = self.score.argsort(descending=True, stable=True).tolist()
        free = np.ones(self.size, dtype=bool)
        masks, kept = list(self.masks), []
        for i in order:
            mask = coco.decode(masks[i]).astype(bool)
            left = mask & free
            free &= ~mask
            if left.any():
                kept.append(i)
            if (left != mask).any():
                masks[i] = coco.encode(np.asfortranarray(left, np.uint8))
        some = torch.tensor(sorted(kept), dtype=torch.long)
        return self._with(masks, self.size).chosen(some)

    def enlarged(self, size: Size) -> "Predictions":
        """Return the instances found in the frame of a photo at the photo's (H, W).

        Each pixel of a mask takes the value of the frame's pixel under its centre.
        """
        if size == self.size:
            return self
        return self._with([sampled_mask(one, size) for one in self.masks], size)

    def framed(self) -> "Predictions":
        """Return the instances in the frame of a large photo, by the same rule.

        Those that have no pixel there are left out.
        """
        found = self.enlarged(frame(self.size))
        if found is self:
            return self
        return found.chosen((found.boxes[:, 2:] > found.boxes[:, :2]).all(1))

    def _with(self, masks: Sequence[Rle], size: Size) -> "Predictions":
        boxes = self.boxes.new_tensor(_boxes(masks)).reshape(-1, 4)
        return replace(self, size=size, masks=masks, boxes=boxes)

    def captions(self) -> list[str]:
        """Return ``class score`` of each; the label where names are not known."""
        labels, scores = self.label.tolist(), self.score.tolist()
        names = [self.classes[n - 1] if self.classes else str(n) for n in labels]
        return [f"{name} {s:.2f}" for name, s in zip(names, scores, strict=True)]

    def draw(self, *, side: int | None = None) -> UInt8[np.ndarray, "h w 3"]:
        """Return the photo with its likeliest instances tinted and captioned.

        Args:
            side: longer side of the picture in pixels; None keeps the photo's, or its
                frame's if it is large.

        Raises:
            ValueError: if the photo is not known.
        """
        from wsis.geometry.drawing import legible, overlay

        if self.load is None:
            raise ValueError(
                "expected predictions that know their photo, as Run.predict returns "
                "them; draw these with wsis.geometry.overlay(photo, masks)"
            )
        count = legible(self)
        captions = self.captions()[:count]
        return overlay(self.load(), self.masks[:count], captions, side=side)

    def _repr_png_(self) -> bytes | None:
        """Show the photo and its instances in a notebook."""
        if self.load is None:
            return None
        picture = io.BytesIO()
        Pillow.fromarray(self.draw(side=800)).save(picture, "PNG")
        return picture.getvalue()

    def to_coco(
        self, category_ids: Sequence[int] | None = None
    ) -> list[dict[str, Any]]:
        """Return COCO's list of results, ready for JSON, best first.

        Each has ``image_id``, ``category_id``, ``segmentation`` (run lengths as text)
        and ``score``. Without a box on purpose: given one, pycocotools takes
        the box's area for the mask's.

        Args:
            category_ids: the category of labels 1…C, in this order; labels by default.

        Raises:
            ValueError: if a label has no category.
        """
        highest = int(self.label.max()) if len(self) else 0
        numbers = category_ids or range(1, 1 + (len(self.classes) or highest))
        results = []
        for label, score, mask in zip(
            self.label.tolist(), self.score.tolist(), self.masks, strict=True
        ):
            if not 1 <= label <= len(numbers):
                raise ValueError(
                    f"image {self.image_id}: expected labels in 1…{len(numbers)}, got "
                    f"{label}"
                )
            counts = mask["counts"]
            text = counts.decode("ascii") if isinstance(counts, bytes) else counts
            results.append(
                {
                    "image_id": self.image_id,
                    "category_id": int(numbers[label - 1]),
                    "segmentation": {"size": list(mask["size"]), "counts": text},
                    "score": score,
                }
            )
        return results

    def to_supervision(self) -> "supervision.Detections":
        """Return the instances as ``supervision.Detections``, labels as class ids.

        Masks are its ``CompactMask``, which takes the memory of run lengths.

        Raises:
            ImportError: if supervision is not installed, or so old that masks would
                fill memory; says how to get it.
        """
        try:
            import supervision
        except ImportError as error:
            raise ImportError(
                f"supervision cannot be imported ({error}); pip install supervision"
            ) from error
        names = [self.classes[i - 1] for i in self.label.tolist() if self.classes]
        return supervision.Detections(
            xyxy=self.boxes.numpy(),
            mask=self._mask_of(supervision) if len(self) else None,
            confidence=self.score.numpy(),
            class_id=self.label.numpy(),
            data={"class_name": np.array(names)} if names else {},
        )

    def _mask_of(self, supervision: Any) -> Any:
        """Return the masks as supervision keeps them."""
        if hasattr(supervision, "CompactMask"):
            inside = _boxes(self.masks)
            inside[:, 2:] -= 1  # its boxes hold their last row and column
            plain = [dict(mask) for mask in self.masks]
            return supervision.CompactMask.from_coco_rle(plain, inside, self.size)
        from wsis.geometry.masks import to_dense

        megabytes = len(self) * self.size[0] * self.size[1] / 2**20
        if megabytes > _DENSE:
            raise ImportError(
                f"supervision {supervision.__version__} has no CompactMask, and dense "
                f"masks would take {megabytes:.0f} MiB; pip install -U supervision, or "
                "filter the predictions first"
            )
        return to_dense(self.masks).numpy()

    def _label(self, one: str | int) -> int:
        names = list(self.classes)
        if isinstance(one, int) and one >= 1 and (not names or one <= len(names)):
            return one
        if one in names:
            return 1 + names.index(str(one))
        raise ValueError(
            f"expected classes among {', '.join(names) or 'labels 1…C'}, got {one!r}"
        )


def _boxes(masks: Sequence[Rle]) -> Float[np.ndarray, "M 4"]:
    """Return the xyxy boxes of masks."""
    boxes = np.asarray(coco.toBbox(list(masks)), np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes
