"""MaskFuse: a box detector's head turned into a mask one (CIM, section 3.1)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torchvision.ops import roi_align

from wsis.contracts import View

_GRID = 7


class MaskFuse(nn.Module):
    """Box features beside the same features under the mask, a convolution, two layers.

    "Complete Instances Mining for Weakly Supervised Instance Segmentation", IJCAI 2023,
    arXiv 2402.07633, section 3.1: RoIAlign 7×7 of the proposal's box, times its mask
    cropped to the box and resized to 7×7, both concatenated; 3×3 convolution back to D
    channels; two fully connected layers. The paper's ``width`` is 4,096.

    Args:
        channels: D, of the feature map.
        width: of the two layers.
        chunk: proposals pooled and convolved at a time. It bounds memory and changes no
            result: where there are more, the backward pass pools and convolves again.
    """

    version = 1

    def __init__(self, channels: int, width: int = 512, chunk: int = 256) -> None:
        super().__init__()
        if min(channels, width, chunk) < 1:
            raise ValueError(
                "channels, width and chunk must be positive, got "
                f"{channels}, {width} and {chunk}"
            )
        self.width = width
        self.chunk = chunk
        self.fuse = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 3, padding=1), nn.ReLU()
        )
        self.layers = nn.Sequential(
            nn.Linear(channels * _GRID * _GRID, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
        )

    def pool(self, view: View) -> Float[Tensor, "N D1 7 7"]:
        """Return box features and, as the last channel, the mask."""
        return _pool(view.map, view.boxes, view.crops)

    def forward(self, pooled: Float[Tensor, "N D1 7 7"]) -> Float[Tensor, "N D"]:
        """Return ``width`` numbers a proposal."""
        # Features that are kept are of half precision.
        dtype = next(self.parameters()).dtype
        parts = (part.to(dtype) for part in pooled.split(self.chunk))
        return torch.cat([self._vectors(part) for part in parts])

    def vectors(self, view: View) -> Float[Tensor, "N D"]:
        """Return the same for a view; keeps nothing else per proposal."""
        parts = zip(
            view.boxes.split(self.chunk), view.crops.split(self.chunk), strict=True
        )
        again = torch.is_grad_enabled() and len(view.boxes) > self.chunk
        found = []
        for boxes, crops in parts:
            given = (view.map, boxes, crops)
            if again:
                one = checkpoint(
                    self._of, *given, use_reentrant=False, preserve_rng_state=False
                )
            else:
                one = self._of(*given)
            found.append(one)
        return torch.cat(found)

    def _of(self, feature_map: Tensor, boxes: Tensor, crops: Tensor) -> Tensor:
        return self._vectors(_pool(feature_map, boxes, crops))

    def _vectors(self, pooled: Tensor) -> Tensor:
        boxes, mask = pooled[:, :-1], pooled[:, -1:]
        fused = self.fuse(torch.cat([boxes, boxes * mask], dim=1))
        vectors: Tensor = self.layers(fused.flatten(1))
        return vectors


def _pool(
    feature_map: Float[Tensor, "D h w"],
    boxes: Float[Tensor, "N 4"],
    crops: Float[Tensor, "N side side"],
) -> Float[Tensor, "N D1 7 7"]:
    pooled = roi_align(feature_map[None], [boxes], _GRID, aligned=True)
    return torch.cat([pooled, crops[:, None].to(pooled.dtype)], dim=1)
