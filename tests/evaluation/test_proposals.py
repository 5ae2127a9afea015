import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import random_masks, random_proposals
from tests.evaluation.drawing import strip, truth
from tests.evaluation.test_bounds import CLASSES, strips
from wsis.contracts import GroundTruth, Supervision
from wsis.evaluation.proposals import coverage, supervision
from wsis.geometry.masks import dense, from_masks, rles


def test_figures_by_hand() -> None:
    truths = [truth((1, 0, 4), (1, 10, 20)), truth((2, 0, 10), image=2)]
    proposals = [strips((5, 9), (10, 18), (0, 4)), strips((0, 6), (10, 20))]

    found = coverage(iter(proposals), truths, CLASSES).results()

    # IoU 1, 0.8 and 0.6: within 10, 7 and 3 of COCO's ten thresholds.
    assert found["ABO"] == pytest.approx(0.8)
    assert found["AR"] == pytest.approx((10 + 7 + 3) / 30)
    assert found["recall50"] == 1
    assert found["recall70"] == pytest.approx(2 / 3)
    assert found["recall85"] == pytest.approx(1 / 3)
    assert (found["images"], found["objects"]) == (2, 3)
    assert found["proposals_per_image"] == 2.5
    # As in the oracle's own test.
    assert found["oracle"]["mAP70"] == pytest.approx(0.5)
    assert found["oracle"]["ABO"] == pytest.approx(found["ABO"])
    assert found["supervision"] == "none"
    assert list(found["by_size"]) == ["small"]
    assert json.loads(json.dumps(found)) == found


def test_budgets_look_at_the_first_masks_only() -> None:
    truths = [truth((1, 0, 10))]
    proposals = [strips(*[(12, 20)] * 9, (0, 5), (12, 20), (0, 8), (0, 10))]

    found = coverage(proposals, truths, CLASSES, limit=12).results()

    assert list(found["by_budget"]) == ["10", "12"]
    assert found["by_budget"]["10"]["ABO"] == pytest.approx(0.5)
    assert found["by_budget"]["12"]["ABO"] == pytest.approx(0.8)
    assert found["ABO"] == pytest.approx(0.8)
    assert found["oracle"]["mAP75"] == 1
    assert found["proposals_per_image"] == 12


def test_crowds_are_left_out_and_an_image_may_have_no_proposal() -> None:
    truths = [truth((1, 0, 4), (1, 10, 20), ignore=(0,)), truth((2, 0, 9), image=2)]
    proposals = [strips((10, 20)), strips()]

    found = coverage(proposals, truths, CLASSES).results()

    assert found["objects"] == 2
    assert found["ABO"] == 0.5


def test_sizes_are_cocos() -> None:
    areas = (10.0, 32.0**2, 96.0**2 - 1, 1e7)
    truths = [
        GroundTruth(
            image_id=1,
            size=(1, 20),
            label=torch.ones(4, dtype=torch.long),
            masks=[strip(0, 2), strip(2, 6), strip(8, 12), strip(12, 20)],
            ignore=torch.zeros(4, dtype=torch.bool),
            area=torch.tensor(areas),
        )
    ]

    sizes = coverage([strips((0, 2), (12, 20))], truths, CLASSES).results()["by_size"]

    assert {name: one["objects"] for name, one in sizes.items()} == {
        "small": 2,
        "medium": 2,
        "large": 1,
    }
    assert {name: one["ABO"] for name, one in sizes.items()} == {
        "small": 0.5,
        "medium": 0.0,
        "large": 1.0,
    }


@given(st.integers(0, 2**31 - 1), st.integers(1, 30))
@settings(max_examples=15)
def test_matches_counting_pixels(seed: int, limit: int) -> None:
    truths, proposals, best = [], [], []
    for i in range(3):
        objects = random_masks(i + 1, (6, 7), seed + i)
        truths.append(
            GroundTruth(
                image_id=i,
                size=(6, 7),
                label=torch.ones(i + 1, dtype=torch.long),
                masks=rles(from_masks(objects), torch.arange(i + 1)),
                ignore=torch.zeros(i + 1, dtype=torch.bool),
                area=objects.sum((1, 2)).float(),
            )
        )
        proposals.append(random_proposals(20, seed=seed + i + 9))
        masks = dense(proposals[-1], torch.arange(20))[:limit]
        for one in objects:
            ious = [int((one & m).sum()) / int((one | m).sum()) for m in masks]
            best.append(max(ious))

    found = coverage(proposals, truths, CLASSES, limit=limit, bounds=False).results()

    assert found["ABO"] == pytest.approx(np.mean(best))
    assert found["recall70"] == pytest.approx(np.mean(np.array(best) >= 0.7))
    steps = [(np.array(best) >= t / 100).mean() for t in range(50, 100, 5)]
    assert found["AR"] == pytest.approx(np.mean(steps))
    assert found["oracle"] == {}


def test_supervision_in_words() -> None:
    assert supervision(frozenset()) == "none"
    both = frozenset({Supervision.MASKS, Supervision.BOUNDARIES})
    assert supervision(both) == "boundaries, masks"


def test_what_cannot_be_measured_is_refused() -> None:
    truths = [truth((1, 0, 4)), truth((1, 0, 4), image=2)]

    with pytest.raises(ValueError, match="limit must be at least 1, got 0"):
        coverage([strips((0, 4))] * 2, truths, CLASSES, limit=0)
    with pytest.raises(ValueError, match="of the 2 images of the ground truth, got fe"):
        coverage([strips((0, 4))], truths, CLASSES)
    with pytest.raises(ValueError, match="truth, got more"):
        coverage([strips((0, 4))] * 3, truths, CLASSES, bounds=False)
    with pytest.raises(ValueError, match="objects to find on 1 images, got none"):
        coverage([strips((0, 4))], [truth()], CLASSES, bounds=False)
