import numpy as np
import pytest
import torch

from tests.proposals.test_region_tree import drawing, parts
from tests.tiny_hed import tiny_hed
from wsis.geometry.masks import areas
from wsis.geometry.overlap import cross_iou, overlaps
from wsis.plugins import SettingError, create, find
from wsis.proposals.grouping import Grouping
from wsis.proposals.hed import SCALES, HedContours


def test_finds_parts_and_wholes():
    found = Grouping()(drawing())

    best = cross_iou(found, torch.from_numpy(parts())).amax(0)
    assert (best > 0.85).all()


def test_a_first_part_is_a_good_set():
    found = Grouping(count=60)(drawing())

    assert len(found) == 60
    best = cross_iou(found, torch.from_numpy(parts())).amax(0)
    assert (best > 0.8).all()


def test_is_a_set_of_distinct_proposals_best_first():
    found = Grouping(count=80, max_overlap=0.7, min_area=0.002)(drawing())

    assert (found.objectness.diff() < 0).all()
    assert (overlaps(found).iou.fill_diagonal_(0) <= 0.7).all()
    assert areas(found).min() >= 0.002 * 90 * 120
    assert found.regions.unique().tolist() == list(range(found.members.shape[1]))


def test_the_same_image_gives_the_same_proposals():
    first, second = (Grouping(count=50)(drawing()) for _ in range(2))

    assert torch.equal(first.regions, second.regions)
    assert torch.equal(first.members, second.members)


def test_large_images_are_worked_on_small_and_answered_in_full():
    found = Grouping(side=60)(drawing())

    assert found.size == (90, 120)
    assert cross_iou(found, torch.from_numpy(parts())).amax(0)[0] > 0.8


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 2), (40, 3)])
@pytest.mark.parametrize("seed", [None, 0])
def test_the_smallest_and_the_plainest_images(size, seed):
    image = np.zeros((*size, 3), np.uint8)
    if seed is not None:
        image = np.random.default_rng(seed).integers(0, 256, image.shape, np.uint8)

    found = Grouping()(image)

    assert len(found) >= 1
    assert found.size == size


@pytest.mark.parametrize(("pairs", "triplets"), [(0, 0), (0, 20), (20, 0)])
def test_does_without_pairs_or_triplets(pairs, triplets):
    found = Grouping(count=60, pairs=pairs, triplets=triplets)(drawing())

    best = cross_iou(found, torch.from_numpy(parts())).amax(0)
    assert (best > 0.8).all()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("count", 0),
        ("pairs", -1),
        ("triplets", -1),
        ("side", 8),
        ("superpixels", 0),
        ("min_area", 1.0),
        ("max_overlap", 0.0),
    ],
)
def test_refuses_settings_out_of_range(setting, value):
    with pytest.raises(ValueError, match=f"{setting} must be .*got {value}"):
        Grouping(**{setting: value})


def test_lab_is_installed_and_needs_no_labels():
    source = create("sources", "lab", {"count": "7"})

    assert source == Grouping(contours="lab", count=7)
    assert source.ledger == frozenset()
    # A class with a docstring and settings of its own, as other parts are.
    assert find("sources", "lab") is Grouping


def test_scales_of_hed_are_a_setting(monkeypatch, tmp_path):
    monkeypatch.setenv("WSIS_HED_WEIGHTS", str(tiny_hed(tmp_path / "hed.h5")))
    seen = []

    def noted(self, image):
        seen.append(self.scales)
        return called(self, image)

    called = HedContours.__call__
    monkeypatch.setattr(HedContours, "__call__", noted)

    create("sources", "hed", {"scales": "0.5,1", "count": 20})(drawing())
    create("sources", "hed", {"count": 20})(drawing())

    assert seen == [(0.5, 1.0), SCALES]


@pytest.mark.parametrize(
    ("scales", "message"),
    [("0.5,0", "must be positive"), ("1,big", "valid number"), ("", "valid number")],
)
def test_wrong_scales_of_hed_are_refused(monkeypatch, tmp_path, scales, message):
    monkeypatch.setenv("WSIS_HED_WEIGHTS", str(tiny_hed(tmp_path / "hed.h5")))

    with pytest.raises(SettingError, match=message):
        create("sources", "hed", {"scales": scales})
