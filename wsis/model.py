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
from wsis.losses import cluster_loss, mil_loss, refinement_losses


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What the model says of every proposal.

    Args:
        anti_noise: classification and ranking by the anti-noise branch.
        branches: classification and integrity by each refinement branch.
    """

    anti_noise: BranchScores
    branches: tuple[BranchScores, ...]

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
    """

    miner: Miner
    sampler: NoiseSampler
    assigner: Assigner

    def at(self, branch: int) -> "Strategy":
        """The strategy with the thresholds of a refinement branch, 0…K−1."""
        return Strategy(
            miner=_at(self.miner, branch),
            sampler=self.sampler,
            assigner=_at(self.assigner, branch),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """One image's losses, each with its factor included.

    Args:
        classification: summed over refinement branches.
        integrity: summed over refinement branches (×3).
        bag: summed over refinement branches.
        mil: of the anti-noise branch.
        cluster: of the anti-noise branch against the cues (×12); 0 without cues.
        foreground: foreground proposals in each refinement branch.
    """

    classification: Float[Tensor, ""]
    integrity: Float[Tensor, ""]
    bag: Float[Tensor, ""]
    mil: Float[Tensor, ""]
    cluster: Float[Tensor, ""]
    foreground: tuple[int, ...]

    @property
    def total(self) -> Float[Tensor, ""]:
        """What is minimised."""
        return self.classification + self.integrity + self.bag + self.mil + self.cluster


@dataclass(frozen=True, slots=True, eq=False)
class BranchStep:
    """What one refinement branch was taught on one image; given to observers.

    Args:
        branch: 0…K−1.
        scores: that were mined (detached): the previous branch's.
        pseudo: the pseudo instances after sampling.
        targets: what they became; None when nothing was mined.
    """

    branch: int
    scores: BranchScores
    pseudo: PseudoInstances
    targets: Targets | None


Observer = Callable[[BranchStep], None]


class Model(nn.Module):
    """A proposal head, the anti-noise branch and K refinement branches (CIM, figure 2).

    Args:
        head: pooled features -> vectors.
        classes: C, without background.
        branches: K.
        integrity_prior: the integrity of every proposal before training, in (0, 1).
        backbone: trained along, or None when features are frozen.
    """

    def __init__(
        self,
        *,
        head: nn.Module,
        classes: int,
        branches: int = 3,
        integrity_prior: float = 0.5,
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
        self.anti_noise = MILHead(head.width, classes)
        self.refinement = nn.ModuleList(
            RefinementHead(head.width, classes, integrity_prior)
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
        pseudo = part.sampler(part.miner(detached, overlaps, tags), generator)
        targets = part.assigner(pseudo, overlaps) if len(pseudo) else None
        if observer is not None:
            observer(BranchStep(k, detached, pseudo, targets))
        if targets is not None:
            losses = refinement_losses(branch, targets, tags, branch=k)
            classification = classification + losses.classification
            integrity = integrity + losses.integrity
            bag = bag + losses.bag
        foreground.append(0 if targets is None else int((targets.label > 0).sum()))
        previous = branch
    return Losses(
        classification,
        integrity,
        bag,
        mil_loss(
            scores.anti_noise.classification, scores.anti_noise.localization, tags
        ),
        zero
        if clusters is None
        else cluster_loss(scores.anti_noise.classification, clusters),
        tuple(foreground),
    )


def _at(part: Any, branch: int) -> Any:
    return part.at(branch) if isinstance(part, Cascading) else part
