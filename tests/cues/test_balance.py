import pytest
import torch

from wsis.cues.balance import foreground_share


def labels(foreground: int, background: int, neither: int) -> torch.Tensor:
    found = torch.zeros(foreground + background + neither, 3, dtype=torch.long)
    found[:foreground, 2] = 1
    found[foreground : foreground + background, 0] = 2
    return found


def test_the_share_is_of_the_labelled_and_the_images_median():
    some = [labels(1, 3, 9), None, labels(0, 4, 0), labels(0, 0, 5), labels(3, 1, 0)]

    assert foreground_share(some) == pytest.approx(1 / 4)


def test_without_labels_there_is_no_share():
    assert foreground_share([None, labels(0, 0, 3)]) is None
