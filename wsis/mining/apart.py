"""Apart: CIM that keeps neighbours apart; not of the paper."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wsis._support.checks import at_least, branch_index, fraction, proper
from wsis.contracts import BranchScores, Evidence, Overlaps, PseudoInstances
from wsis.mining._steps import each_once, greedy_nms, kept, ranked
from wsis.mining.cim import candidates

_NO_RATIO = -1.0
"""Least closure that counts, so that a pair without contours is no proof of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApartMiner:
    """Grows the best proposals of each class as CIM does, but not to groups.

    Where several objects of a class are side by side, the most integral proposal around
    a seed often holds its neighbours as well. This miner refuses such a *group*, as
    seed and as complete instance. Of the best proposals of a class, it looks for pairs
    that lie in a proposal and hardly overlap. It doubts the proposal the more, the more
    alike the best such pair is, and the more closed some pair: strong contours around
    both, weak ones inside. Members of a group resemble each other; a head does not
    resemble its body.

    The doubt is likeness + ``closure`` · closure − ``integrity`` · localization, and
    above ``limit`` a proposal is refused. From the share ``cues`` of training on, all
    cues of a class that hold a refused one are replaced by what is mined from branch 0
    itself, if another branch learns from it; cues of points are kept. If all seeds of a
    class are groups, none is refused. Without evidence, the miner is CIM.

    Measured in docs/findings.md ("Refusing groups"); rule and numbers were chosen with
    the masks of training photos of animals in sight.

    Args:
        p_seed, containment, oversize, t_cls, step: as ``CIMMiner`` has them.
        pool: share of the proposals among which pairs are sought, in (0, 1].
        smallest, largest: area of each of a pair, as shares of the proposal's.
        overlap: most of either that the two of a pair share, in (0, 1].
        closure: weight of the lower closure of the most closed pair; 0 leaves it out.
        integrity: weight of the proposal's own localization; 0 leaves it out.
        limit: of the doubt.
        cues: share of training after which cues are refused, too; 1 keeps them.
        p_cue: ``p_seed`` where cues are replaced.

    Raises:
        ValueError: if a setting is out of range.
    """

    sampler: ClassVar[str] = "anti_noise"

    p_seed: float = 0.1
    containment: float = 0.85
    oversize: float = 0.9
    t_cls: float = 0.25
    step: float = 0.1
    pool: float = 0.1
    smallest: float = 0.1
    largest: float = 0.75
    overlap: float = 0.15
    closure: float = 1.0
    integrity: float = 0.5
    limit: float = 0.4
    cues: float = 0.5
    p_cue: float = 0.03

    def __post_init__(self) -> None:
        for name in ("p_seed", "oversize", "t_cls", "pool", "overlap", "p_cue"):
            fraction(name, getattr(self, name))
        proper("containment", self.containment)
        proper("smallest", self.smallest)
        fraction("largest", self.largest)
        if self.smallest >= self.largest:
            raise ValueError(
                f"smallest must be below largest, got {self.smallest} and "
                f"{self.largest}"
            )
        fraction("step", self.step, zero=True)
        fraction("cues", self.cues, zero=True)
        at_least("closure", self.closure, 0)
        at_least("integrity", self.integrity, 0)
        at_least("limit", self.limit, -3)

    def at(self, branch: int) -> "ApartMiner":
        """Return the miner of refinement branch ``branch`` (0, 1, …)."""
        branch_index(branch)
        return replace(self, t_cls=self.t_cls + self.step * branch)

    @torch.no_grad()
    def __call__(
        self,
        scores: BranchScores,
        overlaps: Overlaps,
        tags: Bool[Tensor, " C"],
        evidence: Evidence | None = None,
    ) -> PseudoInstances:
        """Return pseudo instances by proposal index; ties in any step: lowest index.

        ``seed`` tells the seed that each has its weight from, as of ``CIMMiner``.
        """
        groups = self.groups(scores, overlaps, tags, evidence)
        return self._mined(scores, overlaps, tags, groups, self.p_seed)

    @torch.no_grad()
    def amended(
        self,
        cues: PseudoInstances,
        scores: BranchScores,
        overlaps: Overlaps,
        tags: Bool[Tensor, " C"],
        evidence: Evidence,
        done: float,
    ) -> PseudoInstances:
        """Return the cues, those of a class that hold a group replaced.

        Args:
            cues: pseudo instances that teach branch 0.
            scores: of branch 0.
            overlaps: of the proposals.
            tags: of the image.
            evidence: of the proposals.
            done: share of training that is over, in [0, 1).
        """
        if done < self.cues or not len(cues):
            return cues
        groups = self.groups(scores, overlaps, tags, evidence)
        column = tags.cumsum(0)[cues.label - 1] - 1  # among those of classes present
        doubtful = cues.label[groups[cues.index, column]].unique()
        mined = self._mined(scores, overlaps, tags, groups, self.p_cue)
        kept, added = torch.ones_like(cues.label, dtype=torch.bool), []
        for label in doubtful.tolist():
            found = mined.chosen(mined.label == label)
            if len(found):
                kept &= cues.label != label
                best = found.weight.max().clamp_min(1e-6)
                added.append(replace(found, weight=found.weight / best))
        return PseudoInstances(
            *(
                torch.cat([getattr(one, name) for one in (cues.chosen(kept), *added)])
                for name in ("index", "label", "weight")
            )
        )

    @torch.no_grad()
    def groups(
        self,
        scores: BranchScores,
        overlaps: Overlaps,
        tags: Bool[Tensor, " C"],
        evidence: Evidence | None,
    ) -> Bool[Tensor, "N K"]:
        """Mark the proposals that are refused for each class present."""
        label = tags.nonzero().flatten() + 1
        cls = scores.classification[:, label]
        if evidence is None:
            return torch.zeros_like(cls, dtype=torch.bool)
        loc = scores.localization
        integrity = torch.zeros_like(cls) if loc is None else loc[:, label]
        pools = ranked(cls, math.ceil(self.pool * len(cls)))
        found = [
            self._doubt(pool, overlaps, evidence) - self.integrity * own > self.limit
            for pool, own in zip(pools, integrity.T, strict=True)
        ]
        return torch.stack(found, 1) if found else torch.zeros_like(cls).bool()

    def _doubt(
        self, pool: Int[Tensor, " P"], overlaps: Overlaps, evidence: Evidence
    ) -> Float[Tensor, " N"]:
        """Return likeness and closure of pairs within each proposal; −∞ without one.

        ``pool`` are a class's best proposals, best first.
        """
        inside, apart = self._members(pool, overlaps)
        first, second, some = _pair(inside, apart)
        likeness = evidence.likeness[pool]
        doubt = (likeness[first] * likeness[second]).sum(1)
        if evidence.closure is not None and self.closure:
            closure, order = evidence.closure[pool].sort(descending=True, stable=True)
            _, weaker, _ = _pair(inside[:, order], apart[order[:, None], order])
            doubt = doubt + self.closure * closure[weaker].clamp_min(_NO_RATIO)
        return doubt.where(some, -torch.inf)

    def _members(
        self, pool: Int[Tensor, " P"], overlaps: Overlaps
    ) -> tuple[Bool[Tensor, "N P"], Bool[Tensor, "P P"]]:
        """Mark what of the pool may be a member of each proposal, and which two."""
        share = overlaps.area[pool] / overlaps.area[:, None]  # (N, P)
        inside = self.containment < overlaps.containment.T.index_select(0, pool).T
        inside &= (share > self.smallest) & (share < self.largest)
        among = overlaps.containment[pool[:, None], pool]
        return inside, torch.maximum(among, among.T) < self.overlap

    def _mined(
        self,
        scores: BranchScores,
        overlaps: Overlaps,
        tags: Bool[Tensor, " C"],
        groups: Bool[Tensor, "N K"],
        p_seed: float,
    ) -> PseudoInstances:
        """Mine as CIM does, without groups."""
        loc = scores.localization
        fitness = scores.classification if loc is None else loc
        parts = []
        for k, label in enumerate((tags.nonzero().flatten() + 1).tolist()):
            cls, refused = scores.classification[:, label], groups[:, k]
            ranks = ranked(cls[:, None], math.ceil(p_seed * len(cls)))
            free = ranks[:, ~refused[ranks[0]]]
            if not free.shape[1]:
                free, refused = ranks, torch.zeros_like(refused)
            _, seed = kept(free, greedy_nms(free, overlaps.iou, self.t_cls))
            fits = candidates(seed, overlaps, self.containment, self.oversize)
            fits &= ~refused[:, None]
            choice = fitness[:, label, None].where(fits, -torch.inf).argmax(0)
            weight = scores.product[choice, label].where(fits.any(0), -torch.inf)
            parts.append((choice, torch.full_like(choice, label), weight, seed))
        if not parts:
            none = tags.nonzero().flatten()
            return PseudoInstances(none, none, scores.classification[none, 0], none)
        return each_once(
            PseudoInstances(*(torch.cat(one) for one in zip(*parts, strict=True)))
        )


def _pair(
    inside: Bool[Tensor, "N P"], apart: Bool[Tensor, "P P"]
) -> tuple[Int[Tensor, " N"], Int[Tensor, " N"], Bool[Tensor, " N"]]:
    """Return each proposal's first pair, by place in the pool, and if there is one.

    The first is that whose later member comes earliest, then the earlier member.
    """
    before = apart.tril(-1)  # (later, earlier)
    later = inside & (inside.float() @ before.T.float() > 0)
    second = later.float().argmax(1)
    first = (inside & before[second]).float().argmax(1)
    return first, second, later.any(1)
