import pytest
import torch

from wsis.heads.mil import MILHead
from wsis.heads.refinement import RefinementHead


def test_streams_sum_to_one_over_classes_and_over_proposals():
    torch.manual_seed(0)
    scores = MILHead(width=8, classes=3)(torch.randn(5, 8) * 100)

    assert scores.classification.shape == (5, 4)
    assert scores.classification.sum(1).allclose(torch.ones(5))
    assert scores.localization.sum(0).allclose(torch.ones(4))


def test_integrity_is_a_share_of_each_class_on_its_own():
    torch.manual_seed(0)
    scores = RefinementHead(width=8, classes=3)(torch.randn(5, 8) * 100)

    assert scores.classification.sum(1).allclose(torch.ones(5))
    assert scores.localization.min() >= 0
    assert scores.localization.max() <= 1
    assert not scores.localization.sum(1).allclose(torch.ones(5))


def test_heads_start_small():
    for head in (MILHead(width=400, classes=20), RefinementHead(width=400, classes=20)):
        for name, parameter in head.named_parameters():
            assert parameter.std() < 0.011, name


def test_integrity_starts_at_its_prior() -> None:
    vectors = torch.zeros(3, 8)

    for prior in (0.5, 0.05):
        integrity = RefinementHead(8, 3, prior)(vectors).localization
        assert integrity.allclose(torch.full((3, 4), prior))


def test_without_integrity_there_is_no_localization() -> None:
    assert RefinementHead(8, 3, integrity=False)(torch.zeros(3, 8)).localization is None


@pytest.mark.parametrize("prior", [0.0, 1.0])
def test_a_prior_that_is_certain_is_refused(prior) -> None:
    with pytest.raises(ValueError, match=r"prior must be in \(0, 1\)"):
        RefinementHead(8, 3, prior)
