"""The losses, on probabilities; all of them are differentiable scalars.

Li et al., https://arxiv.org/abs/2402.07633, section 3, as the reference code has them
(CIM, 48b4548); ``benchmarks/parity.py`` compares them with what that code gave,
gradients included. Probabilities are clamped to [1e-6, 1 − 1e-6]. Proposals labelled −1
in ``Targets`` take no part except in the maxima over absent classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from wsis.contracts import BranchScores, Targets

# The factors and the clamp are those of the reference code (CIM, 48b4548).
FIRST_BRANCH = 3.0
"""Weight of branch 0, which learns from the anti-noise branch; the others have 1."""

INTEGRITY = 3.0
"""Weight of the integrity loss."""

CLUSTER = 12.0
"""Weight of the cluster loss."""

_EPS = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RefinementLosses:
    """The losses of one refinement branch, with their factors."""

    classification: Float[Tensor, ""]
    integrity: Float[Tensor, ""]
    bag: Float[Tensor, ""]

    @property
    def total(self) -> Float[Tensor, ""]:
        """Their sum."""
        return self.classification + self.integrity + self.bag


def refinement_losses(
    scores: BranchScores,
    targets: Targets,
    tags: Bool[Tensor, " C"],
    branch: int,
    *,
    by_cluster: bool = False,
) -> RefinementLosses:
    """Return the losses of refinement branch ``branch`` (0, 1, …), with all factors.

    Args:
        scores: of the branch; without localization the integrity loss is 0.
        targets: of the branch.
        tags: the classes present.
        branch: 0…K−1.
        by_cluster: classification by ``pcl_loss``, so that the proposals of a pseudo
            instance are judged together.
    """
    scale = FIRST_BRANCH if branch == 0 else 1.0
    cls, integrity = scores.classification, scores.localization
    return RefinementLosses(
        classification=scale * pcl_loss(cls, targets)
        if by_cluster
        else classification_loss(cls, targets, scale),
        integrity=cls.new_zeros(())
        if integrity is None
        else INTEGRITY * integrity_loss(integrity, targets, scale),
        bag=bag_loss(cls, integrity, targets, tags, scale),
    )


def background_loss(
    anti_noise: BranchScores | None, branches: Sequence[BranchScores]
) -> Float[Tensor, ""]:
    """Return the loss of a photo that shows none of the classes; not of the paper.

    It is the mean cross-entropy of all proposals as background, summed over the
    refinement branches, plus the loss of the anti-noise branch if that one learns.
    """
    found = [-_clamp(one.classification[:, 0]).log().mean() for one in branches]
    if anti_noise is not None and anti_noise.localization is not None:
        cls = anti_noise.classification
        none = cls.new_zeros(cls.shape[1] - 1, dtype=torch.bool)
        found.append(mil_loss(cls, anti_noise.localization, none))
    return torch.stack(found).sum()


def classification_loss(
    cls: Float[Tensor, "N C1"], targets: Targets, scale: float
) -> Float[Tensor, ""]:
    """Return the weighted cross-entropy, averaged over labelled proposals."""
    labelled = targets.label >= 0
    loss = -_own(_clamp(cls), targets).log() * targets.weight * scale
    return loss.where(labelled, 0).sum() / labelled.sum().clamp(min=1)


def integrity_loss(
    integrity: Float[Tensor, "N C1"], targets: Targets, scale: float
) -> Float[Tensor, ""]:
    """Return the weighted smooth L1 of the own class's integrity over foreground."""
    foreground = targets.label > 0
    own = _own(_clamp(integrity), targets)
    loss = functional.smooth_l1_loss(own, targets.integrity, reduction="none")
    loss = loss * targets.weight * scale
    return loss.where(foreground, 0).sum() / foreground.sum().clamp(min=1)


def bag_loss(
    cls: Float[Tensor, "N C1"],
    integrity: Float[Tensor, "N C1"] | None,
    targets: Targets,
    tags: Bool[Tensor, " C"],
    scale: float,
) -> Float[Tensor, ""]:
    """Return the binary cross-entropy of each class's best proposal, over columns.

    For a class present (background always is) the best of the proposals labelled with
    it counts, by that proposal's weight; for an absent class the best of all, by 1. A
    present class that labels no proposal adds a constant, by the weight of proposal 0.
    """
    columns = torch.arange(cls.shape[1], device=cls.device)
    present = _with_background(tags)  # (C1,)
    eligible = (targets.label[:, None] == columns) | ~present
    # Without integrity the factor is what the clamp makes of certainty.
    whole = 1 - _EPS if integrity is None else _clamp(integrity)
    best, index = (_clamp(cls) * whole * eligible).max(0)
    weight = (scale * targets.weight[index]).where(present, 1)
    return functional.binary_cross_entropy(
        _clamp(best), present.to(cls.dtype), weight=weight
    )


def mil_loss(
    cls: Float[Tensor, "N C1"], det: Float[Tensor, "N C1"], tags: Bool[Tensor, " C"]
) -> Float[Tensor, ""]:
    """Return the binary cross-entropy of the scores Σ cls · det against the tags.

    Bilen and Vedaldi, "Weakly Supervised Deep Detection Networks", CVPR 2016; the
    background column counts as present.
    """
    image = _clamp((cls * det).sum(0))
    return functional.binary_cross_entropy(image, _with_background(tags).to(cls.dtype))


def cluster_loss(
    cls: Float[Tensor, "N C1"], clusters: Int[Tensor, "N C1"]
) -> Float[Tensor, ""]:
    """Return the cross-entropy of the anti-noise branch against clusters, × 12.

    A foreground cluster is judged by its members' mean, a background cluster (column 0)
    member by member; both count by their size.

    Args:
        cls: softmax over classes.
        clusters: the number (1, 2, …) of each proposal's cluster in its class's column,
            0 elsewhere; a row of zeros takes no part.
    """
    number, column = clusters.max(1)
    members = number > 0
    judged = cls.where(column[:, None] == 0, _mean_by(number, cls))
    columns = torch.arange(cls.shape[1], device=cls.device)
    target = (column[:, None] == columns).to(cls.dtype)
    # Each member carries an equal share of its cluster's |cluster| × loss.
    loss = functional.binary_cross_entropy(_clamp(judged), target, reduction="none")
    return CLUSTER * loss.mean(1).where(members, 0).sum() / (members.sum() + _EPS)


def cue_localization_loss(
    det: Float[Tensor, "N C1"], clusters: Int[Tensor, "N C1"]
) -> Float[Tensor, ""]:
    """Return minus log of the localization on the cues, averaged over classes.

    Not in the paper: there the anti-noise branch's localization learns from the tags
    alone, which on frozen features leads it to background; CIM chooses its first
    complete instances by it.

    Args:
        det: softmax over proposals.
        clusters: as in ``cluster_loss``; without a foreground cluster the loss is 0.
    """
    member = clusters > 0  # (N, C1)
    classes = member[:, 1:].any(0)
    mass = (det * member)[:, 1:].sum(0)[classes]
    return -_clamp(mass).log().sum() / classes.sum().clamp(min=1)


def pcl_loss(cls: Float[Tensor, "N C1"], targets: Targets) -> Float[Tensor, ""]:
    """Return the weighted cross-entropy by cluster, averaged over all proposals.

    Tang et al., https://arxiv.org/abs/1807.03342: the proposals assigned
    to one pseudo instance are judged by their mean, background ones by themselves.
    """
    own = _own(cls, targets)
    judged = own.where(targets.label <= 0, _mean_by(targets.assignment, own))
    loss = -_clamp(judged).log() * targets.weight
    return loss.where(targets.label >= 0, 0).mean()


def _mean_by(
    group: Int[Tensor, " N"], values: Float[Tensor, " N *shape"]
) -> Float[Tensor, " N *shape"]:
    """Return each one's mean over those of its group."""
    # As ``unique`` does, but its results' sizes would have to be waited for.
    number, order = group.sort()
    place = torch.zeros_like(group)
    place[1:] = (number[1:] != number[:-1]).cumsum(0)
    place = torch.empty_like(group).index_copy(0, order, place)
    size = torch.zeros_like(group).index_add(0, place, torch.ones_like(group))
    size = size.clamp(min=1).view(-1, *[1] * (values.dim() - 1))
    total = torch.zeros_like(values).index_add(0, place, values)
    return (total / size)[place]


def _clamp(probability: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    return probability.clamp(_EPS, 1 - _EPS)


def _own(scores: Float[Tensor, "N C1"], targets: Targets) -> Float[Tensor, " N"]:
    """Return each proposal's score in its label's column; column 0 where unlabelled."""
    return scores.gather(1, targets.label.clamp(min=0)[:, None]).squeeze(1)


def _with_background(tags: Bool[Tensor, " C"]) -> Bool[Tensor, " C1"]:
    return torch.cat([tags.new_ones(1), tags])
