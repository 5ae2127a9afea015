"""Labels from peaks and proposals: what the proposals that cover a peak agree on."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wsis._support.checks import inside
from wsis.contracts import Overlaps, Points, Proposals, TaggedImage
from wsis.cues.classifier import Classifier, PeakCues
from wsis.cues.labels import clusters, iou_with_regions


def agreed(
    points: Points, proposals: Proposals, agreement: float = 0.7
) -> Bool[Tensor, "P R"]:
    """Mark regions inside more than ``agreement`` of the proposals that cover a point.

    None where no proposal covers the point.

    Raises:
        ValueError: if a point lies outside the image.
    """
    height, width = proposals.size
    column, row = points.xy.floor().long().unbind(1)
    outside = (column < 0) | (column >= width) | (row < 0) | (row >= height)
    if outside.any():
        wrong = points.xy[outside][0].tolist()
        raise ValueError(
            f"expected points inside the photo of {width} × {height} pixels, got "
            f"{wrong}"
        )
    covers = proposals.members[:, proposals.regions[row, column].long()].T  # (P, N)
    count = covers.sum(1, keepdim=True)
    inside = covers.double() @ proposals.members.double()
    return (inside > agreement * count) & (count > 0)


def agpl(
    points: Points,
    proposals: Proposals,
    classes: int,
    *,
    agreement: float = 0.7,
    near: float = 0.5,
) -> Int[Tensor, "N C1"]:
    """Return clusters of what proposals over each point agree on; later points win.

    CIM's label generation from peaks (AGPL; Li et al., https://arxiv.org/abs/2402.07633,
    and its reference code, 48b4548): the proposals that cover a point are averaged, the
    average is thresholded to a mask, and ``clusters`` does the rest.

    Args:
        points: in ascending order of trust.
        proposals: of the image.
        classes: C.
        agreement: the average's threshold, in [0, 1).
        near: a proposal with a higher IoU with the mask joins its cluster.

    Returns:
        Without a point all proposals in the background's cluster, number 1.
    """
    if not len(points):
        labels = torch.zeros(len(proposals), classes + 1, dtype=torch.long)
        labels[:, 0] = 1
        return labels
    masks = agreed(points, proposals, agreement)
    return clusters(iou_with_regions(proposals, masks), points.label, classes, near)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgplCues(PeakCues):
    """Learns a tag classifier by peak stimulation; labels what its peaks lie on.

    Peaks as in PRM (https://arxiv.org/abs/1804.00880), labels as in CIM
    (https://arxiv.org/abs/2402.07633); only classes that are tagged have peaks.

    Args:
        threshold: of a peak's response, the classifier's logit there. Reference code:
            10, of its own classifier.
        agreement: share of the proposals over a peak that agree on a pixel, in (0, 1).
        near: IoU that joins a cluster, in (0, 1).
        decay: L2 penalty of the classifier; at least 0.
        epochs: of peak stimulation; 0 keeps the classifier of averaged features.
        lr: of peak stimulation.
    """

    version = 1

    agreement: float = 0.7

    def __post_init__(self) -> None:
        PeakCues.__post_init__(self)
        inside("agreement", self.agreement)

    def labeller(self, classifier: Classifier) -> "AgplLabeller":
        """Return what gathers proposals around the classifier's peaks."""
        return AgplLabeller(self, classifier)


@dataclass(frozen=True, slots=True, eq=False)
class AgplLabeller:
    """A trained tag classifier whose peaks gather proposals.

    Args:
        cues: the settings.
        classifier: gives the response maps.
    """

    cues: AgplCues
    classifier: Classifier

    def peaks(
        self, image: TaggedImage, map: Float[Tensor, "D _ _"], size: tuple[int, int]
    ) -> Points:
        """Return the peaks of tagged classes, ascending."""
        return self.classifier.peaks(image, map, size, self.cues.threshold)

    def __call__(
        self,
        image: TaggedImage,
        map: Float[Tensor, "D _ _"],
        proposals: Proposals,
        overlaps: Overlaps,
    ) -> Int[Tensor, "N C1"]:
        """Return one cluster a peak, numbered from 1 in ascending order of response."""
        del overlaps
        return agpl(
            self.peaks(image, map, proposals.size),
            proposals,
            len(image.tags),
            agreement=self.cues.agreement,
            near=self.cues.near,
        )
