import pytest
import torch

from tests.builders import rectangles, tagged
from wsis.contracts import Supervision
from wsis.cues.classifier import Classifier
from wsis.cues.prm import PrmCues, PrmLabeller
from wsis.geometry.overlap import overlaps

# Two objects on an image of 8 × 10 pixels, and the peak of each in a map of 4 × 5.
FIRST, SECOND, BOTH = (0, 0, 4, 4), (6, 2, 10, 8), (0, 0, 10, 8)
PEAKS = {(0, 0): FIRST, (2, 4): SECOND}


def trace(image, gradients):
    """Lights the object that a gradient's cell lies on."""
    del image
    maps = torch.zeros(len(gradients), 8, 10)
    for one, gradient in zip(maps, gradients, strict=True):
        [[y, x]] = gradient.sum(0).nonzero().tolist()
        x0, y0, x1, y1 = PEAKS[y, x]
        one[y0:y1, x0:x1] = 1
    return maps / maps.sum((1, 2), keepdim=True)


def labeller(**settings):
    return PrmLabeller(
        PrmCues(threshold=1.0, **settings), Classifier(torch.eye(2), torch.zeros(2))
    )


def feature_map():
    cells = torch.zeros(2, 4, 5)
    cells[0, 0, 0], cells[0, 2, 4] = 4, 3
    cells[1] = 1
    return cells


def test_each_peak_has_the_proposal_that_holds_what_caused_it():
    proposals = rectangles(BOTH, FIRST, SECOND)
    image = tagged(True, False)

    labels = labeller().through(trace)(
        image, feature_map(), proposals, overlaps(proposals)
    )

    assert labels.tolist() == [[3, 0, 0], [0, 2, 0], [0, 1, 0]]


def test_without_a_penalty_the_whole_photo_holds_all_of_it():
    proposals = rectangles(BOTH, FIRST, SECOND)

    labels = labeller(penalty=0.0).through(trace)(
        tagged(True, False), feature_map(), proposals, overlaps(proposals)
    )

    assert labels[0].tolist() == [0, 2, 0]


def test_only_the_highest_peaks_are_traced():
    proposals = rectangles(FIRST, SECOND)

    labels = labeller(most=1).through(trace)(
        tagged(True, False), feature_map(), proposals, overlaps(proposals)
    )

    assert labels[:, 1].tolist() == [1, 0]


def test_without_a_peak_nothing_is_labelled():
    proposals = rectangles(FIRST, SECOND)

    labels = labeller().through(trace)(
        tagged(True, False), feature_map() - 9, proposals, overlaps(proposals)
    )

    assert not labels.any()


def test_tracing_needs_a_way():
    proposals = rectangles(FIRST)
    with pytest.raises(ValueError, match="way through the backbone"):
        labeller()(tagged(True, False), feature_map(), proposals, overlaps(proposals))


def test_fitting_consumes_tags():
    maps = list(torch.rand(4, 3, 4, 4))
    tags = torch.tensor([[True, False], [False, True]] * 2)

    found = PrmCues(epochs=1).fit(maps, tags, torch.Generator())

    assert found.classifier.weight.shape == (2, 3)
    assert PrmCues().ledger == frozenset({Supervision.TAGS})


@pytest.mark.parametrize(
    "wrong",
    [
        {"near": 1.0},
        {"penalty": -1.0},
        {"decay": -1.0},
        {"epochs": -1},
        {"lr": 0.0},
        {"most": 0},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PrmCues(**wrong)
