"""Linear tag classifiers on feature maps, and their responses in every cell."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from wsis._support.checks import at_least, inside, positive
from wsis.contracts import CueLabeller, Ledger, Points, Supervision, TaggedImage
from wsis.cues._peaks import find_peaks, stimulated
from wsis.features.frozen import SAMPLE


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """A trained tag classifier: a 1 × 1 convolution.

    Args:
        weight: on features as they come.
        bias: added to every cell.
    """

    weight: Float[Tensor, "C D"]
    bias: Float[Tensor, " C"]

    def responses(self, feature_map: Float[Tensor, "D h w"]) -> Float[Tensor, "C h w"]:
        """Return each class's evidence at each cell: its response (activation) map."""
        evidence = torch.einsum("cd,dhw->chw", self.weight, feature_map.float())
        return evidence + self.bias[:, None, None]

    def peaks(
        self,
        image: TaggedImage,
        feature_map: Float[Tensor, "D h w"],
        size: tuple[int, int],
        threshold: float,
    ) -> Points:
        """Return the peaks of an image's tagged classes, as ``find_peaks`` does."""
        tagged = image.tags.nonzero().flatten() + 1
        responses = self.responses(feature_map)
        counts = None if image.counts is None else image.counts[tagged - 1]
        points, _ = find_peaks(
            responses, tagged, size, threshold=threshold, counts=counts
        )
        return points


def fit_averages(
    maps: Iterable[Float[Tensor, "D _ _"]],
    tags: Bool[Tensor, "B C"],
    *,
    decay: float,
    steps: int,
) -> Classifier:
    """Fit a logistic regression of tags on globally averaged features, by L-BFGS.

    A class's logit is the mean of its response map. Features are standardised first;
    the problem is convex, so that nothing is drawn.

    Args:
        maps: one an image, read once.
        tags: of the images.
        decay: L2 penalty.
        steps: most iterations.
    """
    averages = torch.stack([m.float().mean((1, 2)) for m in maps])
    mean, std = averages.mean(0), averages.std(0, correction=0).clamp_min(1e-6)
    inputs, wanted = (averages - mean) / std, tags.float()
    weight = inputs.new_zeros(tags.shape[1], inputs.shape[1], requires_grad=True)
    bias = inputs.new_zeros(tags.shape[1], requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=steps, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        solver.zero_grad()
        logits = inputs @ weight.T + bias
        value = functional.binary_cross_entropy_with_logits(logits, wanted)
        value = value + decay * weight.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        solver.step(loss)
    weight = weight.detach() / std
    return Classifier(weight, bias.detach() - weight @ mean)


def fit_peaks(
    maps: Sequence[Float[Tensor, "D _ _"]],
    tags: Bool[Tensor, "B C"],
    generator: torch.Generator,
    *,
    decay: float,
    epochs: int,
    lr: float,
    batch: int = 16,
) -> Classifier:
    """Fit a classifier by peak stimulation.

    Zhou et al., "Weakly Supervised Instance Segmentation using Class Peak Response",
    https://arxiv.org/abs/1804.00880, section 3.1: a class's logit is the mean of its
    response map at its peaks, so that training sharpens them. It begins from the
    classifier on averages, as the features stay as they are; binary cross-entropy (the
    multi-label soft margin), Adam, features standardised per channel.

    Args:
        maps: one an image, read once an epoch and once before.
        tags: of the images.
        generator: draws the order of the images.
        decay: L2 penalty, of both fits.
        epochs: passes over the maps; with 0 the classifier on averages is returned.
        lr: of Adam.
        batch: images a step.
    """
    start = fit_averages(maps, tags, decay=decay, steps=100)
    scale = _deviation(maps)
    weight = (start.weight * scale).requires_grad_()
    bias = start.bias.clone().requires_grad_()
    solver = torch.optim.Adam([weight, bias], lr)
    with torch.enable_grad():
        for _ in range(epochs):
            order = torch.randperm(len(maps), generator=generator)
            for chosen in order.split(batch):
                classifier = Classifier(weight / scale, bias)
                logits = [
                    stimulated(classifier.responses(maps[i])) for i in chosen.tolist()
                ]
                loss = functional.binary_cross_entropy_with_logits(
                    torch.stack(logits), tags[chosen].float()
                )
                solver.zero_grad()
                (loss + decay * weight.square().sum()).backward()
                solver.step()
    return Classifier((weight / scale).detach(), bias.detach())


@dataclass(frozen=True, slots=True, kw_only=True)
class PeakCues(ABC):
    """Learns a tag classifier by peak stimulation; its peaks lead to labels.

    Args:
        threshold: of a peak's response, the classifier's logit there.
        near: IoU that joins a cluster, in (0, 1).
        decay: L2 penalty of the classifier; at least 0.
        epochs: of peak stimulation; 0 keeps the classifier of averaged features.
        lr: of peak stimulation.
    """

    threshold: float = 0.0
    near: float = 0.5
    decay: float = 1e-3
    epochs: int = 10
    lr: float = 1e-3

    def __post_init__(self) -> None:
        inside("near", self.near)
        at_least("decay", self.decay, 0)
        at_least("epochs", self.epochs, 0)
        positive("lr", self.lr)

    @property
    def ledger(self) -> Ledger:
        """The tags it learns from."""
        return frozenset({Supervision.TAGS})

    def fit(
        self,
        maps: Sequence[Float[Tensor, "D _ _"]],
        tags: Bool[Tensor, "B C"],
        generator: torch.Generator,
    ) -> CueLabeller:
        """Train the classifier; the generator draws the order of the images."""
        return self.labeller(
            fit_peaks(
                maps, tags, generator, decay=self.decay, epochs=self.epochs, lr=self.lr
            )
        )

    @abstractmethod
    def labeller(self, classifier: Classifier) -> CueLabeller:
        """Return the labeller that uses the trained classifier's peaks."""


def _deviation(maps: Sequence[Float[Tensor, "D _ _"]]) -> Float[Tensor, " D"]:
    """Return the standard deviation of each channel over the cells of some maps."""
    some = range(0, len(maps), len(maps) // SAMPLE + 1)
    cells = [maps[i].float().flatten(1) for i in some]
    return torch.cat(cells, 1).std(1, correction=0).clamp_min(1e-6)
