import math

import numpy as np
import pytest

from wsis.data.scenes._canvas import Layer, rgb


def layer(**options):
    return Layer.around((20, 15), (30, 40), scale=10, **{"reach": 1.5, **options})


def test_a_layer_is_cut_at_the_borders_of_the_picture():
    where = Layer.around((2.0, 28.0), (30, 40), scale=10, reach=1).where

    assert where == np.s_[18:30, 0:12]


@pytest.mark.parametrize("angle", [0, 0.4, 2.0])
def test_areas_are_those_of_geometry(angle):
    found = layer(angle=angle)
    square = found.polygon((-1, -0.5), (1, -0.5), (1, 0.5), (-1, 0.5))
    shapes = {
        "ellipse": (found.ellipse(0.1, 0.1, 0.8, 0.5, 0.3), math.pi * 0.8 * 0.5),
        "bar": (found.bar((-0.5, 0), (0.5, 0.2), 0.3), None),
        "polygon": (square, 2.0),
    }
    length = math.hypot(1, 0.2)
    shapes["bar"] = (shapes["bar"][0], length * 0.6 + math.pi * 0.3**2)

    for name, (distance, area) in shapes.items():
        assert found.inside(distance).sum() / 100 == pytest.approx(area, rel=0.02), name


def test_polygons_may_go_round_either_way():
    corners = (0.0, -1.0), (0.9, 0.8), (-0.7, 0.5)
    found = layer()

    there, back = found.polygon(*corners), found.polygon(*reversed(corners))

    assert np.allclose(there, back, atol=1e-5)


def test_turning_is_clockwise_and_mirroring_swaps_sides():
    right = layer(angle=math.pi / 2)
    right.fill(right.ellipse(1, 0, 0.2, 0.2), rgb("ff0000"))
    left = layer(mirrored=True)
    left.fill(left.ellipse(1, 0, 0.2, 0.2), rgb("ff0000"))

    def middle(one):
        whole = np.zeros((30, 40))
        whole[one.where] = one.cover
        rows, columns = whole.nonzero()
        return rows.mean() + 0.5 - 15, columns.mean() + 0.5 - 20

    assert middle(right) == pytest.approx((10, 0), abs=0.1)
    assert middle(left) == pytest.approx((0, -10), abs=0.1)


def test_later_shapes_cover_earlier_ones_and_pasting_keeps_the_rest():
    found = layer()
    found.fill(found.ellipse(0, 0, 1, 1), rgb("ff0000"))
    found.fill(found.ellipse(0, 0, 0.5, 0.5), rgb("0000ff"))
    picture = np.ones((30, 40, 3), np.float32)

    found.paste(picture)

    assert picture[15, 20].argmax() == 2
    assert picture[15, 27].argmax() == 0
    assert (picture[15, 32] == 1).all()
    assert (picture[:, :4] == 1).all()


def test_shapes_outside_the_layer_paint_nothing():
    found = layer()
    found.fill(found.ellipse(9, 0, 1, 1), rgb("ff0000"))

    assert not found.cover.any()


def test_patterns_cover_their_share():
    found = layer()

    stripes = found.inside(found.waves(found.x, 0.5)).mean()
    spots = found.inside(found.spots(0.5, 0.15)).mean()

    assert stripes == pytest.approx(0.5, abs=0.03)
    assert spots == pytest.approx(math.pi * 0.15**2 / 0.25, rel=0.1)
