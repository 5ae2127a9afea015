import pytest
import torch

from benchmarks.plain_mining import found
from tests.problems import pseudo_of
from wsis.contracts import NoiseSampler, PseudoInstances
from wsis.mining.sampling import AntiNoiseSampler, KeepAll

SAMPLER: NoiseSampler = AntiNoiseSampler()


def shares(pseudo: PseudoInstances, draws: int) -> torch.Tensor:
    """How often each pseudo instance is kept; indices must be 0…S−1."""
    generator = torch.Generator().manual_seed(0)
    kept = torch.zeros(len(pseudo))
    for _ in range(draws):
        kept[SAMPLER(pseudo, generator).index] += 1
    return kept / draws


def test_each_is_kept_as_often_as_n_draws_of_its_class_find_it() -> None:
    pseudo = pseudo_of(
        (0, 1, 0.5), (1, 2, 0.1), (2, 1, 0.25), (3, 1, 0.25), (4, 2, 0.3)
    )

    share = shares(pseudo, draws=4000)

    p, n = torch.tensor([0.5, 0.25, 0.25, 0.25, 0.75]), torch.tensor([3, 2, 3, 3, 2])
    # Five standard deviations of a share of 4,000 draws are below 0.04.
    assert torch.allclose(share, 1 - (1 - p) ** n, atol=0.04)


def test_the_only_one_of_a_class_stays() -> None:
    pseudo = pseudo_of((0, 1, 1e-30), (1, 2, 0.5), (2, 3, 0.0))

    for seed in range(20):
        kept = SAMPLER(pseudo, torch.Generator().manual_seed(seed))
        assert kept.index.tolist() == [0, 1, 2]


def test_weightless_ones_go_unless_all_are() -> None:
    assert shares(pseudo_of((0, 1, 0.5), (1, 1, 0.0)), draws=50).tolist() == [1, 0]
    share = shares(pseudo_of((0, 1, 0.0), (1, 1, 0.0)), draws=1000)
    assert torch.allclose(share, torch.tensor(0.75), atol=0.07)


def test_weights_whose_sum_underflows_are_drawn_by_their_ratio() -> None:
    share = shares(pseudo_of((0, 1, 1e-44), (1, 1, 1e-44)), draws=1000)

    assert torch.allclose(share, torch.tensor(0.75), atol=0.07)


def test_keeps_order_labels_and_weights() -> None:
    pseudo = pseudo_of((7, 2, 0.5), (3, 1, 0.25), (5, 2, 0.125), (1, 1, 0.75))
    generator = torch.Generator().manual_seed(3)

    kept = found(SAMPLER(pseudo, generator))

    assert kept == [row for row in found(pseudo) if row in kept]


def test_one_seed_gives_one_draw() -> None:
    pseudo = pseudo_of(*[(i, 1, 0.5) for i in range(40)])

    first, again, other = (
        SAMPLER(pseudo, torch.Generator().manual_seed(seed)).index.tolist()
        for seed in (1, 1, 2)
    )

    assert first == again != other


def test_nothing_stays_nothing() -> None:
    assert len(SAMPLER(pseudo_of(), torch.Generator())) == 0


@pytest.mark.parametrize("weight", [-0.5, float("nan"), float("inf")])
def test_refuses_what_is_no_weight(weight: float) -> None:
    with pytest.raises(ValueError, match="weights must be finite and >= 0"):
        SAMPLER(pseudo_of((0, 1, weight), (1, 1, 0.5)), torch.Generator())


def test_keep_all_keeps_all_and_draws_nothing() -> None:
    sampler: NoiseSampler = KeepAll()
    pseudo = pseudo_of((0, 1, 0.5), (1, 1, 0.0))
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state()

    assert found(sampler(pseudo, generator)) == found(pseudo)
    assert torch.equal(generator.get_state(), state)
