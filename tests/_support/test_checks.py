"""Every range's edge is on the side that its name promises."""

import pytest

from wsis._support import checks


@pytest.mark.parametrize(
    ("check", "allowed", "refused"),
    [
        (checks.fraction, [1e-9, 1, 1.0], [0, -0.1, 1.1, float("nan")]),
        (checks.inside, [0.5], [0, 1, -1, float("nan")]),
        (checks.proper, [0, 0.0, 0.99], [1, -0.1, float("nan")]),
        (checks.positive, [1, 7], [0, -1]),
    ],
)
def test_ranges_hold_at_their_edges_and_name_the_setting(check, allowed, refused):
    for value in allowed:
        check("top", value)
    for value in refused:
        with pytest.raises(ValueError, match=f"top must be .*{value}"):
            check("top", value)


def test_a_fraction_may_be_zero_where_asked():
    checks.fraction("share", 0, zero=True)


def test_least_and_branch_are_allowed_themselves():
    checks.at_least("count", 2, 2)
    checks.branch_index(0)
    with pytest.raises(ValueError, match="count must be at least 2, got 1"):
        checks.at_least("count", 1, 2)
    with pytest.raises(ValueError, match="branch must be 0 or more, got -1"):
        checks.branch_index(-1)
