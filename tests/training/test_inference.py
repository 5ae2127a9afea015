import pytest
import torch

from tests.builders import strips
from wsis.geometry.masks import dense
from wsis.training.selection import Selection


def test_per_class_nms_keeps_the_best_and_other_classes():
    proposals = strips((0, 5), (0, 6), (7, 10))
    scores = torch.tensor([[0.9, 0.1], [0.8, 0.6], [0.3, 0.0]])

    found = Selection()(scores, proposals, image_id=7)

    assert found.image_id == 7
    assert list(zip(found.index.tolist(), found.label.tolist(), strict=True)) == [
        (0, 1),
        (1, 2),
        (2, 1),
    ]
    assert found.score.tolist() == pytest.approx([0.9, 0.6, 0.3])
    assert found.boxes.tolist() == [[0, 0, 5, 1], [0, 0, 6, 1], [7, 0, 10, 1]]


def test_the_mask_is_the_proposal():
    from pycocotools import mask as coco

    proposals = strips((0, 5), (7, 10))
    found = Selection()(torch.tensor([[0.1], [0.9]]), proposals, image_id=0)

    expected = dense(proposals, torch.tensor([1, 0]))
    for mask, rle in zip(expected, found.masks, strict=True):
        assert (coco.decode(rle) == mask.numpy()).all()


def test_limit_and_threshold_bound_the_instances():
    proposals = strips((0, 2), (3, 5), (6, 8))
    scores = torch.tensor([[0.3], [0.2], [0.0]])

    assert Selection()(scores, proposals, image_id=0).index.tolist() == [0, 1]
    assert Selection(limit=1)(scores, proposals, image_id=0).index.tolist() == [0]
    none = Selection(threshold=0.5)(scores, proposals, image_id=0)
    assert len(none) == 0
    assert none.boxes.shape == (0, 4)


@pytest.mark.parametrize("wrong", [{"nms": 0.0}, {"limit": 0}, {"threshold": -1.0}])
def test_selections_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        Selection(**wrong)
