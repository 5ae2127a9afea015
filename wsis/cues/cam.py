"""Class activation maps as cues: the proposal that fits the map of each tag best."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from wsis._support.checks import at_least, fraction, inside
from wsis.contracts import (
    CueLabeller,
    Ledger,
    Overlaps,
    Proposals,
    Supervision,
    TaggedImage,
)
from wsis.cues._peaks import basins
from wsis.cues.classifier import Classifier, fit_averages
from wsis.cues.labels import clusters, iou_with_pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class CamCues:
    """Learns a linear tag classifier on averaged features and maps its evidence.

    Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016,
    section 2. Per present class the proposal with the highest IoU with the thresholded
    map is trusted: it and what overlaps it become a cluster, the rest around it
    background, in the layout of CIM's pre-computed labels (arXiv 2402.07633).

    A map merges neighbours of one class. With ``prominence`` below 1 it is split where
    it dips between peaks, and each part gets a proposal of its own: more of several
    objects are found, and some single ones fall apart (benchmarks/cues.md). Where
    somebody counted the objects of a class, its map is split at the deepest dips into
    as many parts, and so many proposals are trusted at most.

    Args:
        threshold: of the map, relative to its maximum, in (0, 1).
        prominence: depth of the dip between two peaks from which the map is split,
            relative to its maximum, in (0, 1]; 1 leaves it whole.
        apart: of two parts' proposals with at least this IoU only the better fitting
            one is taken, in (0, 1].
        near: proposals with a higher IoU with the trusted one join its cluster; others
            that overlap it are background; in (0, 1).
        decay: L2 penalty of the classifier; at least 0.
        steps: L-BFGS iterations of its training.
    """

    version = 1

    threshold: float = 0.3
    prominence: float = 1.0
    apart: float = 0.5
    near: float = 0.5
    decay: float = 1e-3
    steps: int = 100

    def __post_init__(self) -> None:
        inside("threshold", self.threshold)
        inside("near", self.near)
        fraction("prominence", self.prominence)
        fraction("apart", self.apart)
        at_least("decay", self.decay, 0)
        at_least("steps", self.steps, 1)

    @property
    def ledger(self) -> Ledger:
        """The tags it learns from."""
        return frozenset({Supervision.TAGS})

    def fit(
        self,
        maps: Iterable[Float[Tensor, "D _ _"]],
        tags: Bool[Tensor, "B C"],
        generator: torch.Generator,
    ) -> CueLabeller:
        """Train the classifier; deterministic, so the generator is not used."""
        del generator
        found = fit_averages(maps, tags, decay=self.decay, steps=self.steps)
        return CamLabeller(self, found)


@dataclass(frozen=True, slots=True, eq=False)
class CamLabeller:
    """A trained tag classifier that labels proposals.

    Args:
        cues: the settings.
        classifier: gives the activation maps; the mean of one is the class's tag logit.
    """

    cues: CamCues
    classifier: Classifier

    def __call__(
        self,
        image: TaggedImage,
        map: Float[Tensor, "D _ _"],
        proposals: Proposals,
        overlaps: Overlaps,
    ) -> Int[Tensor, "N C1"]:
        """Return one cluster a part of a map, numbered from 1, then the background's.

        Classes come in order, the worst fitting part of a class first; where two claim
        a proposal, the later one has it.
        """
        if not len(proposals):
            return torch.zeros(0, len(image.tags) + 1, dtype=torch.long)
        responses = self.classifier.responses(map)
        trusted: list[int] = []
        label: list[int] = []
        for c in image.tags.nonzero().flatten().tolist():
            count = 0 if image.counts is None else int(image.counts[c])
            found = self._trusted(responses[c], proposals, overlaps, count)
            trusted += found
            label += [c + 1] * len(found)
        return clusters(
            overlaps.iou[trusted], torch.tensor(label), len(image.tags), self.cues.near
        )

    def _trusted(
        self,
        response: Float[Tensor, "h w"],
        proposals: Proposals,
        overlaps: Overlaps,
        count: int,
    ) -> list[int]:
        """Return the proposals that fit a class's map or its parts, the best last."""
        fit, best = iou_with_pixels(
            proposals, self._parts(response, proposals.size, count)
        ).max(1)
        kept: list[int] = []
        for i in best[fit.argsort(descending=True, stable=True)].tolist():
            if not kept or float(overlaps.iou[i, kept].max()) < self.cues.apart:
                kept.append(i)
        return kept[: count or None][::-1]

    def _parts(
        self, response: Float[Tensor, "h w"], size: tuple[int, int], count: int
    ) -> Bool[Tensor, "K H W"]:
        """Return what is lit, split at deep dips, in the image's pixels.

        A ``count`` (0: nobody counted) decides how deep: as deep as leaves so many.
        """
        settings = self.cues
        fine = _enlarged(response, size)
        lit = fine > settings.threshold * fine.max().clamp_min(1e-6)
        depths = _DEPTHS if count > 1 else (settings.prominence,)
        if count == 1 or depths == (1,):
            return lit[None]
        height, width = response.shape
        some = _enlarged(response, (_UPSAMPLE * height, _UPSAMPLE * width))
        top = float(some.max().clamp_min(1e-6))
        for depth in depths:
            part = basins(some, settings.threshold * top, depth * top)
            if int(part.max()) >= count:
                break
        if not part.any():
            return lit[None]
        numbers = functional.interpolate(part[None, None].double(), size)[0, 0]
        return (numbers == torch.arange(1, int(part.max()) + 1)[:, None, None]) & lit


_DEPTHS: tuple[float, ...] = 0.5, 0.3, 0.2, 0.1, 0.05, 0.02
"""Depths of dips at which maps of several objects are split, deepest first."""

_UPSAMPLE = 4
"""Enlarges maps before they are split, for smooth borders."""


def _enlarged(
    response: Float[Tensor, "h w"], size: tuple[int, int]
) -> Float[Tensor, "H W"]:
    fine = functional.interpolate(response[None, None], size=size, mode="bilinear")
    return fine[0, 0]
