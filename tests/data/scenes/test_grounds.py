import numpy as np

from wsis.data.scenes._grounds import GROUNDS, ground, near, noise


def test_noise_is_smooth_and_about_nought():
    rough = noise((60, 80), 2, np.random.default_rng(0))
    smooth = noise((60, 80), 20, np.random.default_rng(0))

    assert rough.shape == smooth.shape == (60, 80)
    assert abs(rough).max() < 1.5
    assert abs(rough.mean()) < 0.1
    assert abs(np.diff(smooth)).mean() < abs(np.diff(rough)).mean() / 3


def test_grounds_keep_to_their_colour_and_repeat():
    green = GROUNDS[0]

    first, again = (ground((60, 80), green, np.random.default_rng(3)) for _ in "ab")

    assert first.shape == (60, 80, 3)
    assert np.array_equal(first, again)
    assert first.mean((0, 1)).argmax() == green.argmax()


def test_colours_nearby_stay_colours():
    generator = np.random.default_rng(0)
    for colour in GROUNDS:
        moved = near(colour, 0.4, generator)
        assert moved.min() >= 0
        assert moved.max() <= 1
        assert abs(moved - colour).max() <= 0.4
