import numpy as np
import pytest

from wsis.proposals import _choosing
from wsis.proposals._choosing import distinct, in_turns, neighbour_pairs


def sets(*words: str) -> np.ndarray:
    """Candidates spelled by their superpixels: a, b, c, d, e."""
    return np.array([[letter in word for letter in "abcde"] for word in words])


def spelled(candidates: np.ndarray) -> list[str]:
    return ["".join("abcde"[i] for i in np.flatnonzero(row)) for row in candidates]


AREA = np.array([1.0, 1, 1, 1, 10])


def test_near_copies_of_better_ones_are_dropped():
    candidates = sets("e", "ae", "abc", "ab", "abe")

    # IoU: e with ae is 10/11, e with abe 10/12, abc with ab 2/3.
    assert spelled(distinct(candidates, AREA, 0.9, count=9)) == [
        "e",
        "abc",
        "ab",
        "abe",
    ]
    assert spelled(distinct(candidates, AREA, 0.6, count=9)) == ["e", "abc"]


def test_a_dropped_one_drops_nobody():
    candidates = sets("e", "ae", "abe")

    found = distinct(candidates, AREA, 0.85, count=9)

    # abe is close to ae (11/12) alone.
    assert spelled(found) == ["e", "abe"]


def test_copies_of_what_is_beside_are_dropped_and_it_is_not_returned():
    found = distinct(sets("ab", "c"), AREA, 0.9, count=9, beside=sets("ab"))

    assert spelled(found) == ["c"]


@pytest.mark.parametrize("most", [0.3, 0.5, 0.75, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_sets_of_all_sizes_are_chosen_one_after_another(seed, most, monkeypatch):
    random = np.random.default_rng(seed)
    area = 2.0 ** random.integers(0, 9, 12)
    candidates = random.random((80, 12)) < random.random((80, 1))
    candidates[:, 0] = True
    beside = candidates[random.integers(0, 80, 3)]
    kept: list[np.ndarray] = []
    for one in candidates:
        near = ((one & two) @ area / ((one | two) @ area) for two in [*beside, *kept])
        if all(iou <= most for iou in near):
            kept.append(one)
    monkeypatch.setattr(_choosing, "_BLOCK", 9)

    found = distinct(candidates, area, most, count=80, beside=beside)

    assert np.array_equal(found, np.reshape(kept, (-1, 12)))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_keeps_the_first_that_are_asked_for(count):
    assert len(distinct(sets("a", "b", "c"), AREA, 0.9, count=count)) == count


def test_work_in_blocks_changes_nothing(monkeypatch):
    candidates = np.random.default_rng(0).random((60, 5)) < 0.5
    candidates[:, 4] = True
    whole = distinct(candidates, AREA, 0.93, count=20)
    monkeypatch.setattr(_choosing, "_BLOCK", 7)

    assert np.array_equal(distinct(candidates, AREA, 0.93, count=20), whole)


def test_pairs_touch_and_are_apart():
    path = np.array([[0, 1], [1, 2], [2, 3], [3, 4]])

    found = neighbour_pairs(sets("ab", "bc", "d", "e"), path)

    # ab and bc share b, ab and d do not touch.
    assert spelled(found) == ["bcd", "de"]


def test_no_neighbours_no_pairs():
    nothing = np.zeros((0, 2), dtype=np.int64)

    assert neighbour_pairs(sets("a", "b"), nothing).shape == (0, 5)


def test_octaves_take_turns_the_largest_first():
    share = np.array([0.9, 0.6, 0.3, 0.3, 0.26, 0.2])
    worth = np.array([1, 2, 5, 9, 7, 0])

    order = in_turns(share, worth)

    # Best first: 1 0 | 3 4 2 | 5.
    assert order.tolist() == [1, 3, 5, 0, 4, 2]
