import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import random_masks, rectangles
from wsis.cues.labels import (
    clusters,
    iou_with_pixels,
    iou_with_regions,
)
from wsis.geometry.masks import dense, from_masks
from wsis.geometry.overlap import cross_iou


def test_proposals_join_what_they_are_near_to_and_the_later_mask_wins():
    iou = torch.tensor([[0.9, 0.6, 0.5, 0.0, 0.1], [0.1, 0.7, 0.0, 0.0, 0.8]])

    labels = clusters(iou, torch.tensor([2, 1]), classes=2)

    assert labels.tolist() == [[0, 0, 1], [0, 2, 0], [3, 0, 0], [0, 0, 0], [0, 2, 0]]


def test_without_masks_nothing_is_labelled():
    iou, label = torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)

    assert not clusters(iou, label, classes=2).any()


@given(st.integers(1, 8), st.integers(1, 4), st.integers(0, 2**31 - 1))
def test_overlaps_with_pixels_are_counted(count, others, seed):
    proposals = from_masks(random_masks(count, (5, 6), seed))
    masks = random_masks(others, (5, 6), seed + 1)

    iou = iou_with_pixels(proposals, masks)

    assert iou.allclose(cross_iou(proposals, masks).T)


def test_overlaps_with_regions_are_those_of_the_pixels_they_cover():
    proposals = rectangles((0, 0, 4, 4), (2, 0, 6, 4), (8, 6, 10, 8))
    covered = proposals.members[:2].all(0, keepdim=True)
    pixels = dense(proposals, torch.tensor([0, 1])).all(0, keepdim=True)

    assert iou_with_regions(proposals, covered).equal(
        iou_with_pixels(proposals, pixels)
    )
    assert iou_with_regions(proposals, covered)[0].tolist() == [0.5, 0.5, 0.0]
    assert iou_with_pixels(proposals, torch.zeros_like(pixels)).tolist() == [[0, 0, 0]]
