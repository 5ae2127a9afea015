import pytest
import torch
from torch import nn

from wsis.contracts import BranchScores
from wsis.training.network import Model, Scores

TAGS = torch.tensor([True, False])


class Identity(nn.Module):
    """A head whose pooled features are the vectors."""

    width = 6

    def pool(self, view):
        raise NotImplementedError

    def forward(self, pooled):
        return pooled


def model(seed=0, branches=3):
    torch.manual_seed(seed)
    return Model(head=Identity(), classes=2, branches=branches)


def test_final_scores_are_the_mean_of_products_without_background():
    branches = tuple(BranchScores(torch.rand(4, 3), torch.rand(4, 3)) for _ in range(2))

    final = Scores(branches[0], branches).final()

    expected = sum(b.classification * b.localization for b in branches)[:, 1:] / 2
    assert final.allclose(expected)


def test_what_is_no_head_or_of_no_size_is_refused():
    with pytest.raises(TypeError, match="expected a ProposalHead, got Linear"):
        Model(head=nn.Linear(2, 2), classes=2)
    with pytest.raises(ValueError, match="must be positive, got 0 and 3"):
        Model(head=Identity(), classes=0)


def test_weights_do_not_depend_on_the_switch():
    states = []
    for integrity in (True, False):
        torch.manual_seed(3)
        states.append(
            Model(head=Identity(), classes=2, integrity=integrity).state_dict()
        )

    assert all(states[0][name].equal(weight) for name, weight in states[1].items())
