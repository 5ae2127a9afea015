import numpy as np
import pytest

from wsis.data.scenes._canvas import Layer
from wsis.data.scenes._figures import FIGURES, NEUTRALS


def drawn(name, seed=0):
    layer = Layer.around((60, 60), (120, 120), scale=50, reach=1.2)
    FIGURES[name](layer, NEUTRALS[seed % len(NEUTRALS)], np.random.default_rng(seed))
    return layer


def saturated(layer):
    colour = layer.colour
    return (layer.cover > 0.5) & (colour.max(-1) - colour.min(-1) > 0.25)


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("seed", range(3))
def test_figures_fill_their_circle_and_stay_in_it(name, seed):
    layer = drawn(name, seed)

    inside = layer.cover > 0.5
    far = np.hypot(layer.x, layer.y)[inside].max()
    assert 0.75 < far < 1.25
    assert not inside[[0, -1]].any()
    assert not inside[:, [0, -1]].any()
    assert layer.colour.min() >= 0
    assert layer.colour.max() <= 1


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("seed", range(3))
def test_the_telling_part_is_the_smaller_one(name, seed):
    layer = drawn(name, seed)

    share = saturated(layer).sum() / (layer.cover > 0.5).sum()

    assert 0.1 < share < 0.5


@pytest.mark.parametrize("name", FIGURES)
def test_figures_vary(name):
    assert not np.array_equal(drawn(name, 0).cover, drawn(name, len(NEUTRALS)).cover)
