from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from tests.builders import random_proposals, strips
from wsis.contracts import BranchScores, PseudoInstances
from wsis.geometry.overlap import overlaps
from wsis.heads.refinement import RefinementHead
from wsis.mining.assignment import CascadeAssigner
from wsis.mining.cim import CIMMiner
from wsis.mining.sampling import KeepAll
from wsis.training.losses import cluster_loss, mil_loss, refinement_losses
from wsis.training.network import Model, Scores
from wsis.training.supervision import (
    Losses,
    PartError,
    Strategy,
    _on_host,
    at_most,
    clusters_as_instances,
    supervise,
)

TAGS = torch.tensor([True, False])


class Identity(nn.Module):
    """A head whose pooled features are the vectors."""

    width = 6

    def pool(self, view):
        raise NotImplementedError

    def forward(self, pooled):
        return pooled


def strategy(miner=None):
    return Strategy(
        miner=miner or CIMMiner(), sampler=KeepAll(), assigner=CascadeAssigner()
    )


def model(seed=0, branches=3):
    torch.manual_seed(seed)
    return Model(head=Identity(), classes=2, branches=branches)


def test_branches_learn_from_the_branch_before():
    seen = []
    scores = model()(torch.randn(12, 6))

    supervise(
        scores,
        overlaps(random_proposals(12)),
        TAGS,
        None,
        strategy(),
        torch.Generator(),
        seen.append,
    )

    assert [step.branch for step in seen] == [0, 1, 2]
    teachers = (scores.anti_noise, *scores.branches[:-1])
    for step, teacher in zip(seen, teachers, strict=True):
        assert step.scores.classification.equal(teacher.classification)
        assert step.scores.localization.equal(teacher.localization)
        assert not step.scores.classification.requires_grad


def test_thresholds_rise_from_branch_to_branch():
    parts = [strategy().at(k) for k in range(3)]

    assert [part.miner.t_cls for part in parts] == pytest.approx([0.25, 0.35, 0.45])
    assert [part.assigner.t_iou for part in parts] == pytest.approx([0.5, 0.6, 0.7])


def test_gradients_of_a_branch_leave_its_teacher_alone():
    network = model()
    scores = network(torch.randn(12, 6))

    losses = supervise(
        scores,
        overlaps(random_proposals(12)),
        TAGS,
        None,
        strategy(),
        torch.Generator(),
    )
    losses.classification.backward()

    assert network.anti_noise.classifier.weight.grad is None
    assert network.refinement[0].classification.weight.grad.abs().sum() > 0


def test_an_image_in_which_nothing_is_mined_still_teaches_the_anti_noise_branch():
    def nothing(scores, overlaps, tags):
        none = torch.zeros(0, dtype=torch.long)
        return PseudoInstances(none, none, torch.zeros(0))

    scores = model()(torch.randn(5, 6))
    losses = supervise(
        scores,
        overlaps(random_proposals(5)),
        TAGS,
        None,
        strategy(nothing),
        torch.Generator(),
    )

    assert losses.classification == 0
    assert losses.mil > 0
    assert losses.foreground == (0, 0, 0)
    assert losses.total.equal(losses.mil)


def test_cues_add_their_loss():
    scores = model()(torch.randn(5, 6))
    overlap = overlaps(random_proposals(5))
    clusters = torch.zeros(5, 3, dtype=torch.long)
    clusters[:2, 1] = 1
    clusters[2:, 0] = 2

    without, with_cues = (
        supervise(scores, overlap, TAGS, cues, strategy(), torch.Generator())
        for cues in (None, clusters)
    )

    assert without.cluster == 0
    assert with_cues.cluster > 0
    assert with_cues.mil.equal(without.mil)


def test_cues_lead_the_localization_where_asked():
    scores = model()(torch.randn(5, 6))
    overlap = overlaps(random_proposals(5))
    clusters = torch.zeros(5, 3, dtype=torch.long)
    clusters[:2, 1] = 1
    led = replace(strategy(), cue_localization=2.0)

    plain, twice = (
        supervise(scores, overlap, TAGS, clusters, how, torch.Generator())
        for how in (strategy(), led)
    )

    assert plain.localization == 0
    mass = scores.anti_noise.localization[:2, 1].sum()
    assert twice.localization.item() == pytest.approx(-2 * mass.log().item())
    assert twice.total.item() == pytest.approx(
        plain.total.item() + twice.localization.item()
    )


def test_a_strategy_may_classify_by_cluster():
    scores = model()(torch.randn(5, 6))
    overlap = overlaps(random_proposals(5))

    alone, together = (
        supervise(scores, overlap, TAGS, None, how, torch.Generator())
        for how in (strategy(), replace(strategy(), by_cluster=True))
    )

    assert together.classification != alone.classification
    assert together.bag.equal(alone.bag)


def test_without_integrity_classification_alone_counts():
    with_it, without = (
        Model(head=Identity(), classes=2, integrity=integrity)
        for integrity in (True, False)
    )
    scores = without(torch.randn(12, 6))
    losses = supervise(
        scores,
        overlaps(random_proposals(12)),
        TAGS,
        None,
        strategy(),
        torch.Generator(),
    )

    assert all(branch.localization is None for branch in scores.branches)
    mean = torch.stack([b.classification for b in scores.branches]).mean(0)
    assert scores.final().equal(mean[:, 1:])
    assert losses.integrity == 0
    assert losses.classification > 0
    assert not any("integrity" in name for name in without.state_dict())
    assert any("integrity" in name for name in with_it.state_dict())


def test_integrity_that_starts_all_but_certain_is_mined_by_integrity():
    overlap = overlaps(strips((0, 8), (0, 2), (9, 10), (9, 10)))
    head = RefinementHead(width=6, classes=2, prior=0.99999999)
    integrity = head(torch.randn(4, 6)).localization
    cls = torch.tensor([[0.0, 0.25, 0.75], [0.0, 0.75, 0.25], [1, 0, 0], [1, 0, 0]])
    teacher, seen = BranchScores(cls, integrity), []
    scores = Scores(model()(torch.randn(4, 6)).anti_noise, (teacher, teacher))

    supervise(scores, overlap, TAGS, None, strategy(), torch.Generator(), seen.append)

    # In float32 that prior is exactly 1: the whole and its part are equally whole, and
    # the first is taken, though the part is classified better.
    assert bool((integrity == 1).all())
    assert seen[1].pseudo.index.tolist() == [0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted(Strategy):
    """A strategy with one more setting."""

    note: str = ""


def test_a_branch_keeps_every_setting_that_does_not_depend_on_it():
    parts = {"miner": CIMMiner(), "sampler": KeepAll(), "assigner": CascadeAssigner()}
    whole = Noted(**parts, by_cluster=True, anti_noise=False, note="kept")

    part = whole.at(1)

    assert part == replace(
        whole, miner=whole.miner.at(1), assigner=whole.assigner.at(1)
    )
    assert part.note == "kept"


def test_a_cluster_is_taught_by_the_proposal_amid_it():
    overlap = overlaps(random_proposals(9))
    clusters = torch.zeros(9, 3, dtype=torch.long)
    clusters[:4, 1] = 1
    clusters[4:6, 2] = 2
    clusters[6:, 0] = 3

    found = clusters_as_instances(clusters, overlap)

    amid = [
        max(members, key=lambda i: sum(overlap.iou[i, j].item() for j in members))
        for members in (range(4), range(4, 6))
    ]
    assert found.index.tolist() == amid
    assert found.label.tolist() == [1, 2]
    assert found.weight.tolist() == [1, 1]


def test_without_an_anti_noise_branch_the_cues_teach_branch_0():
    scores, seen = model()(torch.randn(9, 6)), []
    overlap = overlaps(random_proposals(9))
    clusters = torch.zeros(9, 3, dtype=torch.long)
    clusters[:4, 1] = 1
    clusters[4:, 0] = 2
    bare = replace(strategy(), anti_noise=False)

    losses = supervise(
        scores, overlap, TAGS, clusters, bare, torch.Generator(), seen.append
    )

    expected = clusters_as_instances(clusters, overlap)
    assert seen[0].pseudo.index.equal(expected.index)
    assert seen[1].scores.classification.equal(scores.branches[0].classification)
    assert losses.mil == losses.cluster == 0
    with pytest.raises(ValueError, match="expected cues to teach branch 0"):
        supervise(scores, overlap, TAGS, None, bare, torch.Generator())


def pseudo(*rows):
    """Pseudo instances as (proposal, class, weight)."""
    index, label, weight = zip(*rows, strict=True)
    return PseudoInstances(
        torch.tensor(index), torch.tensor(label), torch.tensor(weight)
    )


def test_counted_classes_keep_as_many_objects_the_heaviest():
    proposals = strips((0, 4), (0, 3), (6, 8), (9, 10))
    mined = pseudo((1, 1, 0.8), (3, 1, 0.2), (0, 1, 0.9), (2, 1, 0.5), (3, 2, 0.1))

    def kept(*counts):
        some = at_most(torch.tensor(counts), mined, overlaps(proposals))
        return list(zip(some.index.tolist(), some.label.tolist(), strict=True))

    assert kept(0, 0) == [(1, 1), (3, 1), (0, 1), (2, 1), (3, 2)]
    assert kept(1, 0) == [(0, 1), (3, 2)]
    # Proposal 1 has an IoU of 0.75 with 0: it is the same object.
    assert kept(2, 1) == [(0, 1), (2, 1), (3, 2)]
    assert kept(9, 0) == [(3, 1), (0, 1), (2, 1), (3, 2)]


def test_counts_reach_every_branch():
    seen = []
    proposals, scores = random_proposals(12), model()(torch.randn(12, 6))

    supervise(
        scores,
        overlaps(proposals),
        TAGS,
        None,
        strategy(CIMMiner(p_seed=1.0)),
        torch.Generator(),
        seen.append,
        counts=torch.tensor([1, 0]),
    )

    assert [len(step.pseudo) for step in seen] == [1, 1, 1]


def test_a_teacher_takes_the_place_of_miner_sampler_and_cues():
    def none(*given):
        raise AssertionError("asked in vain")

    seen, taught = [], pseudo((0, 1, 1.0), (2, 1, 1.0))
    scores = model()(torch.randn(3, 6))
    parts = replace(strategy(none), sampler=none)

    losses = supervise(
        scores,
        overlaps(strips((0, 4), (0, 3), (6, 8))),
        TAGS,
        None,
        parts,
        torch.Generator(),
        seen.append,
        taught=taught,
    )

    assert [step.pseudo for step in seen] == [taught] * 3
    assert seen[0].targets.label.tolist() == [1, 1, 1]
    assert losses.cluster > 0


# --- One image's losses, and what parts may give ---


def test_losses_are_summed_and_named():
    parts = torch.tensor([1.0, 2, 4, 8, 16, 32], requires_grad=True)
    losses = Losses(*parts.unbind(), (3, 0))

    assert losses.total.item() == 63
    assert losses.named() == {
        "classification": 1,
        "integrity": 2,
        "bag": 4,
        "mil": 8,
        "cluster": 16,
        "localization": 32,
        "total": 63,
    }


@pytest.mark.parametrize("by_cluster", [False, True])
def test_every_branch_adds_its_losses_and_is_seen(by_cluster):
    scores, seen = model()(torch.randn(9, 6)), []
    overlap, how = overlaps(random_proposals(9)), strategy(CIMMiner(p_seed=0.5))
    how = replace(how, by_cluster=by_cluster)
    clusters = torch.zeros(9, 3, dtype=torch.long)
    clusters[:4, 1] = 1

    found = supervise(
        scores, overlap, TAGS, clusters, how, torch.Generator(), seen.append
    )

    sums = torch.zeros(3)
    for k, branch in enumerate(scores.branches):
        step, part = seen[k], how.at(k)
        mined = part.miner(step.scores, overlap, TAGS)
        assert step.pseudo.index.equal(mined.index)
        targets = part.assigner(mined, overlap)
        assert step.targets.label.equal(targets.label)
        assert found.foreground[k] == int((targets.label > 0).sum()) > 0
        one = refinement_losses(branch, targets, TAGS, k, by_cluster=by_cluster)
        sums += torch.stack([one.classification, one.integrity, one.bag]).detach()
        assert step.taught.classification.equal(branch.classification)
        assert not step.taught.classification.requires_grad
        assert (step.image_id, step.epoch) == (None, None)
    torch.testing.assert_close(
        torch.stack([found.classification, found.integrity, found.bag]).detach(), sums
    )
    anti_noise = scores.anti_noise
    cls, det = anti_noise.classification, anti_noise.localization
    assert found.mil.equal(mil_loss(cls, det, TAGS))
    assert found.cluster.equal(cluster_loss(cls, clusters))
    assert found.localization == 0


def test_a_branch_for_which_nothing_is_mined_is_seen_without_targets():
    def later(scores, overlaps, tags):
        empty = scores.classification.equal(first.classification)
        index = torch.zeros(0 if empty else 1, dtype=torch.long)
        return PseudoInstances(index, index + 1, torch.ones(len(index)))

    scores, seen = model()(torch.randn(4, 6)), []
    first = scores.anti_noise.detach()
    found = supervise(
        scores,
        overlaps(random_proposals(4)),
        TAGS,
        None,
        strategy(later),
        torch.Generator(),
        seen.append,
    )

    assert seen[0].targets is None
    assert len(seen[0].pseudo) == found.foreground[0] == 0
    assert found.foreground[1] > 0
    assert seen[1].targets is not None


@dataclass(frozen=True)
class Giving:
    """A miner that gives what it is told."""

    index: tuple = (0,)
    label: tuple = (1,)
    weight: tuple = (1.0,)

    def __call__(self, scores, overlaps, tags):
        values = self.index, self.label, self.weight
        return PseudoInstances(*map(torch.tensor, values))


def mined(miner, tags=(True, True, False), **changes):
    how = replace(strategy(miner), **changes)
    overlap = overlaps(strips((0, 4), (2, 6), (8, 9)))
    cls, det = torch.full((3, 4), 0.25), torch.full((3, 4), 1 / 3)
    clusters = torch.tensor([[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]])
    scores = BranchScores(cls, det)
    tags = torch.tensor(tags)
    return how.mined(0, [scores, scores], overlap, tags, clusters)


@pytest.mark.parametrize(
    "miner", [Giving(), Giving((2, 0), (1, 2), (1.0, 0.5)), Giving((2,), (2,))]
)
def test_what_a_miner_may_give_passes_as_it_is(miner):
    for one in mined(miner):
        assert (tuple(one.index.tolist()), tuple(one.label.tolist())) == (
            miner.index,
            miner.label,
        )
        assert tuple(one.weight.tolist()) == miner.weight


@pytest.mark.parametrize(
    ("miner", "message"),
    [
        (Giving((3,)), r"expected proposals 0…2 from the miner Giving, got 3…3"),
        (Giving((0, -1), (1, 1), (1.0, 1.0)), r"proposals 0…2 .*, got -1…0"),
        (Giving((0,), (0,)), r"tags, \[\[1\], \[2\]\], of the miner Giving, got \[0\]"),
        (Giving((0,), (3,)), r"labels of the photo's tags, .*, got \[3\]"),
        (Giving((0,), (4,)), r"labels of the photo's tags, .*, got \[4\]"),
        (
            Giving((0, 0), (1, 3), (1.0, 1.0)),
            r"labels of the photo's tags, .*, got \[1, 3\]",
        ),
        (Giving((0,), (1,), (float("nan"),)), "finite numbers from the part Giving"),
        (Giving((0,), (1,), (float("inf"),)), "finite numbers from the part Giving"),
    ],
)
def test_what_a_miner_may_not_give_names_it(miner, message):
    with pytest.raises(PartError, match=message):
        mined(miner)
    # Of cues, branch 0 takes any class; branch 1 is mined.
    with pytest.raises(PartError, match=message):
        mined(miner, anti_noise=False)


def test_cues_that_teach_branch_0_may_be_of_any_class():
    first, second = mined(Giving(), anti_noise=False)

    assert (first.index.tolist(), first.label.tolist()) == ([0], [3])
    assert second.label.tolist() == [1]


def test_mining_begins_at_the_branch_that_is_asked_for():
    @dataclass(frozen=True)
    class Numbered(Giving):
        branch: int = -1

        def at(self, branch):
            return replace(self, weight=(float(branch),))

    how = strategy(Numbered())
    overlap, tags = overlaps(strips((0, 4), (2, 6))), TAGS
    scores = BranchScores(torch.full((2, 3), 1 / 3), None)

    found = how.mined(1, [scores, scores], overlap, tags, None)
    assert [one.weight.item() for one in found] == [1, 2]
    assert how.mined(2, [scores], overlap, tags, None)[0].weight.item() == 2
    bare = replace(how, anti_noise=False)
    assert bare.mined(1, [scores], overlap, tags, None)[0].weight.item() == 1


@pytest.mark.parametrize("field", ["weight", "integrity"])
def test_an_assigner_that_gives_nan_is_named(field):
    class Broken:
        def __call__(self, pseudo, overlaps):
            targets = CascadeAssigner()(pseudo, overlaps)
            return replace(targets, **{field: targets.weight * float("nan")})

    how = replace(strategy(), assigner=Broken())
    with pytest.raises(PartError, match="finite numbers from the part Broken"):
        supervise(
            model()(torch.randn(4, 6)),
            overlaps(random_proposals(4)),
            TAGS,
            None,
            how,
            torch.Generator(),
        )


def test_the_anti_noise_branch_needs_a_localization():
    whole = model()(torch.randn(4, 6))
    bare = replace(whole.anti_noise, localization=None)

    with pytest.raises(ValueError, match="branch with localization, got none"):
        supervise(
            Scores(bare, whole.branches),
            overlaps(random_proposals(4)),
            TAGS,
            None,
            strategy(Giving()),
            torch.Generator(),
        )


def test_amid_a_cluster_the_first_of_equals_and_no_background():
    overlap = overlaps(strips((0, 4), (0, 4), (6, 8), (0, 5), (6, 8)))
    clusters = torch.zeros(5, 4, dtype=torch.long)
    clusters[[1, 0], 3] = 7
    clusters[[2, 4], 1] = 2
    clusters[3, 0] = 1

    found = clusters_as_instances(clusters, overlap)

    assert found.index.tolist() == [2, 0]
    assert found.label.tolist() == [1, 3]
    assert found.weight.tolist() == [1, 1]
    none = clusters_as_instances(torch.zeros_like(clusters), overlap)
    assert (len(none), none.index.dtype) == (0, torch.long)


def test_two_halves_of_an_object_are_one_and_less_are_two():
    """IoU 0.5 is the same object, 0.4 is not; of equal weights the earlier stays."""
    proposals = strips((0, 4), (0, 2), (0, 5), (3, 8))
    mined = pseudo((0, 1, 0.5), (1, 1, 0.5), (3, 1, 0.25), (2, 2, 0.125))

    def kept(*counts):
        some = at_most(torch.tensor(counts), mined, overlaps(proposals))
        return some.index.tolist()

    assert kept(3, 1) == [0, 3, 2]
    assert kept(1, 0) == [0, 2]
    assert kept(2, 0) == [0, 3, 2]
    three = pseudo((1, 1, 0.5), (0, 1, 0.5))
    assert at_most(torch.tensor([2]), three, overlaps(proposals)).index.tolist() == [1]


class Far(torch.Tensor):
    """Says that it is on a card."""

    device = property(lambda self: torch.device("cuda"))


def test_pseudo_instances_come_from_a_card_together():
    def far(*values):
        return torch.tensor(values).as_subclass(Far)

    given = [
        PseudoInstances(far(3, 4), far(1, 2), far(0.5, 0.25), seed=far(5, 6)),
        PseudoInstances(far(7), far(3), far(0.75)),
    ]

    first, second = _on_host(given)

    assert (first.index.tolist(), first.label.tolist()) == ([3, 4], [1, 2])
    assert (first.weight.tolist(), first.seed.tolist()) == ([0.5, 0.25], [5, 6])
    assert (second.index.tolist(), second.label.tolist()) == ([7], [3])
    assert (second.weight.tolist(), second.seed) == ([0.75], None)
    here = [PseudoInstances(torch.tensor([1]), torch.tensor([1]), torch.ones(1))]
    assert _on_host(here)[0] is here[0]
