import pytest
import torch

from tests.builders import rectangles, tagged
from wsis.contracts import Supervision
from wsis.cues.cam import CamCues, CamLabeller
from wsis.cues.classifier import Classifier
from wsis.geometry.overlap import overlaps

# An image of 8 × 10 pixels under a map of 4 × 5 cells; one object fills cells 0…1.
OBJECT, PART, BESIDE, APART = (0, 0, 4, 4), (0, 0, 4, 3), (2, 0, 10, 8), (6, 6, 10, 8)


def labeller(**settings):
    """Class 0 is channel 0, class 1 channel 1."""
    return CamLabeller(CamCues(**settings), Classifier(torch.eye(2), torch.zeros(2)))


def lit(cells):
    feature_map = torch.zeros(2, 4, 5)
    for channel, rows, columns in cells:
        feature_map[channel, rows, columns] = 1
    return feature_map


def test_the_best_fitting_proposal_gathers_what_overlaps_it():
    proposals = rectangles(OBJECT, PART, BESIDE, APART)
    feature_map = lit([(0, slice(0, 2), slice(0, 2))])

    labels = labeller(threshold=0.5)(
        tagged(True, False), feature_map, proposals, overlaps(proposals)
    )

    assert labels.tolist() == [[0, 1, 0], [0, 1, 0], [2, 0, 0], [0, 0, 0]]


def test_each_present_class_has_a_cluster_of_its_own():
    proposals = rectangles(OBJECT, APART)
    feature_map = lit([(0, slice(0, 2), slice(0, 2)), (1, slice(3, 4), slice(3, 5))])
    both = tagged(True, True)

    labels = labeller(threshold=0.5)(both, feature_map, proposals, overlaps(proposals))

    assert labels.tolist() == [[0, 1, 0], [0, 0, 2]]


def test_absent_classes_are_never_labelled_whatever_the_map():
    proposals = rectangles(OBJECT, APART)
    feature_map = lit([(1, slice(0, 4), slice(0, 5))])

    labels = labeller()(
        tagged(True, False), feature_map, proposals, overlaps(proposals)
    )

    assert not labels[:, 2].any()


def test_the_classifier_tells_tags_from_averages_and_where_they_come_from():
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(40, 3, 4, 5, generator=generator)
    tags = torch.rand(40, 2, generator=generator) > 0.5
    for feature_map, present in zip(maps, tags, strict=True):
        feature_map[:2, 1, 1] += 20 * present

    cues = CamCues().fit(maps, tags, generator)

    logits = torch.stack([cues.classifier.responses(m).mean((1, 2)) for m in maps])
    assert ((logits > 0) == tags).float().mean() > 0.95
    present = maps[tags[:, 0]][0]
    assert cues.classifier.responses(present)[0].argmax() == 1 * 5 + 1


def test_fitting_repeats_and_consumes_tags():
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(10, 3, 2, 2, generator=generator)
    tags = torch.rand(10, 2, generator=generator) > 0.5

    first, again = (CamCues().fit(maps, tags, generator) for _ in "ab")

    assert first.classifier.weight.equal(again.classifier.weight)
    assert CamCues().ledger == frozenset({Supervision.TAGS})


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 1.0},
        {"prominence": 0.0},
        {"apart": 1.5},
        {"near": 0.0},
        {"decay": -1.0},
        {"steps": 0},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CamCues(**wrong)


def two_hills():
    """A map of 4 × 10 cells with two hills of class 0 and a dip between them."""
    row = torch.tensor([1.0, 2, 1, 0.9, 0.9, 0.9, 0.9, 1, 2, 1])
    return torch.stack([row.expand(4, 10), torch.zeros(4, 10)])


def test_neighbours_are_told_apart_where_the_map_dips_between_them():
    proposals = rectangles((0, 0, 10, 8), (0, 0, 5, 8), (5, 0, 10, 8))
    merged, parted = labeller(threshold=0.3), labeller(threshold=0.3, prominence=0.4)
    given = tagged(True, False), two_hills(), proposals, overlaps(proposals)

    assert merged(*given).tolist() == [[0, 1, 0], [2, 0, 0], [2, 0, 0]]
    assert sorted(parted(*given)[1:, 1].tolist()) == [1, 2]
    assert parted(*given)[0].tolist() == [3, 0, 0]


def test_parts_that_fit_one_proposal_are_one_cluster():
    proposals = rectangles((0, 0, 10, 8), (3, 0, 4, 1))
    parted = labeller(threshold=0.3, prominence=0.4)

    labels = parted(tagged(True, False), two_hills(), proposals, overlaps(proposals))

    assert labels[:, 1].tolist() == [1, 0]


def test_a_map_that_is_dark_everywhere_still_labels():
    proposals = rectangles((0, 0, 5, 8), (5, 0, 10, 8))
    for parted in (labeller(), labeller(prominence=0.4)):
        labels = parted(
            tagged(True, False), -two_hills(), proposals, overlaps(proposals)
        )
        assert labels.shape == (2, 3)


@pytest.mark.parametrize(
    ("count", "clusters"), [(0, [1, 0, 0]), (1, [1, 0, 0]), (2, [0, 2, 1])]
)
def test_a_class_that_was_counted_has_as_many_clusters(count, clusters):
    proposals = rectangles((0, 0, 10, 8), (0, 0, 5, 8), (5, 0, 10, 8))
    image = tagged(True, False, counts=(count, 0))

    labels = labeller(threshold=0.3)(image, two_hills(), proposals, overlaps(proposals))

    assert labels[:, 1].tolist() == clusters


def test_one_object_has_one_cluster_though_its_map_dips():
    proposals = rectangles((0, 0, 10, 8), (0, 0, 5, 8), (5, 0, 10, 8))
    image = tagged(True, False, counts=(1, 0))

    labels = labeller(threshold=0.3, prominence=0.4)(
        image, two_hills(), proposals, overlaps(proposals)
    )

    assert labels[:, 1].tolist() == [1, 0, 0]
