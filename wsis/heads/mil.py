"""The anti-noise branch: a two-stream multiple-instance head (WSDDN)."""

from jaxtyping import Float
from torch import Tensor, nn

from wsis.contracts import BranchScores


class MILHead(nn.Module):
    """Classifies and ranks proposals in two streams over C + 1 columns.

    Bilen and Vedaldi, "Weakly Supervised Deep Detection Networks", CVPR 2016, section
    3; CIM adds the background column and calls it the anti-noise branch.

    Args:
        width: numbers a proposal has.
        classes: C, without background.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(width, classes + 1)
        self.detector = nn.Linear(width, classes + 1)
        for layer in (self.classifier, self.detector):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, vectors: Float[Tensor, "N D"]) -> BranchScores:
        """Softmax over classes (classification) and over proposals (localization)."""
        return BranchScores(
            self.classifier(vectors).softmax(1), self.detector(vectors).softmax(0)
        )
