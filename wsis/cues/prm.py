"""Peak response maps as cues: the proposal that holds what a peak was caused by."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from wsis._support.checks import at_least
from wsis.contracts import Overlaps, Points, Proposals, TaggedImage, Trace
from wsis.cues.classifier import Classifier, PeakCues
from wsis.cues.labels import clusters


@dataclass(frozen=True, slots=True, kw_only=True)
class PrmCues(PeakCues):
    """Learns a tag classifier by peak stimulation and traces its peaks to the pixels.

    Zhou et al., "Weakly Supervised Instance Segmentation using Class Peak Response",
    https://arxiv.org/abs/1804.00880. On frozen features the classifier is one linear
    layer; a peak is one cell of its map, so it is traced through the backbone to the
    pixels, one backward pass a peak. The proposal of highest score is trusted: the
    share of the peak response map inside it, less ``penalty`` times the share of the
    background (where the class's response is below its mean) inside it.

    Paper: a further term for the proposal's contour. Ours: none, as proposals here
    follow contours already. Paper: these proposals are the result. Ours: they gather
    clusters, as AGPL's masks do in CIM.

    Args:
        threshold: of a peak's response, the classifier's logit there.
        most: peaks of a photo to trace at most, those of the highest response;
            where somebody counted a class's objects, all of its peaks.
        penalty: of background inside; at least 0. Chosen on 30 training photos
            (benchmarks/cues.md).
        near: IoU that joins a cluster, in (0, 1).
        decay: L2 penalty of the classifier; at least 0.
        epochs: of peak stimulation; 0 keeps the classifier of averaged features.
        lr: of peak stimulation.
    """

    version = 1

    most: int = 6
    penalty: float = 4.0

    def __post_init__(self) -> None:
        PeakCues.__post_init__(self)
        at_least("most", self.most, 1)
        at_least("penalty", self.penalty, 0)

    def labeller(self, classifier: Classifier) -> "PrmLabeller":
        """Return what traces the classifier's peaks, once it has a way to do so."""
        return PrmLabeller(self, classifier)


@dataclass(frozen=True, slots=True, eq=False)
class PrmLabeller:
    """A trained tag classifier whose peaks are traced back to the pixels.

    Args:
        cues: the settings.
        classifier: gives the response maps.
        trace: the way through the backbone.
    """

    cues: PrmCues
    classifier: Classifier
    trace: Trace | None = None

    def through(self, trace: Trace) -> "PrmLabeller":
        """Return the same with a way through the backbone."""
        return PrmLabeller(self.cues, self.classifier, trace)

    def peaks(
        self, image: TaggedImage, map: Float[Tensor, "D _ _"], size: tuple[int, int]
    ) -> Points:
        """Return the highest peaks of tagged classes, ascending."""
        points = self.classifier.peaks(image, map, size, self.cues.threshold)
        kept = torch.arange(len(points)) >= len(points) - self.cues.most
        if image.counts is not None:
            kept |= image.counts[points.label - 1] > 0
        return Points(xy=points.xy[kept], label=points.label[kept])

    def __call__(
        self,
        image: TaggedImage,
        map: Float[Tensor, "D _ _"],
        proposals: Proposals,
        overlaps: Overlaps,
    ) -> Int[Tensor, "N C1"]:
        """Return one cluster a peak, numbered from 1 in ascending order of response.

        Raises:
            ValueError: if there is no way through a backbone.
        """
        if self.trace is None:
            raise ValueError("expected a way through the backbone, call through first")
        if not len(proposals):
            return torch.zeros(0, len(image.tags) + 1, dtype=torch.long)
        points = self.peaks(image, map, proposals.size)
        label = points.label
        if len(points):
            traced = self.trace(image, self._gradients(map, points, proposals.size))
            responses = self.classifier.responses(map)[label - 1]
            best = self._scores(traced, responses, proposals).argmax(1)
        else:
            best = torch.zeros(0, dtype=torch.long)
        return clusters(overlaps.iou[best], label, len(image.tags), self.cues.near)

    def _gradients(
        self, map: Float[Tensor, "D h w"], points: Points, size: tuple[int, int]
    ) -> Float[Tensor, "P D h w"]:
        """Return each peak's chances in its cell of the map, by the linear layer."""
        height, width = map.shape[1:]
        column = (points.xy[:, 0] * width / size[1]).long()
        row = (points.xy[:, 1] * height / size[0]).long()
        weight = self.classifier.weight[points.label - 1].clamp_min(0)
        gradients = map.new_zeros(len(points), *map.shape)
        for one, w, y, x in zip(gradients, weight, row, column, strict=True):
            one[:, y, x] = w * (map[:, y, x] - map.min())
        return gradients

    def _scores(
        self,
        traced: Float[Tensor, "P _ _"],
        responses: Float[Tensor, "P h w"],
        proposals: Proposals,
    ) -> Float[Tensor, "P N"]:
        """Score how well each proposal holds each peak's map without background."""
        low = (responses < responses.mean((1, 2), keepdim=True)).float()
        inside, outside = _shares(traced, proposals), _shares(low, proposals)
        return inside - self.cues.penalty * outside


def _shares(
    weights: Float[Tensor, "P _ _"], proposals: Proposals
) -> Float[Tensor, "P N"]:
    """Return the share of each map's sum that lies inside each proposal."""
    fine = functional.interpolate(weights[None], size=proposals.size, mode="bilinear")
    regions, count = proposals.regions.flatten().long(), proposals.members.shape[1]
    sums = torch.zeros(len(weights), count, dtype=torch.double)
    sums.index_add_(1, regions, fine[0].flatten(1).double())
    shared = sums @ proposals.members.double().T
    return shared / sums.sum(1, keepdim=True).clamp_min(1e-12)
