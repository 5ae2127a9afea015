import torch

from wsis.cues.basins import basins

ROW = torch.tensor([[0.0, 6.0, 9.0, 5.0, 7.0, 1.0, 4.0, 3.0]])


def test_maps_are_parted_where_they_dip_deep_enough():
    assert basins(ROW, threshold=2.0, prominence=1.5).tolist() == [
        [0, 1, 1, 1, 2, 0, 3, 3]
    ]


def test_shallow_dips_part_nothing():
    # From 7 down to 5 before it rises to 9: a dip of 2.
    [row] = basins(ROW, threshold=2.0, prominence=2.5).tolist()

    assert row[1] == row[4] == 1
    assert row[6] == 2


def test_below_the_threshold_nothing_is_lit():
    assert not basins(ROW, threshold=9.0, prominence=1.0).any()
