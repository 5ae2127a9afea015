import pytest
import torch

from tests.builders import rectangles
from wsis.contracts import Supervision
from wsis.cues.cam import CamCues, CamLabeller
from wsis.overlaps import overlaps

# An image of 8 × 10 pixels under a map of 4 × 5 cells; one object fills cells 0…1.
OBJECT, PART, BESIDE, APART = (0, 0, 4, 4), (0, 0, 4, 3), (2, 0, 10, 8), (6, 6, 10, 8)


def labeller(**settings):
    """Class 0 is channel 0, class 1 channel 1."""
    return CamLabeller(CamCues(**settings), torch.eye(2), torch.zeros(2))


def lit(cells):
    feature_map = torch.zeros(2, 4, 5)
    for channel, rows, columns in cells:
        feature_map[channel, rows, columns] = 1
    return feature_map


def test_the_best_fitting_proposal_gathers_what_overlaps_it():
    proposals = rectangles(OBJECT, PART, BESIDE, APART)
    feature_map = lit([(0, slice(0, 2), slice(0, 2))])

    labels = labeller(threshold=0.5)(
        feature_map, torch.tensor([True, False]), proposals, overlaps(proposals)
    )

    assert labels.tolist() == [[0, 1, 0], [0, 1, 0], [2, 0, 0], [0, 0, 0]]


def test_each_present_class_has_a_cluster_of_its_own():
    proposals = rectangles(OBJECT, APART)
    feature_map = lit([(0, slice(0, 2), slice(0, 2)), (1, slice(3, 4), slice(3, 5))])
    both = torch.tensor([True, True])

    labels = labeller(threshold=0.5)(feature_map, both, proposals, overlaps(proposals))

    assert labels.tolist() == [[0, 1, 0], [0, 0, 2]]


def test_absent_classes_are_never_labelled_whatever_the_map():
    proposals = rectangles(OBJECT, APART)
    feature_map = lit([(1, slice(0, 4), slice(0, 5))])

    labels = labeller()(
        feature_map, torch.tensor([True, False]), proposals, overlaps(proposals)
    )

    assert not labels[:, 2].any()


def test_the_classifier_tells_tags_from_averages_and_where_they_come_from():
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(40, 3, 4, 5, generator=generator)
    tags = torch.rand(40, 2, generator=generator) > 0.5
    for feature_map, present in zip(maps, tags, strict=True):
        feature_map[:2, 1, 1] += 20 * present

    cues = CamCues().fit(maps, tags, generator)

    logits = torch.stack([cues.activation(m).mean((1, 2)) for m in maps])
    assert ((logits > 0) == tags).float().mean() > 0.95
    present = maps[tags[:, 0]][0]
    assert cues.activation(present)[0].argmax() == 1 * 5 + 1


def test_fitting_repeats_and_consumes_tags():
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(10, 3, 2, 2, generator=generator)
    tags = torch.rand(10, 2, generator=generator) > 0.5

    first, again = (CamCues().fit(maps, tags, generator) for _ in "ab")

    assert first.weight.equal(again.weight)
    assert CamCues().ledger == frozenset({Supervision.TAGS})


@pytest.mark.parametrize(
    "wrong", [{"threshold": 1.0}, {"near": 0.0}, {"decay": -1.0}, {"steps": 0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CamCues(**wrong)
