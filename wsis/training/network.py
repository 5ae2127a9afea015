"""The network: a head, the anti-noise branch and the refinement branches."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wsis._support.places import moved
from wsis._support.weights import all_finite
from wsis.contracts import (
    BranchScores,
    Evidence,
    Evidential,
    ProposalHead,
    Telling,
    View,
)
from wsis.heads.mil import MILHead
from wsis.heads.refinement import RefinementHead
from wsis.training.class_map import ClassMap


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """The model's scores of every proposal.

    Args:
        anti_noise: classification and ranking by the anti-noise branch.
        branches: classification and integrity by each refinement branch.
    """

    anti_noise: BranchScores
    branches: tuple[BranchScores, ...]

    def finite(self) -> bool:
        """Tell whether all of them are finite numbers."""
        given = (
            one
            for branch in (self.anti_noise, *self.branches)
            for one in (branch.classification, branch.localization)
            if one is not None
        )
        return all_finite(*given)

    def in_float32(self) -> "Scores":
        """Return them in float32, for losses to be exact."""
        first, *rest = (
            BranchScores(
                one.classification.float(),
                None if one.localization is None else one.localization.float(),
            )
            for one in (self.anti_noise, *self.branches)
        )
        return Scores(first, tuple(rest))

    def final(self) -> Float[Tensor, "N C"]:
        """Return the mean of the branches' products, without background."""
        return torch.stack([one.product for one in self.branches]).mean(0)[:, 1:]


class Model(nn.Module):
    """A proposal head, the anti-noise branch and K refinement branches (CIM, figure 2).

    A ``class_map`` may be set, which ranks proposals beside them.

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
        self.class_map: ClassMap | None = None
        self.anti_noise = MILHead(head.width, classes)
        self.refinement = nn.ModuleList(
            RefinementHead(head.width, classes, integrity_prior, integrity=integrity)
            for _ in range(branches)
        )

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    def evidence(
        self, pooled: Float[Tensor, "N ..."] | View, miner: object
    ) -> Evidence | None:
        """Return what the head tells of proposals, if the miner looks at evidence."""
        head = self.head
        if not isinstance(miner, Evidential) or not isinstance(head, Telling):
            return None
        return (
            None if isinstance(pooled, View) else head.tell(moved(pooled, self.device))
        )

    def forward(self, pooled: Float[Tensor, "N ..."] | View) -> Scores:
        """Score one image's proposals, pooled or to be pooled by the head."""
        head: Any = self.head
        if isinstance(pooled, View):
            vectors = head.vectors(pooled)
        else:
            vectors = head(moved(pooled, self.device))
        return Scores(
            self.anti_noise(vectors),
            tuple(branch(vectors) for branch in self.refinement),
        )
