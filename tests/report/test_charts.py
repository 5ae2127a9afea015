import re

import pytest

from wsis.report._charts import Dot, binned, scatter


def test_means_in_equal_parts_of_the_range():
    # Parts [0, 5) and [5, 10]; the end belongs to the last.
    assert binned([0.0, 4.0, 10.0], [1.0, 3.0, 7.0], bins=2) == [(2, 2), (10, 7)]
    assert binned([3.0, 3.0], [1.0, 5.0], bins=2) == [(3, 3)]


def centres(page):
    return [(float(x), float(y)) for x, y in re.findall(r'cx="(.+?)" cy="(.+?)"', page)]


def test_equal_factors_are_equal_distances():
    dots = [Dot(x=x, y=y, name="a") for x, y in ((0.01, 0.0), (0.1, 1.0), (1.0, 2.0))]

    (x0, y0), (x1, y1), (x2, y2) = centres(scatter(dots, "a by b", log=True))

    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert y0 > y1 > y2


def test_marked_dots_lie_above_others_and_names_are_escaped():
    dots = [Dot(x=1.0, y=1.0, name="<b>", mark=1), Dot(x=2.0, y=1.0, name="c")]

    page = scatter(dots, "a < b")

    assert page.index("dot c0") < page.index("dot c1")
    assert "&lt;b&gt;: 1, 1" in page
    assert "a &lt; b" in page
    assert scatter([], "a") == ""
