"""Wires the parts: heads into a model, and a strategy into what supervises it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from wsis.contracts import (
    Assigner,
    BranchScores,
    Cascading,
    Miner,
    NoiseSampler,
    Overlaps,
    ProposalHead,
    PseudoInstances,
    Targets,
    View,
)
from wsis.heads.mil import MILHead
from wsis.heads.refinement import RefinementHead
from wsis.training.losses import (
    cluster_loss,
    cue_localization_loss,
    mil_loss,
    refinement_losses,
)


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What the model says of every proposal.

    Args:
        anti_noise: classification and ranking by the anti-noise branch.
        branches: classification and integrity by each refinement branch.
        integrity: whether it is learned; else it is 1 throughout.
    """

    anti_noise: BranchScores
    branches: tuple[BranchScores, ...]
    integrity: bool = True

    def final(self) -> Float[Tensor, "N C"]:
        """Mean over branches of classification × integrity, without background."""
        products = [b.classification * b.localization for b in self.branches]
        return torch.stack(products).mean(0)[:, 1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """How a branch's scores supervise the next one; every part is swappable.

    Args:
        miner: scores -> pseudo instances.
        sampler: which of the pseudo instances are kept.
        assigner: pseudo instances -> a target per proposal.
        by_cluster: whether the proposals of a pseudo instance are classified together,
            as PCL has it.
        cue_localization: weight of the loss that leads the anti-noise branch's
            localization to the cues; 0 is the paper's.
        anti_noise: whether there is an anti-noise branch. Without it the cues teach
            branch 0 themselves, as ``clusters_as_instances`` has it, in place of what
            the anti-noise branch has made of them; its losses are 0.
    """

    miner: Miner
    sampler: NoiseSampler
    assigner: Assigner
    by_cluster: bool = False
    cue_localization: float = 0.0
    anti_noise: bool = True

    def at(self, branch: int) -> "Strategy":
        """The strategy with the thresholds of a refinement branch, 0…K−1."""
        return Strategy(
            miner=_at(self.miner, branch),
            sampler=self.sampler,
            assigner=_at(self.assigner, branch),
            by_cluster=self.by_cluster,
            cue_localization=self.cue_localization,
            anti_noise=self.anti_noise,
        )

    def mine(
        self,
        branch: int,
        previous: BranchScores,
        overlaps: Overlaps,
        tags: Bool[Tensor, " C"],
        clusters: Int[Tensor, "N C1"] | None,
    ) -> PseudoInstances:
        """What a branch is taught by the scores of the one before, before sampling."""
        if branch == 0 and not self.anti_noise:
            return clusters_as_instances(clusters, overlaps)
        miner: Miner = _at(self.miner, branch)
        return miner(previous, overlaps, tags)


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """One image's losses, each with its factor included.

    Args:
        classification: summed over refinement branches.
        integrity: summed over refinement branches (×3).
        bag: summed over refinement branches.
        mil: of the anti-noise branch.
        cluster: of the anti-noise branch against the cues (×12); 0 without cues.
        localization: of the anti-noise branch on the cues; 0 without cues.
        foreground: foreground proposals in each refinement branch.
    """

    classification: Float[Tensor, ""]
    integrity: Float[Tensor, ""]
    bag: Float[Tensor, ""]
    mil: Float[Tensor, ""]
    cluster: Float[Tensor, ""]
    localization: Float[Tensor, ""]
    foreground: tuple[int, ...]

    @property
    def total(self) -> Float[Tensor, ""]:
        """What is minimised."""
        refinement = self.classification + self.integrity + self.bag
        return refinement + self.mil + self.cluster + self.localization


@dataclass(frozen=True, slots=True, eq=False)
class BranchStep:
    """What one refinement branch was taught on one image; given to observers.

    Args:
        branch: 0…K−1.
        scores: that were mined (detached): the previous branch's.
        pseudo: the pseudo instances after sampling.
        targets: what they became; None when nothing was mined.
        taught: what the branch itself said (detached), before it learned from them.
        image_id: the training image; None where ``supervise`` is called by itself.
        epoch: of training, from 0; likewise.
    """

    branch: int
    scores: BranchScores
    pseudo: PseudoInstances
    targets: Targets | None
    taught: BranchScores
    image_id: int | None = None
    epoch: int | None = None


Observer = Callable[[BranchStep], None]


class Model(nn.Module):
    """A proposal head, the anti-noise branch and K refinement branches (CIM, figure 2).

    Args:
        head: pooled features -> vectors.
        classes: C, without background.
        branches: K.
        integrity_prior: the integrity of every proposal before training, in (0, 1).
        integrity: whether it is learned (MaskIoU); else classification alone counts.
        backbone: trained along, or None when features are frozen.
    """

    def __init__(
        self,
        *,
        head: nn.Module,
        classes: int,
        branches: int = 3,
        integrity_prior: float = 0.5,
        integrity: bool = True,
        backbone: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(head, ProposalHead):
            raise TypeError(f"expected a ProposalHead, got {type(head).__name__}")
        if classes < 1 or branches < 1:
            raise ValueError(
                f"classes and branches must be positive, got {classes} and {branches}"
            )
        self.head = head
        self.backbone = backbone
        self.classes = classes
        self.integrity = integrity
        self.anti_noise = MILHead(head.width, classes)
        self.refinement = nn.ModuleList(
            RefinementHead(head.width, classes, integrity_prior, integrity=integrity)
            for _ in range(branches)
        )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def forward(self, pooled: Float[Tensor, "N ..."] | View) -> Scores:
        """Scores of one image's proposals, pooled or to be pooled by the head."""
        head: Any = self.head
        if isinstance(pooled, View):
            vectors = head.vectors(pooled)
        else:
            vectors = head(pooled.to(self.device))
        return Scores(
            self.anti_noise(vectors),
            tuple(branch(vectors) for branch in self.refinement),
            self.integrity,
        )


def supervise(
    scores: Scores,
    overlaps: Overlaps,
    tags: Bool[Tensor, " C"],
    clusters: Int[Tensor, "N C1"] | None,
    strategy: Strategy,
    generator: torch.Generator,
    observer: Observer | None = None,
) -> Losses:
    """Mines each branch's targets from the branch before and compares (CIM, section 3).

    Branch 0 learns from the anti-noise branch's scores, branch k from branch k−1's; a
    branch for which nothing was mined contributes nothing.
    """
    zero = scores.anti_noise.classification.new_zeros(())
    classification, integrity, bag = zero, zero, zero
    foreground = []
    previous = scores.anti_noise
    for k, branch in enumerate(scores.branches):
        detached = BranchScores(
            previous.classification.detach(), previous.localization.detach()
        )
        part = strategy.at(k)
        found = strategy.mine(k, detached, overlaps, tags, clusters)
        pseudo = part.sampler(found, generator)
        targets = part.assigner(pseudo, overlaps) if len(pseudo) else None
        if observer is not None:
            taught = BranchScores(
                branch.classification.detach(), branch.localization.detach()
            )
            observer(BranchStep(k, detached, pseudo, targets, taught))
        if targets is not None:
            losses = refinement_losses(
                branch,
                targets,
                tags,
                branch=k,
                integrity=scores.integrity,
                by_cluster=part.by_cluster,
            )
            classification = classification + losses.classification
            integrity = integrity + losses.integrity
            bag = bag + losses.bag
        foreground.append(0 if targets is None else int((targets.label > 0).sum()))
        previous = branch
    mil, cluster, localization = zero, zero, zero
    if strategy.anti_noise:
        cls, det = scores.anti_noise.classification, scores.anti_noise.localization
        mil = mil_loss(cls, det, tags)
        if clusters is not None:
            cluster = cluster_loss(cls, clusters)
            factor = strategy.cue_localization
            localization = factor * cue_localization_loss(det, clusters)
    return Losses(
        classification,
        integrity,
        bag,
        mil,
        cluster,
        localization,
        tuple(foreground),
    )


def clusters_as_instances(
    clusters: Int[Tensor, "N C1"] | None, overlaps: Overlaps
) -> PseudoInstances:
    """Cues as pseudo instances: of every foreground cluster the proposal amid it.

    That is the member whose IoU with all members is highest on average (ties: the
    lowest index). Its weight is 1.

    Raises:
        ValueError: if there are no cues.
    """
    if clusters is None:
        raise ValueError("expected cues to teach branch 0 without an anti-noise branch")
    number, column = clusters.max(1)
    index = []
    for cluster in number[column > 0].unique().tolist():
        members = (number == cluster).nonzero().flatten()
        within = overlaps.iou[members[:, None], members]
        index.append(int(members[within.mean(1).argmax()]))
    chosen = torch.tensor(index, dtype=torch.long, device=clusters.device)
    weight = torch.ones(len(chosen), device=clusters.device)
    return PseudoInstances(chosen, column[chosen], weight)


def _at(part: Any, branch: int) -> Any:
    return part.at(branch) if isinstance(part, Cascading) else part
