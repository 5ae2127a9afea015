from benchmarks.plain_mining import found
from tests.problems import pseudo_of
from wsis.mining.merge import each_once


def test_the_larger_weight_gives_the_class() -> None:
    pseudo = pseudo_of((4, 1, 0.25), (2, 1, 0.5), (4, 2, 0.75), (2, 3, 0.125))

    assert found(each_once(pseudo)) == [(2, 1, 0.5), (4, 2, 0.75)]


def test_of_equal_weights_the_first_stays() -> None:
    pseudo = pseudo_of((1, 2, 0.5), (1, 3, 0.5), (0, 4, 0.0), (0, 5, 0.0))

    assert found(each_once(pseudo)) == [(0, 4, 0.0), (1, 2, 0.5)]


def test_nothing_stays_nothing() -> None:
    assert found(each_once(pseudo_of())) == []
