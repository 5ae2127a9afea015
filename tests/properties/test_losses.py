"""What holds for every loss, whatever it is given."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.problems import probabilities
from tests.properties.problems import order
from wsis.contracts import Targets
from wsis.training.losses import (
    bag_loss,
    classification_loss,
    cluster_loss,
    cue_localization_loss,
    integrity_loss,
    mil_loss,
    pcl_loss,
)

COLUMNS = 4
seeds = st.integers(0, 2**31 - 1)
counts = st.integers(1, 12)

Loss = Callable[[Tensor, "Given"], Tensor]


class Given:
    """Targets, clusters, tags and a second matrix of probabilities, drawn together."""

    def __init__(self, seed: int, count: int, by: Tensor | None = None) -> None:
        generator = torch.Generator().manual_seed(seed)
        by = torch.arange(count) if by is None else by
        self.first, self.second = (p[by] for p in probabilities(seed, count, COLUMNS))
        label = torch.randint(-1, COLUMNS, (count,), generator=generator)
        integrity, weight = torch.rand(
            2, count, generator=generator, dtype=torch.double
        )
        self.targets = Targets(
            label[by], integrity[by], weight[by], label.clamp(min=0).sub(1)[by]
        )
        number = torch.randint(COLUMNS + 1, (count,), generator=generator)
        clusters = torch.zeros(count, COLUMNS, dtype=torch.long)
        clusters[torch.arange(count), (number - 1).clamp(min=0) % COLUMNS] = number
        self.clusters = clusters[by]
        # All classes with proposals are present; one without adds a constant to the
        # bag's loss, by the weight of whichever proposal comes first.
        self.tags = torch.isin(torch.arange(1, COLUMNS), label)


AVERAGES: dict[str, Loss] = {
    "classification": lambda p, g: classification_loss(p, g.targets, 1.0),
    "integrity": lambda p, g: integrity_loss(p, g.targets, 1.0),
    "pcl": lambda p, g: pcl_loss(p, g.targets),
    "bag": lambda p, g: bag_loss(p, g.second, g.targets, g.tags, 1.0),
    "bag without integrity": lambda p, g: bag_loss(p, None, g.targets, g.tags, 1.0),
    "clusters": lambda p, g: cluster_loss(p, g.clusters),
}
LOSSES: dict[str, Loss] = {
    **AVERAGES,
    "mil": lambda p, g: mil_loss(p, g.second / len(p), g.tags),
    "localization": lambda p, g: cue_localization_loss(p / len(p), g.clusters),
}
every = pytest.mark.parametrize("name", LOSSES)


def taken(loss: Loss, given: Given) -> tuple[Tensor, Tensor]:
    """A loss and its gradient."""
    scores = given.first.clone().requires_grad_()
    value = loss(scores, given)
    (gradient,) = torch.autograd.grad(value, scores)
    return value.detach(), gradient


@every
@settings(max_examples=25)
@given(seeds, counts)
def test_order_does_not_count(name: str, seed: int, count: int) -> None:
    by = order(seed, count)
    background = bool((Given(seed, count).targets.label == 0).any())

    value, gradient = taken(LOSSES[name], Given(seed, count))
    moved, moved_gradient = taken(LOSSES[name], Given(seed, count, by))

    # Background counts as present, with a proposal or without.
    if background or not name.startswith("bag"):
        torch.testing.assert_close(moved, value)
    torch.testing.assert_close(moved_gradient, gradient[by])


@pytest.mark.parametrize("name", AVERAGES)
@settings(max_examples=25)
@given(seeds, counts)
def test_every_proposal_twice_costs_the_same(name: str, seed: int, count: int) -> None:
    by = torch.arange(2 * count) % count

    value, _ = taken(AVERAGES[name], Given(seed, count))
    twice, _ = taken(AVERAGES[name], Given(seed, count, by))

    # The cluster loss divides by a count and a millionth.
    torch.testing.assert_close(twice, value, rtol=2e-6, atol=1e-9)


@every
@settings(max_examples=25)
@given(seeds, counts)
def test_losses_are_finite_and_not_negative(name: str, seed: int, count: int) -> None:
    for extreme in (0.0, 1.0, None):
        one = Given(seed, count)
        if extreme is not None:
            one.first = torch.full_like(one.first, extreme)

        value, gradient = taken(LOSSES[name], one)

        assert value.isfinite()
        assert value >= 0
        assert gradient.isfinite().all()


@pytest.mark.parametrize("name", ["classification", "integrity", "pcl", "clusters"])
@settings(max_examples=25)
@given(seeds, counts)
def test_what_is_ignored_has_no_gradient(name: str, seed: int, count: int) -> None:
    one = Given(seed, count)
    ignored = one.targets.label < 0
    if name == "clusters":
        ignored = (one.clusters == 0).all(1)

    _, gradient = taken(LOSSES[name], one)

    assert not gradient[ignored].any()


@pytest.mark.parametrize("name", ["mil", "bag", "bag without integrity"])
@settings(max_examples=25)
@given(seeds, counts)
def test_absent_classes_are_pushed_down_and_present_ones_up(
    name: str, seed: int, count: int
) -> None:
    one = Given(seed, count)

    _, gradient = taken(LOSSES[name], one)

    assert (gradient[:, 1:][:, ~one.tags] >= 0).all()
    assert (gradient[:, 1:][:, ~one.tags].sum(0) > 0).all()
    assert (gradient[:, 1:][:, one.tags] <= 0).all()


@pytest.mark.parametrize("name", ["classification", "integrity", "pcl"])
@settings(max_examples=25)
@given(seeds, counts)
def test_only_a_proposals_own_class_counts(name: str, seed: int, count: int) -> None:
    one = Given(seed, count)
    own = torch.arange(COLUMNS) == one.targets.label[:, None]

    _, gradient = taken(LOSSES[name], one)

    assert not gradient[~own].any()
