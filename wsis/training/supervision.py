"""A strategy: how the scores of one branch supervise the next, and the losses of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wsis._support.places import moved
from wsis.contracts import (
    Assigner,
    BranchScores,
    Cascading,
    Evidence,
    Evidential,
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
        pointed: whether the cues are of points, which no miner amends.
    """

    miner: Miner
    sampler: NoiseSampler
    assigner: Assigner
    by_cluster: bool = False
    cue_localization: float = 0.0
    anti_noise: bool = True
    pointed: bool = False

    def at(self, branch: int) -> "Strategy":
        """Return the strategy with the thresholds of a refinement branch, 0…K−1."""
        return replace(
            self, miner=_at(self.miner, branch), assigner=_at(self.assigner, branch)
        )

    def mined(
        self,
        first: int,
        previous: Sequence[BranchScores],
        overlaps: Overlaps,
        tags: Bool[Tensor, " C"],
        clusters: Int[Tensor, "N C1"] | None,
        counts: Int[Tensor, " C"] | None = None,
        evidence: Evidence | None = None,
        done: float = 0.0,
    ) -> list[PseudoInstances]:
        """Return what the branches from ``first`` on learn, before sampling.

        Each learns from the scores of the one before, in ``previous``. The result is on
        the CPU: a card is waited for once, not in every branch. Where objects were
        counted, it is what ``at_most`` leaves. ``done`` is the share of training that
        is over.
        """
        found = []
        amends = not self.pointed and len(previous) > 1
        for k, scores in enumerate(previous, first):
            miner, given = _at(self.miner, k), (overlaps, tags)
            looking = miner if isinstance(miner, Evidential) else None
            if k == 0 and not self.anti_noise:
                one = clusters_as_instances(clusters, overlaps)
                if looking and amends and evidence is not None:
                    one = looking.amended(one, previous[1], *given, evidence, done)
            elif looking:
                one = looking(scores, *given, evidence)
            else:
                one = miner(scores, *given)
            found.append(one)
        device = tags.device
        found, tags = _on_host(found), tags.cpu()
        for k, one in enumerate(found, first):
            if k > 0 or self.anti_noise:
                _check_mined(one, self.miner, len(overlaps), tags)
        if counts is None:
            return found
        return [at_most(counts, one.to(device), overlaps).to("cpu") for one in found]

    def sampled(
        self, mined: Sequence[PseudoInstances], generator: torch.Generator
    ) -> list[PseudoInstances]:
        """Return what the sampler keeps for each branch."""
        return [self.sampler(one, generator) for one in mined]


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
        names.append("total")
        values = torch.stack([getattr(self, name).detach() for name in names])
        return dict(zip(names, values.tolist(), strict=True))


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

Draw = Callable[[Sequence[PseudoInstances]], list[PseudoInstances]]
"""Samples what was mined for each branch; on the CPU."""


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
    draw: Draw | None = None,
    evidence: Evidence | None = None,
    done: float = 0.0,
) -> Losses:
    """Mine each branch's targets from the branch before and compare (CIM, section 3).

    Branch 0 learns from the anti-noise branch's scores, branch k from branch k−1's; a
    branch for which nothing was mined contributes nothing. What a teacher has
    ``taught`` takes the place of mining, sampling and cues, alike for all branches.
    ``draw`` samples in place of the strategy and ``generator``. Miners that look at
    ``evidence`` get it, and the share of training that is ``done``.
    """
    if taught is not None:
        clusters = around(overlaps.iou[taught.index], taught.label, len(tags))
    refined: list[RefinementLosses] = []
    foreground = [tags.new_zeros((), dtype=torch.long)] * len(scores.branches)
    finite = [tags.new_ones(())]
    teachers = [one.detach() for one in (scores.anti_noise, *scores.branches[:-1])]
    if taught is None:
        mined = strategy.mined(
            0, teachers, overlaps, tags, clusters, counts, evidence, done
        )
        kept = draw(mined) if draw else strategy.sampled(mined, generator)
        chosen = [one.to(tags.device) for one in kept]
    else:
        chosen = [taught] * len(teachers)
    for k, (teacher, branch) in enumerate(zip(teachers, scores.branches, strict=True)):
        pseudo = chosen[k]
        targets = None
        if len(pseudo):
            targets = _at(strategy.assigner, k)(pseudo, overlaps)
            given = (targets.weight, targets.integrity)
            finite += [one.isfinite().all() for one in given]
            foreground[k] = (targets.label > 0).sum()
            refined.append(
                refinement_losses(
                    branch, targets, tags, branch=k, by_cluster=strategy.by_cluster
                )
            )
        if observer is not None:
            observer(BranchStep(k, teacher, pseudo, targets, branch.detach()))
    # Asked of a card at once: every question would wait for it.
    whole, *counted = torch.stack(
        [torch.stack(finite).all().long(), *foreground]
    ).tolist()
    if not whole:
        raise _not_finite(strategy.assigner)
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
        foreground=tuple(counted),
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
    localization = torch.zeros_like(mil)
    if cue_localization:
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
    device = overlaps.iou.device
    number, column = clusters.cpu().max(1)
    index = [torch.empty(0, dtype=torch.long, device=device)]
    for cluster in number[column > 0].unique().tolist():
        members = moved((number == cluster).nonzero().flatten(), device)
        within = overlaps.iou[members[:, None], members]
        index.append(members[within.mean(1).argmax(0, keepdim=True)])
    chosen = torch.cat(index)
    weight = torch.ones(len(chosen), device=device)
    return PseudoInstances(chosen, moved(column, device)[chosen], weight)


def _on_host(found: Sequence[PseudoInstances]) -> list[PseudoInstances]:
    """Return them on the CPU, in two copies whatever their number."""
    if all(one.index.device.type == "cpu" for one in found):
        return list(found)
    whole = [
        torch.stack([one.index, one.label, one.index if one.seed is None else one.seed])
        for one in found
    ]
    sizes = [len(one) for one in found]
    numbers = torch.cat(whole, 1).cpu().split(sizes, 1)
    weights = torch.cat([one.weight for one in found]).cpu().split(sizes)
    return [
        PseudoInstances(
            *(number[0], number[1], weight), None if one.seed is None else number[2]
        )
        for one, number, weight in zip(found, numbers, weights, strict=True)
    ]


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
    if not found.weight.isfinite().all():
        raise _not_finite(miner)
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


def _not_finite(part: object) -> PartError:
    return PartError(
        f"expected finite numbers from the part {type(part).__name__}, got NaN or "
        "infinity"
    )


_Part = TypeVar("_Part")


def _at(part: _Part, branch: int) -> _Part:
    return part.at(branch) if isinstance(part, Cascading) else part
