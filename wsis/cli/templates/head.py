"""A head: it turns proposals into vectors."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wsis.contracts import View
from wsis.features.views import region_means


class NewPart(nn.Module):
    """Gives each proposal the mean features under its mask, through one layer.

    Args:
        channels: D, of the feature map.
        width: numbers for each proposal.

    Raises:
        ValueError: if ``width`` is less than 1.
    """

    def __init__(self, channels: int, width: int = 256) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width must be at least 1, got {width}")
        self.width = width
        self.layer = nn.Linear(channels, width)

    def pool(self, view: View) -> Float[Tensor, "N D"]:
        """Return one vector a proposal; no weights, so that it can be kept."""
        means, area = region_means(view.map, view.regions, view.members.shape[1])
        share = view.members.to(means.dtype) * area
        return share @ means / share.sum(1, keepdim=True)

    def forward(self, pooled: Float[Tensor, "N D"]) -> Float[Tensor, "N width"]:
        """Return ``width`` numbers a proposal."""
        vectors: Tensor = torch.relu(self.layer(pooled))
        return vectors
