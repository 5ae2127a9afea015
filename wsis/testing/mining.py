"""Checks of miners, samplers and assigners on drawn problems."""

import copy
from collections.abc import Iterable

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from wsis import plugins
from wsis.contracts import (
    Assigner,
    BranchScores,
    Cascading,
    Miner,
    NoiseSampler,
    Overlaps,
    PseudoInstances,
    Sampling,
    Targets,
)
from wsis.geometry.overlap import overlaps
from wsis.testing._drawn import (
    drawn,
    order,
    overlaps_by,
    pseudo_drawn,
    random_proposals,
    scores_by,
    untied,
)
from wsis.testing._expecting import expect, expect_protocol, same

BRANCHES, CLASSES = 3, 4
SEEDS = range(20)


def check_miner(
    miner: Miner, *, seeds: Iterable[int] = SEEDS, any_order: bool = True
) -> None:
    """Check that a miner keeps to its contract, in every branch.

    It chooses proposals of the photo's classes alone, with weights in [0, 1]; at least
    one where scores differ and there is a tag, none without tags; gives the same again;
    leaves its arguments alone; and answers without localization, with a single
    proposal, and where everything ties. Scores of absent classes do not count.

    Args:
        miner: with any settings.
        seeds: of the problems drawn; each has up to 20 proposals.
        any_order: whether it must find the same proposals in any order. Leave that out
            where a miner counts something, as counts tie.

    Raises:
        AssertionError: if it does not; the message names branch and problem.
    """
    expect_protocol(miner, Miner)
    if isinstance(miner, Sampling):
        known = plugins.names("samplers")
        text = f"sampler to be one of {', '.join(known)}, got {miner.sampler!r}"
        expect(miner.sampler in known, miner, text)
    for seed in seeds:
        for branch in range(BRANCHES):
            part = miner.at(branch) if isinstance(miner, Cascading) else miner
            _check_miner(part, seed, f" (branch {branch}, problem {seed})", any_order)


def _check_miner(miner: Miner, seed: int, where: str, any_order: bool) -> None:
    tags = _tags(seed)
    overlap = overlaps(random_proposals(20, seed=seed))
    scores = _float(untied(seed, 20, CLASSES))
    bare = BranchScores(scores.classification, None)
    for one, note in ((scores, ""), (bare, ", without localization")):
        found = _mined(miner, one, overlap, tags, where + note)
        text = f"at least one pseudo instance, got none{where}{note}"
        expect(len(found) >= 1, miner, text)

    count = 1 + seed % 14
    tied = drawn(seed, count, CLASSES, levels=1)
    _mined(miner, tied[0], tied[1], tags, f"{where}, where everything ties")
    scores, overlap, _ = drawn(seed, count, CLASSES)
    first = torch.zeros(1, dtype=torch.long)
    alone = scores_by(scores, first), overlaps_by(overlap, first)
    _mined(miner, *alone, tags, f"{where}, with one proposal")
    none = miner(scores, overlap, torch.zeros_like(tags))
    expect(len(none) == 0, miner, f"no pseudo instance without tags{where}")

    here = _mined(miner, scores, overlap, tags, where)
    changed = scores.classification.clone()
    changed[:, 1:][:, ~tags] = 1 - changed[:, 1:][:, ~tags]
    there = miner(BranchScores(changed, scores.localization), overlap, tags)
    text = f"the same whatever the scores of classes that the photo lacks{where}"
    expect(_rows(here) == _rows(there), miner, text)
    if any_order:
        scores = untied(seed, count, CLASSES, whole=seed % 2 == 0)
        by = order(seed, count)
        here = miner(scores, overlap, tags)
        there = miner(scores_by(scores, by), overlaps_by(overlap, by), tags)
        text = f"the same proposals in any order{where}; or check with any_order=False"
        expect(_taught(here) == _taught(there, by), miner, text)


def _mined(
    miner: Miner,
    scores: BranchScores,
    overlap: Overlaps,
    tags: Bool[Tensor, " C"],
    where: str,
) -> PseudoInstances:
    """Return what a miner finds, once it is checked."""
    before = copy.deepcopy((scores, overlap, tags))
    found = miner(scores, overlap, tags)
    expect(isinstance(found, PseudoInstances), miner, f"PseudoInstances{where}")
    lengths = {len(one) for one in (found.index, found.label, found.weight)}
    expect(len(lengths) == 1, miner, f"index, label and weight of one length{where}")
    if len(found) == 0:
        return found
    numbers = [found.index, found.label]
    whole = all(one.dtype == torch.long for one in numbers)
    expect(whole, miner, f"index and label of dtype int64{where}")
    places = found.index if found.seed is None else torch.cat([found.index, found.seed])
    least, most = int(places.min()), int(places.max())
    text = f"proposals 0…{len(overlap) - 1}, got {least}…{most}{where}"
    expect(0 <= least <= most < len(overlap), miner, text)
    present, labels = (tags.nonzero().flatten() + 1).tolist(), found.label.tolist()
    text = f"labels among the photo's, {present}, got {labels}{where}"
    expect(set(labels) <= set(present), miner, text)
    weights = found.weight.tolist()
    text = f"weights in [0, 1], got {weights}{where}"
    expect(all(0 <= one <= 1 for one in weights), miner, text)
    text = f"arguments to stay as they are{where}; change a clone()"
    for then, now in zip(before, (scores, overlap, tags), strict=True):
        expect(same(then, now), miner, text)
    again = miner(scores, overlap, tags)
    expect(same(found, again), miner, f"the same result from the same input{where}")
    return found


def _tags(seed: int) -> Bool[Tensor, " C"]:
    tags = torch.rand(CLASSES, generator=torch.Generator().manual_seed(seed)) > 0.5
    tags[seed % CLASSES] = True
    return tags


def _float(scores: BranchScores) -> BranchScores:
    loc = scores.localization
    return BranchScores(
        scores.classification.float(), None if loc is None else loc.float()
    )


def _rows(
    pseudo: PseudoInstances, by: Int[Tensor, " N"] | None = None
) -> list[tuple[int, int, float]]:
    """Return index, label and weight, sorted; the index is that before reordering."""
    index = pseudo.index if by is None else by[pseudo.index]
    columns = (index.tolist(), pseudo.label.tolist(), pseudo.weight.tolist())
    return sorted(zip(*columns, strict=True))


def _taught(
    pseudo: PseudoInstances, by: Int[Tensor, " N"] | None = None
) -> list[tuple[int, int, float]]:
    """Return the rows that teach something: those with a weight."""
    return [row for row in _rows(pseudo, by) if row[2] > 0]


def check_sampler(sampler: NoiseSampler, *, seeds: Iterable[int] = SEEDS) -> None:
    """Check that a noise sampler keeps to its contract.

    It keeps some pseudo instances of every class, unchanged and in their order; gives
    the same with the same generator; and looks at classes and weights alone, so that
    each is kept as often in any order.

    Raises:
        AssertionError: if it does not; the message names the problem.
    """
    expect_protocol(sampler, NoiseSampler)
    for seed in seeds:
        where, count = f" (problem {seed})", seed % 13
        pseudo, places = pseudo_drawn(seed, count), torch.arange(count)
        numbered = PseudoInstances(places, pseudo.label, pseudo.weight, seed=places)
        before = copy.deepcopy(pseudo)

        kept, again, same_places = (
            sampler(one, torch.Generator().manual_seed(seed))
            for one in (pseudo, pseudo, numbered)
        )

        expect(same(kept, again), sampler, f"the same with the same generator{where}")
        expect(same(pseudo, before), sampler, f"arguments to stay as they are{where}")
        chosen = same_places.index
        text = (
            f"pseudo instances in their order, each once, got {chosen.tolist()}{where}"
        )
        expect(chosen.diff().gt(0).all(), sampler, text)
        text = f"the same ones whichever proposals they are{where}"
        expect(kept.index.equal(pseudo.index[chosen]), sampler, text)
        text = f"seed, label and weight to go with the index{where}; use pseudo.chosen"
        expect(same(same_places, numbered.chosen(chosen)), sampler, text)
        text = f"some of each class{where}"
        expect(kept.label.unique().equal(pseudo.label.unique()), sampler, text)
    _check_share(sampler)


def _check_share(sampler: NoiseSampler) -> None:
    pseudo, draws = pseudo_drawn(7, 6), 400
    share = []
    for places in (torch.arange(6), order(3, 6)):
        numbered = PseudoInstances(places, pseudo.label[places], pseudo.weight[places])
        generator = torch.Generator().manual_seed(0)
        kept = [sampler(numbered, generator).index for _ in range(draws)]
        share.append(torch.cat(kept).bincount(minlength=6) / draws)
    # Five standard deviations of the difference of two shares of 400 draws.
    fits = torch.allclose(share[0], share[1], atol=0.18)
    expect(fits, sampler, "each pseudo instance to be kept as often in any order")


def check_assigner(assigner: Assigner, *, seeds: Iterable[int] = SEEDS) -> None:
    """Check that an assigner keeps to its contract, in every branch.

    Every proposal gets a target: ignored, background, or the class of the pseudo
    instance that it is assigned to, with an integrity in [0, 1]. Targets follow their
    proposals in any order; a copy of a proposal gets its original's; a pseudo instance
    that is given twice changes nothing, and its own proposal is foreground.

    Raises:
        AssertionError: if it does not; the message names branch and problem.
    """
    expect_protocol(assigner, Assigner)
    for seed in seeds:
        for branch in range(BRANCHES):
            part = assigner.at(branch) if isinstance(assigner, Cascading) else assigner
            _check_assigner(part, seed, f" (branch {branch}, problem {seed})")


def _check_assigner(assigner: Assigner, seed: int, where: str) -> None:
    count = 1 + seed % 14
    pseudo, overlap = pseudo_drawn(seed, 1 + seed % 5, count), drawn(seed, count, 3)[1]
    before = copy.deepcopy((pseudo, overlap))
    found = assigner(pseudo, overlap)
    expect(isinstance(found, Targets), assigner, f"Targets{where}")
    columns = (found.label, found.integrity, found.weight, found.assignment)
    text = f"a target for each of {count} proposals{where}"
    expect(all(len(one) == count for one in columns), assigner, text)
    labels, known = found.label.tolist(), {-1, 0, *pseudo.label.tolist()}
    text = f"labels among {sorted(known)}, got {labels}{where}"
    expect(set(labels) <= known, assigner, text)
    integrity = found.integrity
    fits = (integrity >= 0) & (integrity <= 1)
    expect(fits.all(), assigner, f"an integrity in [0, 1]{where}")
    weight = found.weight
    fits = weight.isfinite() & (weight >= 0)
    expect(fits.all(), assigner, f"weights that are finite and at least 0{where}")
    foreground = found.label > 0
    assigned = (found.assignment >= 0) == foreground
    text = f"an assignment for foreground alone, -1 elsewhere{where}"
    expect(assigned.all(), assigner, text)
    given = pseudo.label[found.assignment[foreground]]
    text = f"the label of the pseudo instance that a proposal is assigned to{where}"
    expect(given.equal(found.label[foreground]), assigner, text)
    text = f"a pseudo instance's own proposal to be foreground{where}"
    expect(foreground[pseudo.index].all(), assigner, text)
    expect(
        same(before[0], pseudo) and same(before[1], overlap),
        assigner,
        f"arguments to stay as they are{where}; change a clone()",
    )

    by = order(seed, count)
    moved = PseudoInstances(by.argsort()[pseudo.index], pseudo.label, pseudo.weight)
    there = assigner(moved, overlaps_by(overlap, by))
    text = f"targets to follow their proposals in any order{where}"
    expect(_targets(found, by) == _targets(there), assigner, text)
    copied = torch.cat([torch.arange(count), by[:1]])
    there = assigner(pseudo, overlaps_by(overlap, copied))
    text = f"a copy of a proposal to get its original's target{where}"
    expect(_targets(found, copied) == _targets(there), assigner, text)
    twice = pseudo.chosen(torch.cat([torch.arange(len(pseudo)), torch.tensor([0])]))
    text = f"a pseudo instance that is given twice to change nothing{where}"
    expect(_targets(found) == _targets(assigner(twice, overlap)), assigner, text)


def _targets(
    targets: Targets, by: Int[Tensor, " K"] | None = None
) -> list[tuple[int, float, float, int]]:
    columns = (targets.label, targets.integrity, targets.weight, targets.assignment)
    some = [column if by is None else column[by] for column in columns]
    return list(zip(*(column.tolist() for column in some), strict=True))
