"""Contours from colours: how likely each pixel lies on an object's contour."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import ndimage
from skimage.color import rgb2lab

from wsis import plugins
from wsis._support.checks import positive
from wsis.contracts import Contours, Image, Ledger

_STRONGEST = 50.0
"""Just noticeable differences a pixel that count as a certain contour: the unit of the
weights in grouping.py, chosen with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabContours:
    """The colour gradient in CIE Lab: no learning, no labels.

    Args:
        sigma: of the Gaussian whose derivatives are taken, in pixels; positive.

    Raises:
        ValueError: if ``sigma`` is not positive.
    """

    version = 1

    sigma: float = 1.5

    def __post_init__(self) -> None:
        positive("sigma", self.sigma)

    @property
    def ledger(self) -> Ledger:
        """Empty: nobody labelled anything."""
        return frozenset()

    def __call__(self, image: Image) -> Float[np.ndarray, "H W"]:
        """Return the gradient's length as a share of a certain contour's, at most 1."""
        return self.of_lab(rgb2lab(image))

    def of_lab(self, lab: Float[np.ndarray, "H W 3"]) -> Float[np.ndarray, "H W"]:
        """Return what the call does, of the image in CIE Lab."""
        return (lab_gradient(lab, self.sigma) / _STRONGEST).clip(0, 1)


def lab_gradient(
    lab: Float[np.ndarray, "H W 3"], sigma: float = 1.5
) -> Float[np.ndarray, "H W"]:
    """Return the length of the colour gradient in just noticeable differences a pixel.

    Args:
        lab: the image in CIE Lab, at the size at which contours are wanted.
        sigma: of the Gaussian whose derivatives are taken, in pixels; positive.
    """
    channels = channels_first(lab)
    slopes = [derivative(channels, axis, sigma) for axis in (0, 1)]
    return np.asarray(np.sqrt(sum(np.square(slope).sum(0) for slope in slopes)))


def channels_first(
    image: Float[np.ndarray, "H W D"],
) -> Float[np.ndarray, "D H W"]:
    """Return a copy in which each channel is in one piece, which is read faster."""
    return np.ascontiguousarray(np.moveaxis(image, -1, 0))


def derivative(
    channels: Float[np.ndarray, "D H W"], axis: int, sigma: float
) -> Float[np.ndarray, "D H W"]:
    """Return the Gaussian derivative of every channel along ``axis``, 0 or 1."""
    smooth = ndimage.gaussian_filter1d(channels, sigma, axis=2 - axis)
    slope = ndimage.gaussian_filter1d(smooth, sigma, axis=1 + axis, order=1)
    return np.asarray(slope)


def seen(
    contours: Contours, image: Image, lab: Float[np.ndarray, "H W 3"]
) -> Float[np.ndarray, "H W"]:
    """Return an image's contours; ``lab`` is the image in CIE Lab, made once."""
    return (
        contours.of_lab(lab) if isinstance(contours, LabContours) else contours(image)
    )


class Contoured:
    """A part whose results depend on contours, and consumed what these consumed."""

    __slots__ = ()

    contours: Contours | str

    @property
    def ledger(self) -> Ledger:
        """The labels that the contours consumed; none for ``lab``."""
        return self._contours().ledger

    def depends_on(self) -> dict[str, Any]:
        """Return the identity of the contours."""
        return {"contours": plugins.identity(self._contours())}

    def _contours(self) -> Contours:
        return contours_of(self.contours)


def contours_of(
    value: Contours | str, settings: Mapping[str, Any] | None = None
) -> Contours:
    """Return contours that are given by name or as an object.

    Args:
        value: a part of the kind ``contours``.
        settings: of those that are given by name.

    Raises:
        UnknownPartError: if there are none of this name.
        ValueError: if a setting is not theirs, or the object finds no contours.
    """
    if isinstance(value, str):
        found: Contours = plugins.create("contours", value, settings)
        return found
    if isinstance(value, type) or not isinstance(value, Contours):
        raise ValueError(
            "expected contours by name, or an object that keeps to "
            f"wsis.contracts.Contours, got {value!r}"
        )
    return value


def name_of(value: Contours | str) -> str:
    """Return the name of contours; of an object, that of its class."""
    return value if isinstance(value, str) else type(value).__name__
