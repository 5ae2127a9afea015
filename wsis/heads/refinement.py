"""A refinement branch: classification and MaskIoU (integrity) of every proposal."""

from jaxtyping import Float
from torch import Tensor, nn

from wsis.contracts import BranchScores


class RefinementHead(nn.Module):
    """Two linear layers over C + 1 columns (CIM, arXiv 2402.07633, section 3.2).

    Args:
        width: numbers a proposal has.
        classes: C, without background.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.classification = nn.Linear(width, classes + 1)
        self.integrity = nn.Linear(width, classes + 1)
        for layer in (self.classification, self.integrity):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, vectors: Float[Tensor, "N W"]) -> BranchScores:
        """Softmax over classes; integrity in [0, 1] by a sigmoid (localization)."""
        return BranchScores(
            self.classification(vectors).softmax(1), self.integrity(vectors).sigmoid()
        )
