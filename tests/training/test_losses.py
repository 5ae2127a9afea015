from math import log

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.problems import probabilities, tags_of
from wsis.contracts import BranchScores, Targets
from wsis.training.losses import (
    bag_loss,
    classification_loss,
    cluster_loss,
    cue_localization_loss,
    integrity_loss,
    mil_loss,
    pcl_loss,
    refinement_losses,
)

# Two proposals of class 1, one background, one ignored; class 2 is absent.
TARGETS = Targets(
    label=torch.tensor([1, 1, 0, -1]),
    integrity=torch.tensor([1.0, 0.0, 0.0, 0.0]),
    weight=torch.tensor([0.5, 0.25, 1.0, 0.0]),
    assignment=torch.tensor([0, 0, -1, -1]),
)
CLS = torch.tensor(
    [[0.25, 0.5, 0.25], [0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.0, 0.25, 0.75]]
)
INTEGRITY = torch.tensor(
    [[0.0, 0.5, 0.0], [0.0, 0.5, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 0.5]]
)
TAGS = tags_of(1, 0)


def drawn_targets(seed: int, count: int, columns: int) -> Targets:
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(-1, columns, (count,), generator=generator)
    return Targets(
        label,
        torch.rand(count, generator=generator, dtype=torch.double),
        torch.rand(count, generator=generator, dtype=torch.double).where(label >= 0, 0),
        torch.where(label > 0, label % 3, -1),
    )


def bce(probability: float, target: float) -> float:
    probability = min(max(probability, 1e-6), 1 - 1e-6)
    return -log(probability) if target else -log(1 - probability)


def test_classification_by_hand() -> None:
    expected = (log(2) * 0.5 + log(4) * 0.25 + log(2) * 1.0) / 3

    loss = classification_loss(CLS, TARGETS, scale=1.0)

    assert loss.item() == pytest.approx(expected)
    assert classification_loss(CLS, TARGETS, 3.0).item() == pytest.approx(3 * expected)


def test_integrity_by_hand() -> None:
    expected = (0.125 * 0.5 + 0.125 * 0.25) / 2

    assert integrity_loss(INTEGRITY, TARGETS, 1.0).item() == pytest.approx(expected)


def test_bag_by_hand() -> None:
    # Background: proposal 2 alone; class 1: proposal 0; class 2: proposal 3, though
    # ignored, as the best of all.
    expected = 1.0 * bce(0.25, 1) + 0.5 * bce(0.25, 1) + bce(0.375, 0)

    loss = bag_loss(CLS, INTEGRITY, TARGETS, TAGS, scale=1.0)

    assert loss.item() == pytest.approx(expected / 3)
    tripled = 3 * bce(0.25, 1) + 1.5 * bce(0.25, 1) + bce(0.375, 0)
    loss = bag_loss(CLS, INTEGRITY, TARGETS, TAGS, scale=3.0)
    assert loss.item() == pytest.approx(tripled / 3)


def test_a_present_class_without_proposals_adds_a_constant_to_the_bag() -> None:
    cls = CLS.clone().requires_grad_()

    loss = bag_loss(cls, INTEGRITY, TARGETS, tags_of(1, 1), scale=1.0)
    (gradient,) = torch.autograd.grad(loss, cls)

    expected = 1.0 * bce(0.25, 1) + 0.5 * bce(0.25, 1) + 0.5 * bce(0.0, 1)
    assert loss.item() == pytest.approx(expected / 3)
    assert gradient[:, 2].tolist() == [0] * 4


def test_mil_by_hand() -> None:
    cls = torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.75, 0.0]])
    det = torch.tensor([[0.5, 0.0, 1.0], [0.5, 1.0, 0.0]])

    loss = mil_loss(cls, det, tags_of(1, 0))

    assert loss.item() == pytest.approx(
        (bce(0.375, 1) + bce(0.75, 1) + bce(0.25, 0)) / 3
    )


def test_clusters_by_hand() -> None:
    clusters = torch.tensor([[0, 1, 0], [0, 1, 0], [2, 0, 0], [0, 0, 0]])
    # The cluster of two is judged by its mean, (0.375, 0.375, 0.25).
    foreground = 2 * (bce(0.375, 0) + bce(0.375, 1) + bce(0.25, 0)) / 3
    background = (bce(0.5, 1) + bce(0.25, 0) + bce(0.25, 0)) / 3

    loss = cluster_loss(CLS, clusters)

    assert loss.item() == pytest.approx(12 * (foreground + background) / 3)


def test_no_clusters_cost_nothing() -> None:
    assert cluster_loss(CLS, torch.zeros(4, 3, dtype=torch.long)).item() == 0


def test_localization_on_cues_by_hand() -> None:
    det = torch.tensor([[0.7, 0.25, 0.1], [0.1, 0.25, 0.1], [0.1, 0.25, 0.2]])
    det = torch.cat([det, 1 - det.sum(0, keepdim=True)])
    # Two clusters of class 1, one of class 2; the background's does not count.
    clusters = torch.tensor([[0, 1, 0], [0, 2, 0], [0, 0, 3], [4, 0, 0]])

    loss = cue_localization_loss(det, clusters)

    assert loss.item() == pytest.approx((-log(0.5) - log(0.2)) / 2)


def test_localization_without_foreground_cues_costs_nothing() -> None:
    clusters = torch.tensor([[1, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]])

    assert cue_localization_loss(CLS, clusters).item() == 0


def test_pcl_by_hand() -> None:
    # The cluster of two is judged by its mean, 0.375.
    expected = -(0.5 + 0.25) * log(0.375) + 1.0 * log(2)

    assert pcl_loss(CLS, TARGETS).item() == pytest.approx(expected / 4)


def test_refinement_adds_the_factors() -> None:
    scores = BranchScores(CLS, INTEGRITY)

    first, later = (refinement_losses(scores, TARGETS, TAGS, branch=k) for k in (0, 1))

    plain = integrity_loss(INTEGRITY, TARGETS, 1.0).item()
    assert later.integrity.item() == pytest.approx(3 * plain)
    assert first.integrity.item() == pytest.approx(9 * plain)
    assert first.classification.item() == pytest.approx(3 * later.classification.item())
    assert first.bag.item() == bag_loss(CLS, INTEGRITY, TARGETS, TAGS, 3.0).item()
    parts = first.classification + first.integrity + first.bag
    assert first.total.item() == parts.item()


def test_refinement_by_cluster_has_pcls_loss() -> None:
    scores = BranchScores(CLS, INTEGRITY)

    alone, together = (
        refinement_losses(scores, TARGETS, TAGS, branch=0, by_cluster=by_cluster)
        for by_cluster in (False, True)
    )

    assert together.classification.item() == pytest.approx(
        3 * pcl_loss(CLS, TARGETS).item()
    )
    assert together.classification != alone.classification
    assert together.integrity.equal(alone.integrity)
    assert together.bag.equal(alone.bag)


def test_certain_probabilities_give_finite_losses_and_gradients() -> None:
    cls = torch.eye(3)[[2, 2, 2, 2]].requires_grad_()
    clusters = torch.tensor([[0, 1, 0], [0, 1, 0], [2, 0, 0], [0, 0, 0]])

    total = (
        refinement_losses(BranchScores(cls, cls), TARGETS, TAGS, branch=0).total
        + mil_loss(cls, cls, TAGS)
        + cluster_loss(cls, clusters)
        + pcl_loss(cls, TARGETS)
    )
    (gradient,) = torch.autograd.grad(total, cls)

    assert total.isfinite()
    assert gradient.isfinite().all()


def test_nobody_labelled_costs_nothing() -> None:
    ignored = Targets(
        torch.full((4,), -1), torch.zeros(4), torch.zeros(4), torch.full((4,), -1)
    )

    assert classification_loss(CLS, ignored, 1.0).item() == 0
    assert integrity_loss(INTEGRITY, ignored, 1.0).item() == 0
    assert pcl_loss(CLS, ignored).item() == 0


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(2, 5))
def test_refinement_matches_the_loops(seed: int, count: int, columns: int) -> None:
    cls, integrity = probabilities(seed, count, columns)
    targets = drawn_targets(seed, count, columns)
    tags = torch.arange(columns - 1) % 2 == seed % 2

    rows = list(enumerate(targets.label.tolist()))
    weight = targets.weight.tolist()
    labelled = [i for i, c in rows if c >= 0]
    foreground = [i for i, c in rows if c > 0]
    classification = sum(
        bce(float(cls[i, c]), 1) * weight[i] for i, c in rows if c >= 0
    )
    integral = 0.0
    for i in foreground:
        gap = float(integrity[i, targets.label[i]] - targets.integrity[i])
        integral += gap * gap / 2 * weight[i]
    bag = 0.0
    for c in range(columns):
        if c == 0 or tags[c - 1]:
            score = [float(cls[i, c] * integrity[i, c]) * (k == c) for i, k in rows]
            best = score.index(max(score))
            bag += bce(score[best], 1) * weight[best]
        else:
            bag += bce(float((cls[:, c] * integrity[:, c]).max()), 0)

    assert classification_loss(cls, targets, 1.0).item() == pytest.approx(
        classification / max(len(labelled), 1)
    )
    assert integrity_loss(integrity, targets, 1.0).item() == pytest.approx(
        integral / max(len(foreground), 1)
    )
    assert bag_loss(cls, integrity, targets, tags, 1.0).item() == pytest.approx(
        bag / columns
    )


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(2, 5))
def test_clusters_match_the_plain_loop(seed: int, count: int, columns: int) -> None:
    cls, _ = probabilities(seed, count, columns)
    generator = torch.Generator().manual_seed(seed)
    number = torch.randint(columns + 1, (count,), generator=generator)
    clusters = torch.zeros(count, columns, dtype=torch.long)
    # Cluster k lies in column k − 1 (the last one in column 1), cluster 0 is none.
    clusters[torch.arange(count), (number - 1).where(number < columns, 1)] = number

    total = 0.0
    for k in range(1, columns + 1):
        members = [i for i in range(count) if number[i] == k]
        column = 1 if k == columns else k - 1
        judged = [cls[i] for i in members]
        if column and members:
            judged = [cls[members].mean(0)] * len(members)
        for row in judged:
            total += (
                sum(bce(float(p), j == column) for j, p in enumerate(row)) / columns
            )
    labelled = int((number > 0).sum())

    assert cluster_loss(cls, clusters).item() == pytest.approx(
        12 * total / (labelled + 1e-6)
    )
