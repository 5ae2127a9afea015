"""Class activation maps as cues: the proposal that fits the map of each tag best."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from wsis.contracts import CueLabeller, Ledger, Overlaps, Proposals, Supervision


@dataclass(frozen=True, slots=True, kw_only=True)
class CamCues:
    """Learns a linear tag classifier on averaged features and maps its evidence.

    Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016,
    section 2. Per present class the proposal with the highest IoU with the thresholded
    map is trusted: it and what overlaps it become a cluster, the rest around it
    background, in the layout of CIM's pre-computed labels (arXiv 2402.07633).

    Args:
        threshold: of the map, relative to its maximum, in (0, 1).
        near: proposals with a higher IoU with the trusted one join its cluster; those
            below, but not apart, are background; in (0, 1).
        decay: L2 penalty of the classifier; at least 0.
        steps: L-BFGS iterations of its training.
    """

    threshold: float = 0.3
    near: float = 0.5
    decay: float = 1e-3
    steps: int = 100

    def __post_init__(self) -> None:
        for name in ("threshold", "near"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise ValueError(f"{name} must be in (0, 1), got {value}")
        if self.decay < 0 or self.steps < 1:
            raise ValueError(
                "decay must be at least 0 and steps positive, got "
                f"{self.decay} and {self.steps}"
            )

    @property
    def ledger(self) -> Ledger:
        """The tags it learns from."""
        return frozenset({Supervision.TAGS})

    def fit(
        self,
        maps: Iterable[Float[Tensor, "D _ _"]],
        tags: Bool[Tensor, "B C"],
        generator: torch.Generator,
    ) -> CueLabeller:
        """Trains the classifier; deterministic, so the generator is not used."""
        del generator
        averages = torch.stack([m.float().mean((1, 2)) for m in maps])
        mean, std = averages.mean(0), averages.std(0, correction=0).clamp_min(1e-6)
        inputs, wanted = (averages - mean) / std, tags.float()
        weight = inputs.new_zeros(tags.shape[1], inputs.shape[1], requires_grad=True)
        bias = inputs.new_zeros(tags.shape[1], requires_grad=True)
        solver = torch.optim.LBFGS(
            [weight, bias], max_iter=self.steps, line_search_fn="strong_wolfe"
        )

        def loss() -> Tensor:
            solver.zero_grad()
            logits = inputs @ weight.T + bias
            value = functional.binary_cross_entropy_with_logits(logits, wanted)
            value = value + self.decay * weight.square().sum()
            value.backward()
            return value

        with torch.enable_grad():
            solver.step(loss)
        weight = weight.detach() / std
        return CamLabeller(self, weight, bias.detach() - weight @ mean)


@dataclass(frozen=True, slots=True, eq=False)
class CamLabeller:
    """A trained tag classifier that labels proposals.

    Args:
        cues: the settings.
        weight: of the classifier, on features as they come.
        bias: of the classifier.
    """

    cues: CamCues
    weight: Float[Tensor, "C D"]
    bias: Float[Tensor, " C"]

    def activation(self, feature_map: Float[Tensor, "D h w"]) -> Float[Tensor, "C h w"]:
        """Each class's evidence at each cell; its mean is the class's tag logit."""
        evidence = torch.einsum("cd,dhw->chw", self.weight, feature_map.float())
        return evidence + self.bias[:, None, None]

    def __call__(
        self,
        map: Float[Tensor, "D _ _"],
        tags: Bool[Tensor, " C"],
        proposals: Proposals,
        overlaps: Overlaps,
    ) -> Int[Tensor, "N C1"]:
        """One cluster per present class, numbered from 1, then the background's.

        Where two classes claim a proposal, the later class has it.
        """
        labels = torch.zeros(len(proposals), len(tags) + 1, dtype=torch.long)
        around = torch.zeros(len(proposals), dtype=torch.bool)
        present = tags.nonzero().flatten().tolist()
        activation = self.activation(map)
        for number, c in enumerate(present, start=1):
            best = self._best(activation[c], proposals)
            iou = overlaps.iou[best]
            near = iou > self.cues.near
            labels[near] = 0
            labels[near, c + 1] = number
            around |= iou > 0
        free = around & (labels == 0).all(1)
        labels[free, 0] = len(present) + 1
        return labels

    def _best(self, activation: Float[Tensor, "h w"], proposals: Proposals) -> int:
        fine = functional.interpolate(
            activation[None, None], size=proposals.size, mode="bilinear"
        )[0, 0]
        lit = fine > self.cues.threshold * fine.max().clamp_min(1e-6)
        count = proposals.members.shape[1]
        regions = proposals.regions.flatten().long()
        area = torch.bincount(regions, minlength=count).double()
        inside = torch.bincount(regions[lit.flatten()], minlength=count).double()
        members = proposals.members.double()
        shared = members @ inside
        iou = shared / (members @ area + inside.sum() - shared)
        return int(iou.argmax())
