import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from wsis.cues._peaks import basins, find_peaks, local_maxima, stimulated

HILLS = torch.tensor(
    [
        [5.0, 1.0, 0.0, 0.0],
        [1.0, 0.0, 0.0, 3.0],
        [0.0, 0.0, 0.0, 3.0],
        [-9.0, -8.0, -9.0, 0.0],
    ]
)


def test_maxima_are_the_highest_around_first_of_equals_and_not_below_the_median():
    rows = local_maxima(HILLS[None])[0].nonzero().tolist()

    # The plateau of 3 has its first cell; −8 is the highest of its row, but low. Zeros
    # among zeros are maxima that are not below the median, 0.
    assert [0, 0] in rows
    assert [1, 3] in rows
    assert [2, 3] not in rows
    assert [3, 1] not in rows


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**31 - 1))
def test_maxima_are_those_of_a_plain_loop(height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    grid = torch.randint(0, 4, (height, width), generator=generator).float()

    found = {tuple(place) for place in local_maxima(grid[None])[0].nonzero().tolist()}

    median = sorted(grid.flatten().tolist())[(height * width - 1) // 2]
    expected = set()
    for y in range(height):
        for x in range(width):
            around = [
                (-float(grid[v, u]), v, u)
                for v in range(max(0, y - 1), min(height, y + 2))
                for u in range(max(0, x - 1), min(width, x + 2))
            ]
            if min(around)[1:] == (y, x) and grid[y, x] >= median:
                expected.add((y, x))
    assert found == expected


def test_peak_stimulation_is_the_mean_at_peaks_and_teaches_them_alone():
    maps = torch.tensor([[[2.0, 0.0, -1.0, 4.0]]], requires_grad=True)

    [score] = stimulated(maps)
    score.backward()

    assert score == 3
    assert maps.grad.tolist() == [[[0.5, 0.0, 0.0, 0.5]]]


def test_peaks_come_ascending_in_pixels_of_the_image():
    maps = torch.stack([HILLS, HILLS + 100])

    points, response = find_peaks(
        maps, torch.tensor([1]), (40, 80), threshold=2.0, upsample=1
    )

    assert points.xy.tolist() == [[70.0, 15.0], [10.0, 5.0]]
    assert points.label.tolist() == [1, 1]
    assert response.tolist() == [3, 5]


def test_enlarged_maps_have_their_peaks_where_the_cells_had_theirs():
    points, response = find_peaks(
        HILLS[None], torch.tensor([1]), (64, 64), threshold=2.0, upsample=8
    )

    fine = functional.interpolate(HILLS[None, None], scale_factor=8, mode="bilinear")
    assert len(points) == 2
    assert response[-1] == fine.max()
    assert ((points.xy - torch.tensor([[56.0, 24.0], [8.0, 8.0]])).abs() <= 16).all()


def test_a_threshold_nothing_reaches_leaves_no_peaks():
    points, response = find_peaks(HILLS[None], torch.tensor([1]), (8, 8), threshold=6.0)

    assert len(points) == len(response) == 0
    assert points.xy.shape == (0, 2)


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


def test_a_class_that_was_counted_has_as_many_peaks_the_highest():
    hills = HILLS[None].expand(2, 4, 4)
    present = torch.tensor([1, 2])

    def found(*counts):
        points, response = find_peaks(
            hills,
            present,
            (4, 4),
            threshold=4.0,
            counts=torch.tensor(counts),
            upsample=1,
        )
        return list(zip(points.label.tolist(), response.tolist(), strict=True))

    assert found(0, 0) == [(1, 5), (2, 5)]
    assert found(2, 1) == [(1, 3), (1, 5), (2, 5)]
    assert found(1, 0) == [(1, 5), (2, 5)]
