import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import points, random_masks, rectangles, tagged
from wsis.contracts import Supervision
from wsis.cues.agpl import AgplCues, AgplLabeller, agpl, agreed
from wsis.cues.classifier import Classifier
from wsis.geometry.masks import from_masks
from wsis.geometry.overlap import overlaps

# Columns of an image of 8 × 10 pixels.
LEFT, WIDE, MOST, RIGHT, APART = (
    (0, 0, 4, 8),
    (0, 0, 5, 8),
    (0, 0, 6, 8),
    (6, 0, 9, 8),
    (9, 0, 10, 8),
)


def test_a_peak_gathers_what_the_proposals_over_it_agree_on():
    proposals = rectangles(LEFT, WIDE, MOST, RIGHT, APART)

    labels = agpl(points((2, 3, 2)), proposals, classes=2)

    # All three over the peak have columns 0 to 3, two of three column 4: 0.67 < 0.7.
    # IoU with the mask: 1, 4/5, 4/6; the others do not meet it.
    assert labels.tolist() == [[0, 0, 1]] * 3 + [[0, 0, 0]] * 2


def test_later_peaks_take_over_and_what_is_between_is_background():
    proposals = rectangles((0, 0, 4, 8), (2, 0, 6, 8), (4, 0, 10, 8), (0, 0, 10, 8))

    labels = agpl(points((1, 1, 1), (9, 1, 2)), proposals, classes=2, agreement=0.5)

    # Peak 1 lies in proposals 0 and 3: more than half of two is both, columns 0 to 3.
    # Peak 2 lies in 2 and 3: columns 4 to 9, IoU 6/10 with 3.
    assert labels.tolist() == [[0, 1, 0], [3, 0, 0], [0, 0, 2], [0, 0, 2]]


def test_the_threshold_is_exclusive():
    ten = [(0, 0, 4, 8)] * 7 + [(0, 0, 2, 8)] * 3
    proposals = rectangles(*ten)
    boxes = agreed(points((0, 0, 1)), proposals, 0.7)

    # Seven of ten agree on columns 2 and 3: that is not more than 0.7.
    assert proposals.members[7].equal(boxes[0])


def test_without_a_peak_all_is_background():
    proposals = rectangles(LEFT, RIGHT)

    assert agpl(points(), proposals, classes=2).tolist() == [[1, 0, 0]] * 2


def test_a_peak_that_no_proposal_covers_labels_nothing():
    assert not agpl(points((7, 2, 1)), rectangles(LEFT), classes=1).any()


def test_points_outside_the_photo_are_refused():
    with pytest.raises(ValueError, match=r"10 × 8 pixels, got \[10.0, 2.0\]"):
        agpl(points((10, 2, 1)), rectangles(LEFT), classes=1)


@settings(max_examples=50)
@given(st.integers(1, 7), st.integers(0, 3), st.integers(0, 2**31 - 1))
def test_labels_are_those_of_a_plain_loop_over_pixels(count, peaks, seed):
    generator = torch.Generator().manual_seed(seed)
    masks = random_masks(count, (4, 5), seed)
    x = torch.randint(5, (peaks,), generator=generator).tolist()
    y = torch.randint(4, (peaks,), generator=generator).tolist()
    label = torch.randint(1, 4, (peaks,), generator=generator).tolist()

    found = agpl(
        points(*((u + 0.5, v + 0.5, c) for u, v, c in zip(x, y, label, strict=True))),
        from_masks(masks),
        classes=3,
    )

    peaks_given = list(zip(x, y, label, strict=True))
    assert found.tolist() == plain(masks.tolist(), peaks_given, 3)


def plain(masks, peaks, classes):
    rows = [[0] * (classes + 1) for _ in masks]
    if not peaks:
        return [[1] + [0] * classes for _ in masks]
    met = [False] * len(masks)
    for number, (x, y, label) in enumerate(peaks, 1):
        over = [mask for mask in masks if mask[y][x]]
        for i, mask in enumerate(masks):
            shared = union = 0
            for v in range(len(mask)):
                for u in range(len(mask[0])):
                    votes = sum(other[v][u] for other in over)
                    inside = bool(over) and votes / len(over) > 0.7
                    shared += inside and mask[v][u]
                    union += inside or mask[v][u]
            met[i] |= shared > 0
            if shared / union > 0.5:
                rows[i] = [0] * (classes + 1)
                rows[i][label] = number
    for row, touched in zip(rows, met, strict=True):
        if touched and not any(row):
            row[0] = len(peaks) + 1
    return rows


def test_the_labeller_looks_at_peaks_of_tagged_classes_above_the_threshold():
    labeller = AgplLabeller(
        AgplCues(threshold=2.0), Classifier(torch.eye(2), torch.zeros(2))
    )
    proposals = rectangles(LEFT, RIGHT)
    feature_map = torch.zeros(2, 4, 5)
    feature_map[0, 1, 1], feature_map[0, 1, 4], feature_map[1, 2, 2] = 9, 1, 9

    labels = labeller(tagged(True, False), feature_map, proposals, overlaps(proposals))

    assert labels.tolist() == [[0, 1, 0], [0, 0, 0]]


def test_fitting_repeats_with_the_generator_and_consumes_tags():
    generator = torch.Generator().manual_seed(0)
    maps = list(torch.rand(20, 3, 4, 4, generator=generator))
    tags = torch.rand(20, 2, generator=generator) > 0.5

    first, again, other = (
        AgplCues(epochs=2).fit(maps, tags, torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )

    assert first.classifier.weight.equal(again.classifier.weight)
    assert not first.classifier.weight.equal(other.classifier.weight)
    assert AgplCues().ledger == frozenset({Supervision.TAGS})


@pytest.mark.parametrize(
    "wrong",
    [{"agreement": 1.0}, {"near": 0.0}, {"decay": -1.0}, {"epochs": -1}, {"lr": 0.0}],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AgplCues(**wrong)
