import torch

from wsis._support.randomness import generator, seeded


def test_seeds_and_purposes_have_streams_of_their_own():
    drawn = {
        torch.rand(1, generator=generator(seed, purpose)).item()
        for seed in range(3)
        for purpose in ("order", "sampling")
    }

    assert len(drawn) == 6
    first, again = (torch.rand(4, generator=generator(1, "order")) for _ in range(2))
    assert first.equal(again)


def test_seeded_modules_repeat_and_the_global_state_stays():
    before = torch.random.get_rng_state()
    with seeded(3):
        first = torch.nn.Linear(2, 2).weight
    with seeded(3):
        again = torch.nn.Linear(2, 2).weight

    assert first.equal(again)
    assert torch.random.get_rng_state().equal(before)
