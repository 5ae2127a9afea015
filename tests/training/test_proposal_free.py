import pytest
import torch
from pycocotools import mask as coco

from wsis.contracts import Supervision
from wsis.training import ProposalFree
from wsis.training.proposal_free import (
    CellLabels,
    Cells,
    enlarged,
    group,
    targets,
)

LEFT, RIGHT = (2, 2), (2, 6)
"""Middles of two touching discs on a map of 5 × 9 cells."""


def discs():
    """The owner of each cell: the disc of radius 2 around a middle; −1 elsewhere."""
    row, column = torch.meshgrid(torch.arange(5), torch.arange(9), indexing="ij")
    owner = torch.full((5, 9), -1)
    for number, (y, x) in enumerate((LEFT, RIGHT)):
        owner[((row - y) ** 2 + (column - x) ** 2 <= 4) & (owner < 0)] = number
    return owner


def pointing(owner, middles=(LEFT, RIGHT)):
    """Offsets from each cell to its owner's middle."""
    offset = torch.zeros(2, *owner.shape)
    for number, middle in enumerate(middles):
        for y, x in (owner == number).nonzero().tolist():
            offset[:, y, x] = torch.tensor([middle[0] - y, middle[1] - x])
    return offset


def heat_at(*middles, size=(5, 9)):
    heat = torch.zeros(size)
    for y, x in middles:
        heat[y, x] = 0.8
    return heat


def certain(label, classes=2, share=0.9):
    """Probabilities of ``share`` for each cell's label, the rest for background."""
    found = torch.zeros(classes + 1, *label.shape)
    found[0] = 1 - share
    found[0][label == 0] = 1
    for c in range(1, classes + 1):
        found[c][label == c] = share
    return found


def test_touching_discs_of_one_class_are_two_by_their_centres():
    owner = discs()

    found = group(
        certain((owner >= 0).long()), heat_at(LEFT, RIGHT), pointing(owner), 0.1
    )

    assert found.owner.tolist() == owner.tolist()
    assert found.label.tolist() == [1, 1]
    torch.testing.assert_close(found.score, torch.tensor([0.9, 0.9]))


def test_a_centre_missed_merges_them_and_none_finds_nothing():
    owner = discs()
    probabilities, offset = certain((owner >= 0).long()), pointing(owner)

    merged = group(probabilities, heat_at(LEFT), offset, 0.1)
    faint = group(probabilities, heat_at(LEFT, RIGHT), offset, 0.8)

    assert merged.owner.tolist() == torch.where(owner >= 0, 0, -1).tolist()
    assert len(faint.label) == 0
    assert bool((faint.owner == -1).all())


def test_ties_go_to_the_first_centre_the_lower_class_and_the_first_cell():
    label = torch.tensor([[2, 1, 0, 1, 2]])
    offset = torch.zeros(2, 1, 5)
    offset[1] = torch.tensor([0.0, 1, 0, -1, 0])  # both 1s point at the middle
    heat = torch.tensor([[0.8, 0, 0, 0, 0.8]])

    found = group(certain(label), heat, offset, 0.1)

    assert found.owner.tolist() == [[0, 0, -1, 0, 1]]
    assert found.label.tolist() == [1, 2]
    torch.testing.assert_close(found.score, torch.tensor([0.6, 0.9]))
    # Of equally hot neighbours the first is the centre, so that there is one.
    flat = group(certain(label), torch.full((1, 5), 0.8), offset, 0.1)
    assert flat.label.tolist() == [1]


def test_a_centre_that_no_cell_points_at_is_no_instance():
    owner = discs()

    found = group(
        certain((owner == 1).long() * 2), heat_at(LEFT, RIGHT), pointing(owner), 0.1
    )

    assert found.owner.tolist() == torch.where(owner == 1, 0, -1).tolist()
    assert found.label.tolist() == [2]


def test_masks_are_enlarged_between_cells_of_equal_probability():
    owner = torch.tensor([[-1, 0, 0, 1]])
    foreground = torch.tensor([[0.0, 1, 1, 1]])

    found = enlarged(owner, torch.tensor([1, 0]), foreground, (2, 16))

    # In the order of ``chosen``; borders lie halfway between the cells' middles.
    assert found.tolist() == [[-1] * 4 + [1] * 8 + [0] * 4] * 2
    same = enlarged(owner, torch.tensor([0, 1]), foreground, (1, 4))
    assert same.tolist() == owner.tolist()


def test_a_part_with_one_peak_is_an_instance_one_with_two_is_none():
    one = torch.tensor([[0.0, 4, 8, 10, 8, 4, 0, 0, 0, 0, 0, 0]])
    two = torch.tensor([[0.0, 5, 10, 5, 9, 5, 0, 1.2, 0, 6, 0, 0]])
    maps = torch.stack([one, two, 100 + one])
    method = ProposalFree(lit=0.3, dark=0.1, prominence=0.2)

    def labels(*tags):
        found = method.first_labels(maps, torch.tensor(tags))
        return found.label.tolist()[0], found.instance.tolist()[0]

    # Classes that are not tagged count for nothing, however bright they are.
    assert labels(True, False, False) == (
        [0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0],
    )
    # A cell between the thresholds teaches nothing.
    assert labels(False, True, False) == (
        [0, 2, 2, 2, 2, 2, 0, -1, 0, 2, 0, 0],
        [0, -1, -1, -1, -1, -1, 0, -1, 0, 1, 0, 0],
    )
    # The dip counts relative to the highest cell.
    method = ProposalFree(lit=0.3, dark=0.1, prominence=0.5)
    assert labels(False, True, False)[1][1:6] == [1] * 5


def test_targets_are_of_centres_of_mass():
    instance = torch.tensor([[1, 1, 1, 0, -1, 2]])

    heat, offset = targets(instance, 1.0)

    assert offset[0].tolist() == [[0.0] * 6]
    assert offset[1].tolist() == [[1.0, 0, -1, 0, 0, 0]]
    near, far = torch.tensor([-0.5, -2.0]).exp().tolist()
    torch.testing.assert_close(heat, torch.tensor([[near, 1, near, far, near, 1]]))


def test_its_own_groups_teach_unless_a_tag_gets_none():
    owner = discs()
    label = torch.where(owner == 0, 1, torch.where(owner == 1, 2, 0))
    found = Cells(
        certain(label, 3).clamp_min(1e-9).log(),
        heat_at(LEFT, RIGHT),
        pointing(owner),
    )
    first = CellLabels(torch.zeros_like(owner), torch.zeros_like(owner))
    method = ProposalFree()

    own = method.own_labels(found, torch.tensor([True, True, False]), first)

    assert own.label.tolist() == label.tolist()
    assert own.instance.tolist() == (owner + 1).tolist()
    for tags in ([True, True, True], [False, False, True]):
        assert method.own_labels(found, torch.tensor(tags), first) is first


def pictures(count=6, seed=0):
    """Maps of one bright square each, of the class that its channel tells."""
    draws = torch.Generator().manual_seed(seed)
    maps, tags, places = [], [], []
    for i in range(count):
        y, x = torch.randint(1, 5, (2,), generator=draws).tolist()
        one = torch.rand(2, 9, 10, generator=draws) * 0.02
        one[i % 2, y : y + 4, x : x + 4] += 1
        maps.append(one)
        tags.append([i % 2 == 0, i % 2 == 1])
        places.append((y, x))
    return maps, torch.tensor(tags), places


QUICK = ProposalFree(width=16, rounds=2, epochs=20, lr=1e-2)


def test_squares_are_learned_from_tags_and_a_seed_gives_the_same():
    maps, tags, places = pictures()
    seen = []

    def fit(seed):
        device = torch.device("cpu")
        return QUICK.fit(
            maps, tags, seed, device=device, tick=lambda: seen.append(seed)
        )

    (network, losses), (again, same), (other, _) = fit(0), fit(0), fit(1)

    assert seen.count(1) == QUICK.images(len(maps)) == 240
    assert len(losses) == 40
    assert losses == same
    for name, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert not torch.equal(network.layers[0].weight, other.layers[0].weight)
    for i, (y, x) in enumerate(places):
        found = QUICK.predict(
            network,
            maps[i],
            (18, 20),
            image_id=i,
            ledger=frozenset({Supervision.TAGS}),
        )
        assert found.label.tolist() == [i % 2 + 1]
        assert found.index.tolist() == [-1]
        assert found.ledger == {"tags"}
        square = torch.zeros(18, 20, dtype=torch.bool)
        square[2 * y : 2 * y + 8, 2 * x : 2 * x + 8] = True
        mask = torch.from_numpy(coco.decode(found.masks[0])).bool()
        assert (mask & square).sum() / (mask | square).sum() > 0.6


def test_an_image_without_any_known_cell_teaches_nothing():
    nowhere = torch.full((3, 4), -1)
    found = Cells(torch.zeros(3, 3, 4), torch.ones(3, 4), torch.ones(2, 3, 4))

    losses = ProposalFree().losses(found, CellLabels(nowhere, nowhere))

    assert [float(one) for one in losses.values()] == [0, 0, 0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lit": 1.0}, r"lit must be in \(0, 1\), got 1.0"),
        ({"dark": 0.6}, "dark must be at most lit, got 0.6 and 0.4"),
        ({"rounds": 0}, "rounds must be at least 1, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        ProposalFree(**wrong)
