"""A strategy: how the scores of one branch supervise the next, and the losses of it."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wsis._support.weights import all_finite
from wsis.contracts import (
    Assigner,
    BranchScores,
    Cascading,
    Ledger,
    Miner,
    NoiseSampler,
    Overlaps,
    PseudoInstances,
    Targets,
)
from wsis.cues.labels import clusters as around
from wsis.proposals.bags import Bag
from wsis.training.losses import (
    RefinementLosses,
    cluster_loss,
    cue_localization_loss,
    mil_loss,
    refinement_losses,
)
from wsis.training.network import Scores


class PartError(ValueError):
    """A part gave what its contract does not allow."""


@runtime_checkable
class Teacher(Protocol):
    """Tells all branches what to learn from a photo, whatever their scores are.

    It takes the place of miner, sampler and cues, and is the one way by which masks can
    reach training: that of a bench's ceiling. Its ledger states the labels it was made
    with; a pipeline whose own ledger lacks them refuses it.
    """

    @property
    def ledger(self) -> Ledger:
        """The labels that it was made with."""

    def __call__(self, bag: Bag) -> PseudoInstances:
        """Return what all branches learn from a bag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """Turns a branch's scores into supervision of the next; every part is swappable.

    Args:
        miner: scores -> pseudo instances.
        sampler: keeps some of the pseudo instances.
        assigner: pseudo instances -> a target per proposal.
        by_cluster: whether the proposals of a pseudo instance are classified together,
            as PCL has it.
        cue_localization: weight of the loss that leads the anti-noise branch's
            localization to the cues; 0 is the paper's.
        anti_noise: whether there is an anti-noise branch. Without it the cues teach
            branch 0 themselves, as ``clusters_as_instances`` has it, and the losses of
            that branch are 0.
    """

    miner: Miner
    sampler: NoiseSampler
    assigner: Assigner
    by_cluster: bool = False
    cue_localization: float = 0.0
    anti_noise: bool = True

    def at(self, branch: int) -> "Strategy":
        """Return the strategy with the thresholds of a refinement branch, 0…K−1."""
        return replace(
            self, miner=_at(self.miner, branch), assigner=_at(self.assigner, branch)
        )

    def mine(
        self,
        branch: int,
        previous: BranchScores,
        overlaps: Overlaps,
        tags: Bool[Tensor, " C"],
        clusters: Int[Tensor, "N C1"] | None,
        counts: Int[Tensor, " C"] | None = None,
    ) -> PseudoInstances:
        """Return what a branch learns from the branch before, before sampling.

        Where objects were counted, as ``at_most`` leaves it.
        """
        if branch == 0 and not self.anti_noise:
            found = clusters_as_instances(clusters, overlaps)
        else:
            found = _at(self.miner, branch)(previous, overlaps, tags)
            _check_mined(found, self.miner, len(overlaps), tags)
        return found if counts is None else at_most(counts, found, overlaps)


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
        """The sum, which is minimised."""
        refinement = self.classification + self.integrity + self.bag
        return refinement + self.mil + self.cluster + self.localization

    def named(self) -> dict[str, float]:
        """Return every loss and the total as numbers, by name."""
        names = [field.name for field in fields(self) if field.name != "foreground"]
        return {n: float(getattr(self, n).detach()) for n in (*names, "total")}


@dataclass(frozen=True, slots=True, eq=False)
class BranchStep:
    """The supervision of one refinement branch on one image, for observers.

    Args:
        branch: 0…K−1.
        scores: that were mined (detached): the previous branch's.
        pseudo: the pseudo instances after sampling.
        targets: made from them; None when nothing was mined.
        taught: the scores of the branch itself (detached), before it learned.
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


def supervise(
    scores: Scores,
    overlaps: Overlaps,
    tags: Bool[Tensor, " C"],
    clusters: Int[Tensor, "N C1"] | None,
    strategy: Strategy,
    generator: torch.Generator,
    observer: Observer | None = None,
    *,
    counts: Int[Tensor, " C"] | None = None,
    taught: PseudoInstances | None = None,
) -> Losses:
    """Mine each branch's targets from the branch before and compare (CIM, section 3).

    Branch 0 learns from the anti-noise branch's scores, branch k from branch k−1's; a
    branch for which nothing was mined contributes nothing. What a teacher has
    ``taught`` takes the place of mining, sampling and cues, alike for all branches.
    """
    if taught is not None:
        clusters = around(overlaps.iou[taught.index], taught.label, len(tags))
    refined: list[RefinementLosses] = []
    foreground = []
    previous = scores.anti_noise
    for k, branch in enumerate(scores.branches):
        teacher, previous = previous.detach(), branch
        if taught is None:
            mined = strategy.mine(k, teacher, overlaps, tags, clusters, counts)
            pseudo = strategy.sampler(mined, generator)
        else:
            pseudo = taught
        targets = None
        if len(pseudo):
            targets = _at(strategy.assigner, k)(pseudo, overlaps)
            _check_finite(strategy.assigner, targets.weight, targets.integrity)
            refined.append(
                refinement_losses(
                    branch, targets, tags, branch=k, by_cluster=strategy.by_cluster
                )
            )
        foreground.append(0 if targets is None else int((targets.label > 0).sum()))
        if observer is not None:
            observer(BranchStep(k, teacher, pseudo, targets, branch.detach()))
    zero = scores.anti_noise.classification.new_zeros(())
    mil, cluster, localization = zero, zero, zero
    if strategy.anti_noise:
        mil, cluster, localization = _anti_noise_losses(
            scores.anti_noise, tags, clusters, strategy.cue_localization
        )
    return Losses(
        classification=sum((one.classification for one in refined), zero),
        integrity=sum((one.integrity for one in refined), zero),
        bag=sum((one.bag for one in refined), zero),
        mil=mil,
        cluster=cluster,
        localization=localization,
        foreground=tuple(foreground),
    )


def _anti_noise_losses(
    scores: BranchScores,
    tags: Bool[Tensor, " C"],
    clusters: Int[Tensor, "N C1"] | None,
    cue_localization: float,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, ""]]:
    """The losses of the anti-noise branch: from tags, and the two from cues."""
    cls, det = scores.classification, scores.localization
    if det is None:
        raise ValueError("expected an anti-noise branch with localization, got none")
    mil = mil_loss(cls, det, tags)
    if clusters is None:
        return mil, torch.zeros_like(mil), torch.zeros_like(mil)
    localization = cue_localization * cue_localization_loss(det, clusters)
    return mil, cluster_loss(cls, clusters), localization


def clusters_as_instances(
    clusters: Int[Tensor, "N C1"] | None, overlaps: Overlaps
) -> PseudoInstances:
    """Return cues as pseudo instances: the central proposal of each foreground cluster.

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


def at_most(
    counts: Int[Tensor, " C"], found: PseudoInstances, overlaps: Overlaps
) -> PseudoInstances:
    """Return as many pseudo instances of each class as it has objects, the heaviest.

    Of those that overlap a heavier one by an IoU of 0.5 or more, none stays, as they
    are of the same object. The order is kept; ties: the earlier. A count of 0 tells
    nothing, and leaves all of the class.
    """
    kept = counts[found.label - 1] == 0
    iou = overlaps.iou[found.index[:, None], found.index]
    for c in found.label[~kept].unique().tolist():
        own = (found.label == c).nonzero().flatten()
        best: list[int] = []
        for i in own[found.weight[own].argsort(descending=True, stable=True)].tolist():
            if len(best) < counts[c - 1] and (iou[i, best] < _SAME).all():
                best.append(i)
        kept[best] = True
    return found.chosen(kept)


_SAME = 0.5
"""IoU from which on two pseudo instances of a class are of the same object."""


def _check_mined(
    found: PseudoInstances, miner: Miner, proposals: int, tags: Bool[Tensor, " C"]
) -> None:
    _check_finite(miner, found.weight)
    if not len(found):
        return
    ends = torch.stack([*found.index.aminmax(), *found.label.aminmax()])
    low, high, lowest, highest = ends.tolist()
    if low < 0 or high >= proposals:
        raise PartError(
            f"expected proposals 0…{proposals - 1} from the miner "
            f"{type(miner).__name__}, got {low}…{high}"
        )
    if lowest < 1 or highest > len(tags) or not tags[found.label - 1].all():
        raise PartError(
            f"expected labels of the photo's tags, {(tags.nonzero() + 1).tolist()}, of "
            f"the miner {type(miner).__name__}, got {found.label.unique().tolist()}"
        )


def _check_finite(part: object, *given: Tensor) -> None:
    if not all_finite(*given):
        raise PartError(
            f"expected finite numbers from the part {type(part).__name__}, got NaN or "
            "infinity"
        )


_Part = TypeVar("_Part")


def _at(part: _Part, branch: int) -> _Part:
    return part.at(branch) if isinstance(part, Cascading) else part
