"""A refinement branch: classification and MaskIoU (integrity) of every proposal."""

import math

from jaxtyping import Float
from torch import Tensor, nn

from wsis._support.checks import inside
from wsis.contracts import BranchScores


class RefinementHead(nn.Module):
    """Two linear layers over C + 1 columns (CIM, arXiv 2402.07633, section 3.2).

    Args:
        width: numbers a proposal has.
        classes: C, without background.
        prior: the integrity of every proposal before training, in (0, 1). The authors'
            code starts at 0.5. Only foreground is ever taught an integrity, so
            proposals that are never foreground keep about this one, and miners that
            choose by integrity may pick them.
        integrity: whether it is learned. The other weights are the same either way.
    """

    def __init__(
        self, width: int, classes: int, prior: float = 0.5, *, integrity: bool = True
    ) -> None:
        super().__init__()
        inside("prior", prior)
        self.classification = nn.Linear(width, classes + 1)
        # Drawn in any case: what is drawn after it must not depend on the switch.
        drawn = nn.Linear(width, classes + 1)
        self.integrity = drawn if integrity else None
        for layer in (self.classification, drawn):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
        nn.init.constant_(drawn.bias, math.log(prior / (1 - prior)))

    def forward(self, vectors: Float[Tensor, "N D"]) -> BranchScores:
        """Softmax over classes; integrity in [0, 1] by a sigmoid, None without it."""
        classification = self.classification(vectors).softmax(1)
        if self.integrity is None:
            return BranchScores(classification, None)
        # Under autocast, the softmax above is of float32 and a sigmoid would not be.
        integrity = self.integrity(vectors).to(classification.dtype)
        return BranchScores(classification, integrity.sigmoid())
