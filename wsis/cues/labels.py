"""Clusters of proposals around trusted masks, as the cluster loss reads them."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wsis.contracts import Proposals
from wsis.geometry.masks import region_areas
from wsis.geometry.overlap import iou


def clusters(
    iou: Float[Tensor, "K N"], label: Int[Tensor, " K"], classes: int, near: float = 0.5
) -> Int[Tensor, "N C1"]:
    """Return one cluster a trusted mask, numbered from 1, then the background's.

    CIM's pre-computed labels (Li et al., https://arxiv.org/abs/2402.07633): proposals
    near a mask join its cluster and class, a later mask taking what an earlier one had;
    those that some mask meets and none is near to are background. The rest stays zero.

    Args:
        iou: of every proposal with every mask.
        label: class of each mask, 1…C.
        classes: C.
        near: a higher IoU joins the cluster.
    """
    labels = torch.zeros(iou.shape[1], classes + 1, dtype=torch.long, device=iou.device)
    for number, (row, column) in enumerate(zip(iou, label.tolist(), strict=True), 1):
        members = row > near
        labels[members] = 0
        labels[members, column] = number
    free = (iou > 0).any(0) & (labels == 0).all(1)
    labels[free, 0] = len(iou) + 1
    return labels


def iou_with_regions(
    proposals: Proposals, covered: Bool[Tensor, "K R"]
) -> Float[Tensor, "K N"]:
    """IoU of every proposal with masks made of the proposals' own regions."""
    area = region_areas(proposals.regions).double()
    return _iou(proposals, covered * area)


def iou_with_pixels(
    proposals: Proposals, masks: Bool[Tensor, "K H W"]
) -> Float[Tensor, "K N"]:
    """IoU of every proposal with masks of the image's size; 0 with an empty mask."""
    count = proposals.members.shape[1]
    regions = proposals.regions.flatten().long()
    inside = torch.zeros(len(masks), count, dtype=torch.double)
    for row, mask in zip(inside, masks, strict=True):
        row += torch.bincount(regions[mask.flatten()], minlength=count)
    return _iou(proposals, inside)


def _iou(proposals: Proposals, inside: Float[Tensor, "K R"]) -> Float[Tensor, "K N"]:
    """IoU from the pixels that masks have in each region."""
    members = proposals.members.double()
    area = members @ region_areas(proposals.regions).double()
    return iou(inside @ members.T, inside.sum(1), area)
