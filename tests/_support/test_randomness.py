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


def test_seeded_restores_the_state_of_cards_in_use(monkeypatch):
    forked = []
    fork = torch.random.fork_rng

    def fork_rng(devices):
        forked.append(list(devices))
        return fork(devices=[])

    monkeypatch.setattr(torch.random, "fork_rng", fork_rng)
    for used in (False, True):
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda used=used: used)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        # Nothing is to be seeded on cards that are not there.
        monkeypatch.setattr(torch, "manual_seed", lambda seed: None)
        with seeded(0):
            pass

    assert forked == [[], [0, 1]]


def test_seeded_modules_repeat_and_the_global_state_stays():
    before = torch.random.get_rng_state()
    with seeded(3):
        first = torch.nn.Linear(2, 2).weight
    with seeded(3):
        again = torch.nn.Linear(2, 2).weight

    assert first.equal(again)
    assert torch.random.get_rng_state().equal(before)
