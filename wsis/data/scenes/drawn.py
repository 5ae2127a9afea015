"""Drawn scenes with exact masks: the data set that needs no download."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image as Pillow
from pycocotools import mask as rle

from wsis._support.checks import at_least
from wsis.contracts import Annotated, GroundTruth, Image, Rle, Tagged, TaggedImage
from wsis.data._truths import LazyTruths, of_objects
from wsis.data.scenes._canvas import Layer
from wsis.data.scenes._figures import FIGURES, NEUTRALS
from wsis.data.scenes._grounds import GROUNDS, ground, near

CLASSES = tuple(FIGURES)

_VISIBLE = 0.25
"""Objects that are less visible than this are neither to be found nor missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenes:
    """Drawings of one to three figures on a cluttered ground, made from a seed.

    Every class has a telling part (a face, a shell, a cap) and a plain rest whose
    colours all classes share, so that detectors trained with tags alone fall for the
    telling part. A picture depends on the seed, its half and its number, not on how
    many there are; pixels and masks are drawn when asked for.

    Args:
        train_images: number of training pictures.
        val_images: number of validation pictures.
        seed: each seed gives other pictures; from 0.
        size: width in pixels; the height is three quarters of it.
        counts: whether the training pictures' tags come with numbers of figures.

    Raises:
        ValueError: if there are no pictures, or they are less than 64 pixels wide.
    """

    train_images: int = 120
    val_images: int = 60
    seed: int = 0
    size: int = 320
    counts: bool = False

    def __post_init__(self) -> None:
        least = {"train_images": 1, "val_images": 1, "seed": 0, "size": 64}
        for name, value in least.items():
            at_least(name, getattr(self, name), value)

    def train(self) -> Tagged:
        """Return the training pictures and their tags."""
        return self._half("train", self.train_images).tagged

    def val(self) -> Annotated:
        """Return the validation pictures and their masks."""
        return self._half("val", self.val_images)

    def train_truths(self) -> Sequence[GroundTruth]:
        """Return the training pictures' masks, for ``wsis.evaluation.trace`` alone."""
        return self._half("train", self.train_images).truths

    def _half(self, half: Literal["train", "val"], count: int) -> Annotated:
        size = self.size * 3 // 4, self.size
        scenes = [_Scene(self.seed, half, number, size) for number in range(count)]
        counts = self.counts and half == "train"
        images = [scene.tagged(counts=counts) for scene in scenes]
        return Annotated(
            tagged=Tagged(name="scenes", classes=CLASSES, images=images),
            truths=LazyTruths([scene.truth for scene in scenes]),
        )


@dataclass(frozen=True, slots=True)
class _Place:
    label: int
    centre: tuple[float, float]
    radius: float
    angle: float
    mirrored: bool


@dataclass(frozen=True, slots=True)
class _Scene:
    """One picture, not yet drawn."""

    seed: int
    half: Literal["train", "val"]
    number: int
    size: tuple[int, int]

    def places(self) -> list[_Place]:
        """Return the figures' places, from back to front; at least one."""
        generator = self._generator(0)
        height, width = self.size
        found: list[_Place] = []
        # All classes come equally often as the first, and pairs of a class are common.
        label = self.number % len(CLASSES) + 1
        for _ in range(generator.choice([1, 2, 3], p=[0.4, 0.4, 0.2])):
            radius = min(self.size) / 2 * generator.uniform(0.3, 0.6)
            for _ in range(30):
                x = generator.uniform(0.8 * radius, width - 0.8 * radius)
                y = generator.uniform(0.8 * radius, height - 0.8 * radius)
                # Closer figures would hide more of each other than they show.
                if all(
                    np.hypot(x - other.centre[0], y - other.centre[1])
                    > 0.75 * (radius + other.radius)
                    for other in found
                ):
                    angle = generator.uniform(-0.5, 0.5)
                    mirrored = bool(generator.integers(2))
                    found.append(_Place(label, (x, y), radius, angle, mirrored))
                    break
            if generator.random() < 0.65:
                label = int(generator.integers(len(CLASSES))) + 1
        return sorted(found, key=lambda place: place.centre[1])

    def draw(self) -> tuple[Image, list[Bool[np.ndarray, "H W"]], list[int]]:
        """Return the picture, each figure's visible pixels, and its size in all."""
        generator = self._generator(1)
        base = near(GROUNDS[generator.integers(len(GROUNDS))], 0.05, generator)
        picture = ground(self.size, base, generator)
        masks: list[Bool[np.ndarray, "H W"]] = []
        areas = []
        for place in self.places():
            layer = Layer.around(
                place.centre,
                self.size,
                scale=place.radius,
                angle=place.angle,
                mirrored=place.mirrored,
            )
            # The plain rest is a neutral colour that stands out from the ground.
            clear = [paint for paint in NEUTRALS if np.abs(paint - base).sum() > 0.5]
            plain = near(clear[generator.integers(len(clear))], 0.04, generator)
            FIGURES[CLASSES[place.label - 1]](layer, plain, generator)
            layer.paste(picture)
            mask = np.zeros(self.size, bool)
            mask[layer.where] = layer.cover >= 0.5
            masks = [other & ~mask for other in masks] + [mask]
            areas.append(int(mask.sum()))
        return _photograph(picture, generator), masks, areas

    def load(self) -> Image:
        return _drawn(self)[0].copy()

    def truth(self) -> GroundTruth:
        return of_objects(self.number, self.size, _drawn(self)[1])

    def tagged(self, *, counts: bool) -> TaggedImage:
        labels = torch.tensor([place.label - 1 for place in self.places()])
        figures = labels.bincount(minlength=len(CLASSES))
        return TaggedImage(
            id=self.number,
            name=f"{self.half}_{self.number:04}",
            tags=figures > 0,
            load=self.load,
            counts=figures if counts else None,
        )

    def _generator(self, stage: int) -> np.random.Generator:
        half = {"train": 0, "val": 1}[self.half]
        return np.random.default_rng([self.seed, half, self.number, stage])


# A bench asks for each picture and its masks many times; of a quarter of a megabyte.
@lru_cache(maxsize=256)
def _drawn(scene: _Scene) -> tuple[Image, list[tuple[int, Rle, bool, None]]]:
    """Return the picture, and label, mask and whether it is hidden of each figure."""
    picture, masks, areas = scene.draw()
    found: list[tuple[int, Rle, bool, None]] = []
    for place, mask, area in zip(scene.places(), masks, areas, strict=True):
        hidden = bool(mask.sum() < _VISIBLE * area)
        encoded = rle.encode(np.asfortranarray(mask, np.uint8))
        found.append((place.label, encoded, hidden, None))
    return picture, found


def _photograph(
    picture: Float[np.ndarray, "H W 3"], generator: np.random.Generator
) -> Image:
    """Return the picture with a sensor's noise, through JPEG and back."""
    grain = generator.normal(0, generator.uniform(0.01, 0.03), picture.shape)
    pixels = (np.clip(picture + grain, 0, 1) * 255).round().astype(np.uint8)
    file = io.BytesIO()
    quality = int(generator.integers(60, 93))
    Pillow.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.array(Pillow.open(file))
