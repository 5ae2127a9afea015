import numpy as np
import pytest
import torch

from tests.builders import random_proposals, rectangles
from wsis.contracts import Supervision
from wsis.geometry import masks
from wsis.proposals import PixelEvidence, evidence
from wsis.proposals.evidence import NAMES

PART, WHOLE = (80, 80, 160, 240), (80, 80, 240, 240)
PHOTO = (0, 0, 320, 320)


def numbers(image, proposals):
    found = PixelEvidence()(image, proposals)
    return {name: found[:, i].tolist() for i, name in enumerate(NAMES)}


@pytest.fixture
def square():
    """A white square in the middle of a black image."""
    image = np.zeros((320, 320, 3), np.uint8)
    image[80:240, 80:240] = 255
    return image


def test_sizes_and_shapes(square):
    found = numbers(square, rectangles(PART, WHOLE, PHOTO, size=(320, 320)))

    assert np.exp(found["area"]) == pytest.approx([1 / 8, 1 / 4, 1])
    assert found["fill"] == pytest.approx([1, 1, 1])
    assert np.exp(found["aspect"]) == pytest.approx([2, 1, 1])
    assert found["frame"] == pytest.approx([0, 0, 1])
    assert found["compactness"] == pytest.approx(
        [4 * np.pi * a / o**2 for a, o in ((12800, 480), (25600, 640), (102400, 1280))]
    )
    assert found["objectness"] == pytest.approx([1, 0.5, 0])


def test_the_whole_object_has_contours_around_it_and_none_within(square):
    found = numbers(square, rectangles(PART, WHOLE, PHOTO, size=(320, 320)))

    part, whole, photo = found["around"]
    assert whole > part > photo == 0
    # The part's straight side through the square is a third of its outline.
    assert found["weak"][:2] == pytest.approx([1 / 3, 0])
    assert found["strongest"][2] > found["strongest"][1]
    assert found["ratio"][1] > found["ratio"][0] > found["ratio"][2]


def test_colours_inside_and_beside(square):
    found = numbers(square, rectangles(PART, WHOLE, PHOTO, size=(320, 320)))

    assert found["mean L"] == pytest.approx([100, 100, 25], abs=0.1)
    assert found["spread L"] == pytest.approx([0, 0, 100 * 3**0.5 / 4], abs=0.1)
    # Beside the whole all is black; nothing is beside the photo.
    assert found["beside L"][1:] == pytest.approx([0, 25], abs=0.1)
    assert found["contrast L"][1:] == pytest.approx([100, 0], abs=0.1)
    assert found["difference"][1:] == pytest.approx([100, 0], abs=0.1)


def test_rows_follow_the_proposals_and_a_mirror_changes_nothing():
    image = np.random.default_rng(0).integers(0, 255, (12, 14, 3), dtype=np.uint8)
    proposals = random_proposals(9, size=(12, 14))
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    found = PixelEvidence()(image, proposals)

    shuffled = PixelEvidence()(image, masks.select(proposals, order))
    mirrored = PixelEvidence()(image[:, ::-1].copy(), masks.flip(proposals))

    assert shuffled.allclose(found[order], atol=1e-5)
    assert mirrored.allclose(found, atol=1e-3)


def test_work_in_blocks_changes_nothing(monkeypatch):
    image = np.random.default_rng(0).integers(0, 255, (12, 14, 3), dtype=np.uint8)
    proposals = random_proposals(9, size=(12, 14))
    whole = PixelEvidence()(image, proposals)
    monkeypatch.setattr(evidence, "_ROWS", 2)

    assert torch.equal(PixelEvidence()(image, proposals), whole)


def test_a_proposal_smaller_than_a_pixel_at_work_has_zeros():
    image = np.zeros((320, 320, 3), np.uint8)
    proposals = rectangles((0, 0, 200, 320), (301, 301, 302, 302), size=(320, 320))

    found = PixelEvidence(side=32)(image, proposals)

    assert found.isfinite().all()
    assert found[1].count_nonzero() == 0
    assert found[0, 0].exp() == pytest.approx(200 / 320)


@pytest.mark.parametrize("settings", [{"side": 31}, {"contours": "none such"}])
def test_wrong_settings_are_refused(settings):
    with pytest.raises((ValueError, LookupError), match=r"side|none such"):
        PixelEvidence(**settings)


def test_colours_need_no_labels():
    assert PixelEvidence().ledger == frozenset()
    assert Supervision.BOUNDARIES not in PixelEvidence().ledger
